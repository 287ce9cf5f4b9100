// Mistakes between resources: what is named and not there, twice there, or never used.
#include "tests/unit/analyze/analysis.h"

namespace sallyport::analyze {
namespace {

// Lines 1 to 10: hosts api.example.com (80) and db.example.com (80, 81).
#define ENTRIES                                                                          \
  "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api}\n"      \
  "spec: {hosts: [api.example.com], ports: [{number: 80, name: http, protocol: HTTP}], " \
  "resolution: DNS}\n---\n"                                                              \
  "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: db}\n"       \
  "spec: {hosts: [db.example.com], resolution: DNS, ports: [{number: 80, name: http, "   \
  "protocol: HTTP}, {number: 81, name: other, protocol: HTTP}]}\n---\n"
#define VIRTUAL(name)                                          \
  "apiVersion: networking.istio.io/v1\nkind: VirtualService\n" \
  "metadata: {name: " name "}\nspec:\n"
#define RULE                                                    \
  "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n" \
  "metadata: {name: api}\nspec:\n"

const Broken cases[] = {
    {"a destination that is no service",
     ENTRIES VIRTUAL("v") "  hosts: [api.example.com]\n  http:\n  - route:\n    - destination:\n"
                          "        host: apo.example.com\n",
     "IST0101", 19, "spec.http[0].route[0].destination.host",
     "Referenced host not found: \"apo.example.com\"", "add a ServiceEntry"},
    {"a subset that no rule has",
     ENTRIES VIRTUAL("v") "  hosts: [api.example.com]\n  http:\n  - route:\n    - destination:\n"
                          "        host: api.example.com\n        subset: v2\n",
     "IST0101", 20, "spec.http[0].route[0].destination.subset",
     "host+subset in destinationrule not found: \"api.example.com+v2\"", "add the subset"},
    {"a destination's port that the service does not have",
     ENTRIES VIRTUAL("v") "  hosts: [api.example.com]\n  http:\n  - route:\n    - destination:\n"
                          "        host: api.example.com\n        port: {number: 8080}\n",
     "IST0101", 20, "spec.http[0].route[0].destination.port.number",
     "Referenced host:port not found: \"api.example.com:8080\"", "take one of its ports: 80"},
    {"a destination that needs a port",
     ENTRIES VIRTUAL("v") "  hosts: [api.example.com]\n  http:\n  - route:\n"
                          "    - destination: {host: db.example.com}\n",
     "IST0112", 18, "spec.http[0].route[0].destination", "exposes multiple ports [80 81]",
     "destination.port.number"},
    {"a gateway that is not there",
     ENTRIES VIRTUAL("v") "  hosts: [web.test]\n  gateways:\n  - mesh\n  - front\n  http:\n"
                          "  - route: [{destination: {host: api.example.com}}]\n",
     "IST0101", 18, "spec.gateways[1]", "Referenced gateway not found: \"front\"", "create it"},
    {"gateways without mesh for an outside host",
     ENTRIES
     "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: front}\n"
     "spec: {servers: [{hosts: [api.example.com], port: {number: 80, name: http, protocol: "
     "HTTP}}]}\n---\n" VIRTUAL("v") "  hosts: [api.example.com]\n  gateways: [front]\n  http:\n"
                                    "  - route: [{destination: {host: api.example.com}}]\n",
     "SLP0503", 21, "spec.gateways", "gateways does not list mesh", "add mesh to spec.gateways"},
    {"two VirtualServices for one host",
     ENTRIES VIRTUAL("v") "  hosts: [api.example.com]\n  http:\n"
                          "  - route: [{destination: {host: api.example.com}}]\n---\n" VIRTUAL(
                              "w") "  hosts: [api.example.com]\n  http:\n"
                                   "  - route: [{destination: {host: api.example.com}}]\n",
     "IST0109", 23, "spec.hosts[0]",
     "The VirtualServices default/v,default/w associated with mesh gateway define the same host",
     "merge them"},
    {"a rule behind one without a match",
     ENTRIES VIRTUAL("v") "  hosts: [api.example.com]\n  http:\n"
                          "  - route: [{destination: {host: api.example.com}}]\n"
                          "  - name: late\n    match: [{uri: {prefix: /v2}}]\n"
                          "    route: [{destination: {host: api.example.com}}]\n",
     "IST0130", 18, "spec.http[1]",
     "rule \"late\" not used (route without matches defined before).", "put it before"},
    {"a rule behind a wider prefix",
     ENTRIES VIRTUAL("v") "  hosts: [api.example.com]\n  http:\n"
                          "  - match: [{uri: {prefix: /v}}]\n"
                          "    route: [{destination: {host: api.example.com}}]\n"
                          "  - match: [{uri: {prefix: /v2}, method: {exact: GET}}]\n"
                          "    route: [{destination: {host: api.example.com}}]\n",
     "IST0131", 19, "spec.http[1].match[0]",
     "rule #1 match #0 of prefix /v2 is not used (duplicate/overlapping match in rule #0 of prefix "
     "/v on #0).",
     "remove it"},
    {"one match of a rule behind the same match",
     ENTRIES VIRTUAL("v") "  hosts: [api.example.com]\n  http:\n"
                          "  - match: [{uri: {prefix: /v2}}]\n"
                          "    route: [{destination: {host: api.example.com}}]\n"
                          "  - match:\n    - uri: {prefix: /v3}\n    - uri: {prefix: /v2}\n"
                          "    route: [{destination: {host: api.example.com}}]\n",
     "IST0131", 21, "spec.http[1].match[1]", "is not used (duplicate/overlapping match in rule #0)",
     "remove it"},
    {"a delegate that is not there",
     ENTRIES VIRTUAL("v") "  hosts: [api.example.com]\n  http:\n  - delegate: {name: team}\n",
     "SLP0504", 17, "spec.http[0].delegate", "the delegate team is not there",
     "create the VirtualService"},
    {"a delegate whose match excludes the root's",
     ENTRIES VIRTUAL(
         "v") "  hosts: [api.example.com]\n  http:\n"
              "  - match: [{uri: {prefix: /team}}]\n    delegate: {name: a}\n---\n" VIRTUAL(
                  "a") "  http:\n  - match: [{uri: {prefix: /other}}]\n"
                       "    route: [{destination: {host: api.example.com}}]\n",
     "SLP0501", 25, "spec.http[0]", "exclude each other", "begin with the root's"},
    {"a rule for a host that nobody has",
     ENTRIES RULE "  host: api.example.org\n  trafficPolicy: {tls: {mode: DISABLE}}\n", "IST0174",
     15, "spec.host", "The host api.example.org defined in the DestinationRule does not match",
     "add the ServiceEntry"},
    {"a short host that means another namespace",
     "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"
     "spec: {ports: [{port: 80, name: http}]}\n---\n#\n#\n#\n#\n---\n" RULE
     "  host: web\n  trafficPolicy: {tls: {mode: DISABLE}}\n",
     "IST0174", 15, "spec.host", "The host web defined", "its namespace"},
    {"a subset of endpoints that nothing has",
     "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api}\n"
     "spec: {hosts: [api.example.com], ports: [{number: 80, name: http, protocol: HTTP}], "
     "resolution: STATIC, endpoints: [{address: 192.0.2.1, labels: {version: v1}}]}\n---\n"
     "#\n#\n#\n#\n---\n" RULE
     "  host: api.example.com\n  subsets:\n  - name: v2\n    labels: {version: v2}\n",
     "IST0173", 17, "spec.subsets[0]",
     "The Subset v2 defined in the DestinationRule does not select any pods. Which may lead to 503",
     "correct the subset's labels"},
    {"a subset of a Service that selects no pod",
     "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
     "spec: {selector: {app: web}, ports: [{port: 80, name: http}]}\n---\n"
     "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
     "spec: {template: {metadata: {labels: {app: web, version: v1}}, spec: {}}}\n---\n" RULE
     "  host: web\n  subsets:\n  - {name: v2, labels: {version: v2}}\n",
     "IST0173", 17, "spec.subsets[0]", "does not select any pods.", "labels"},
    {"a selector that matches no workload",
     ENTRIES
     "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: slep}}\nspec: {}\n---\n" RULE
     "  workloadSelector:\n    matchLabels: {app: sleep}\n  host: api.example.com\n"
     "  trafficPolicy: {tls: {mode: DISABLE}}\n",
     "IST0127", 21, "spec.workloadSelector.matchLabels",
     "No matching workloads for this resource with the following labels: app=sleep",
     "correct the labels"},
    {"two rules for one host",
     ENTRIES RULE "  host: api.example.com\n  trafficPolicy: {tls: {mode: DISABLE}}\n---\n"
                  "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
                  "metadata: {name: late}\nspec:\n  host: api.example.com\n"
                  "  trafficPolicy: {loadBalancer: {simple: RANDOM}}\n",
     "SLP0104", 23, "spec.trafficPolicy", "the trafficPolicy for api.example.com has no effect",
     "merge them"},
    {"two ServiceEntries with one host and port, different protocols",
     ENTRIES "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: late}\n"
             "spec:\n  hosts: [api.example.com]\n  addresses: [192.0.2.1]\n  resolution: DNS\n"
             "  ports:\n  - {number: 80, name: tcp, protocol: TCP}\n",
     "IST0177", 19, "spec.ports[0]",
     "Multiple ServiceEntries (default/api, default/late) define the same host \"api.example.com\" "
     "and port 80 with conflicting protocols (HTTP, TCP).",
     "declare"},
    {"two ServiceEntries with one host and port",
     ENTRIES "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: late}\n"
             "spec:\n  hosts: [api.example.com]\n  resolution: DNS\n"
             "  ports:\n  - {number: 80, name: http, protocol: HTTP}\n",
     "SLP0103", 18, "spec.ports[0]", "is declared by ServiceEntry default/api", "oldest counts"},
    {"TCP without addresses",
     "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: db}\nspec:\n"
     "  hosts: [db.example.com]\n  resolution: DNS\n  ports:\n"
     "  - {number: 5432, name: tcp, protocol: TCP}\n",
     "IST0134", 8, "spec.ports[0]", "ServiceEntry addresses are required for this protocol.",
     "set spec.addresses"},
    {"a port's name that gives no protocol",
     "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  ports:\n"
     "  - {port: 80, name: front, targetPort: 8080}\n",
     "IST0118", 6, "spec.ports[0]",
     "Port name front (port: 80, targetPort: 8080) doesn't follow the naming convention",
     "appProtocol"},
    {"a container that runs as the proxy's user",
     "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n"
     "    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - name: web\n"
     "        securityContext:\n          runAsUser: 1337\n",
     "IST0144", 11, "spec.template.spec.containers[0].securityContext.runAsUser",
     "User ID (UID) 1337 is reserved for the sidecar proxy.", "another runAsUser"},
    {"a mistyped field inside tls",
     ENTRIES RULE "  host: api.example.com\n  trafficPolicy:\n    tls:\n      mode: SIMPLE\n"
                  "      subjectAltName: [x]\n",
     "IST0106", 19, "spec.trafficPolicy.tls.subjectAltName",
     "Schema validation error: ", "closes the hosts it names"},
    {"a mistyped field elsewhere",
     "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api}\nspec:\n"
     "  hosts: [api.example.com]\n  resolution: DNS\n  locatoin: MESH_EXTERNAL\n"
     "  ports: [{number: 80, name: http, protocol: HTTP}]\n",
     "IST0133", 7, "spec.locatoin", "Schema validation warning: ", "correct the field"},
    {"a resource that is there twice",
     "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80, name: "
     "http}]}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
     "spec: {ports: [{port: 80, name: http}]}\n",
     "SLP0102", 8, "metadata.name", "defined before: Service default/web (rules.yaml:1)",
     "remove one"},
};

class Mistake : public testing::TestWithParam<Broken> {};
TEST_P(Mistake, IsFoundWithItsPlaceCauseAndCure) { expect_found(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Spec, Mistake, testing::ValuesIn(cases));

// The schema refuses what would close the circle; the rule that leads there is named too.
TEST(Delegates, InACircleAreNamedAtTheRuleThatLeadsThere) {
  const auto findings = analysis_of(
      {{"rules.yaml",
        ENTRIES VIRTUAL("v") "  hosts: [api.example.com]\n  http:\n  - delegate: {name: "
                             "a}\n---\n" VIRTUAL("a") "  http:\n  - delegate: {name: v}\n"}});
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings[0].code->id, "SLP0502") << listed(findings);
  EXPECT_EQ(findings[0].line, 17);
  EXPECT_TRUE(has(findings[0].message, "VirtualService default/a (rules.yaml:19) delegates itself"))
      << findings[0].message;
  EXPECT_TRUE(has(findings[0].cure, "must not delegate"));
}

}  // namespace
}  // namespace sallyport::analyze
