// Where the answer is Istio's own, to the letter: which resources it is about, and which not
// (istio/istio:pkg/config/analysis/analyzers).
#include "tests/unit/analyze/analysis.h"

namespace sallyport::analyze {
namespace {

std::string resource(const std::string& kind, const std::string& name, const std::string& spec,
                     const std::string& metadata = "") {
  return "apiVersion: networking.istio.io/v1\nkind: " + kind + "\nmetadata: {name: " + name +
         metadata + "}\nspec: " + spec + "\n---\n";
}
std::string entry(const std::string& name, const std::string& spec,
                  const std::string& metadata = "") {
  return resource("ServiceEntry", name, spec, metadata);
}
const std::string http_port = "ports: [{number: 80, name: http, protocol: HTTP}]";
const std::string api = entry("api", "{hosts: [api.test], resolution: DNS, " + http_port + "}");
const std::string to_api = "route: [{destination: {host: api.test}}]";

// "IST0109 VirtualService a.default", a line each, of one code.
std::string about(std::string_view code, const std::string& yaml) {
  std::string out;
  for (const auto& one : analysis_of({{"f.yaml", yaml}})) {
    if (one.code->id == code) out += one.resource() + " " + one.field + "\n";
  }
  return out;
}

struct Case {
  const char* what;
  const char* code;
  std::string yaml, expect;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.what; }

std::string rule(const std::string& spec) {
  return resource("DestinationRule", "r", "{host: api.test, " + spec + "}");
}
std::string virtual_service(const std::string& name, const std::string& spec,
                            const std::string& metadata = "") {
  return resource("VirtualService", name, spec, metadata);
}
std::string service(const std::string& spec, const std::string& metadata = "") {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: web" + metadata + "}\nspec: " + spec +
         "\n---\n";
}

const std::string web_port = "port: {number: 80, name: web, protocol: HTTP}";
std::string gateway(const std::string& spec) { return resource("Gateway", "g", spec); }
std::string listener(const std::string& fields) {
  return "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: "
         "{listeners: [" +
         fields + "]}\n---\n";
}
std::string bound(const std::string& host) {
  return virtual_service("v", "{hosts: [" + host + "], gateways: [g], http: [{" + to_api + "}]}");
}

const Case cases[] = {
    {"a tcp rule behind the same match", "IST0131",
     api +
         virtual_service("v", "{hosts: [api.test], tcp: [{match: [{port: 1}, {port: 2}], " +
                                  to_api + "}, {match: [{port: 3}, {port: 2}], " + to_api + "}]}"),
     "VirtualService v.default spec.tcp[1].match[1]\n"},
    {"a tls rule none of whose matches is new", "IST0130",
     api + virtual_service("v", "{hosts: [api.test], tls: [{match: [{sniHosts: [api.test]}], " +
                                    to_api + "}, {match: [{sniHosts: [api.test]}], " + to_api +
                                    "}]}"),
     "VirtualService v.default spec.tls[1]\n"},
    {"a match that only its exact path narrows", "IST0131",
     api + virtual_service("v", "{hosts: [api.test], http: [{match: [{uri: {prefix: /}}], " +
                                    to_api + "}, {match: [{uri: {exact: /a}}], " + to_api + "}]}"),
     ""},
    {"one host in two VirtualServices", "IST0109",
     api + virtual_service("a", "{hosts: [api.test], http: [{" + to_api + "}]}") +
         virtual_service("b", "{hosts: [api.test], http: [{" + to_api + "}]}"),
     "VirtualService a.default spec.hosts[0]\nVirtualService b.default spec.hosts[0]\n"},
    {"a wildcard of one namespace over a host of all", "IST0109",
     api + virtual_service("a", "{hosts: ['*.test'], exportTo: ['.'], http: [{" + to_api + "}]}") +
         virtual_service("b", "{hosts: [api.test], http: [{" + to_api + "}]}", ", namespace: o"),
     "VirtualService a.default spec.hosts[0]\nVirtualService b.o spec.hosts[0]\n"},
    {"a wildcard of all namespaces over a host of all", "IST0109",
     api + virtual_service("a", "{hosts: ['*.test'], http: [{" + to_api + "}]}") +
         virtual_service("b", "{hosts: [api.test], http: [{" + to_api + "}]}"),
     ""},
    {"a host by its short and its long name", "IST0109",
     virtual_service("a", "{hosts: [w, w.default.svc.cluster.local], http: [{" + to_api + "}]}"),
     ""},
    {"hosts that two namespaces keep to themselves", "IST0109",
     virtual_service("a", "{hosts: [api.test], exportTo: ['.'], http: [{" + to_api + "}]}") +
         virtual_service("b", "{hosts: [api.test], exportTo: ['.'], http: [{" + to_api + "}]}",
                         ", namespace: o"),
     ""},
    {"two protocols for one port", "IST0177",
     api + entry("b",
                 "{hosts: [api.test], resolution: DNS, ports: [{number: 80, name: t, protocol: "
                 "TCP}]}"),
     "ServiceEntry api.default spec.ports[0]\nServiceEntry b.default spec.ports[0]\n"},
    {"two protocols, of namespaces that don't see each other", "IST0177",
     entry("a", "{hosts: [api.test], exportTo: ['.'], resolution: DNS, " + http_port + "}") +
         entry(
             "b",
             "{hosts: [api.test], exportTo: ['.'], resolution: DNS, ports: [{number: 80, name: t, "
             "protocol: TCP}]}",
             ", namespace: o"),
     ""},
    {"TCP without addresses", "IST0134",
     entry("a",
           "{hosts: [a.test], resolution: DNS, ports: [{number: 1, name: t, protocol: TCP}, "
           "{number: 2, name: m, protocol: MONGO}, {number: 3, name: u}]}"),
     "ServiceEntry a.default spec.ports[0]\nServiceEntry a.default spec.ports[2]\n"},
    {"TCP with an address that Istio gave", "IST0134",
     "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec: {hosts: "
     "[a.test], resolution: DNS, ports: [{number: 1, name: t, protocol: TCP}]}\nstatus: "
     "{addresses: "
     "[{value: 240.240.0.1}]}\n",
     ""},
    {"TCP where proxies give addresses", "IST0134",
     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata:\n  mesh: |\n    "
     "defaultConfig:\n      proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true', "
     "ISTIO_META_DNS_AUTO_ALLOCATE: 'true'}\n---\n" +
         entry("a",
               "{hosts: [a.test], resolution: DNS, ports: [{number: 1, name: t, protocol: TCP}]}"),
     ""},
    {"a credential that sidecars don't take", "IST0128",
     api + rule("trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}"),
     "DestinationRule r.default spec.trafficPolicy.tls\n"},
    {"a credential that sidecars take", "IST0128",
     api + rule("workloadSelector: {matchLabels: {a: b}}, trafficPolicy: {tls: {mode: SIMPLE, "
                "credentialName: c}}"),
     ""},
    {"a subset's tls", "IST0128",
     api + rule("subsets: [{name: s, trafficPolicy: {tls: {mode: SIMPLE}}}]"), ""},
    {"a subset without any pod", "IST0173", api + rule("subsets: [{name: s, labels: {a: b}}]"),
     "DestinationRule r.default spec.subsets[0]\n"},
    {"a subset with a pod", "IST0173",
     api + rule("subsets: [{name: s, labels: {a: b}}]") +
         "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: o, labels: {a: b}}\nspec: {}\n",
     ""},
    {"a subset with a template's pods", "IST0173",
     api + rule("subsets: [{name: s, labels: {a: b}}]") +
         "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: p, namespace: o}\n"
         "spec: {template: {metadata: {labels: {a: b}}, spec: {}}}\n",
     ""},
    {"a subset by the node of a pod", "IST0173",
     api + rule("subsets: [{name: s, labels: {topology.kubernetes.io/zone: z}}]") +
         "apiVersion: v1\nkind: Node\nmetadata: {name: n, labels: {topology.kubernetes.io/zone: "
         "z}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {nodeName: n}\n",
     ""},
    {"a mirror to nobody", "IST0101",
     api + virtual_service("v", "{hosts: [api.test], http: [{" + to_api +
                                    ", mirrors: [{destination: {host: no.test}}]}]}"),
     "VirtualService v.default spec.http[0].mirrors[0].destination.host\n"},
    {"a subset of a rule in another namespace", "IST0101",
     api + rule("subsets: [{name: s}]") +
         virtual_service(
             "v",
             "{hosts: [api.test], http: [{route: [{destination: {host: api.test, subset: s}}]}]}",
             ", namespace: o"),
     "VirtualService v.o spec.http[0].route[0].destination.subset\n"},
    {"a gateway with another host", "IST0132",
     gateway("{servers: [{hosts: [a.test, other/api.test], " + web_port + "}]}") +
         bound("api.test"),
     "VirtualService v.default spec.gateways[0]\n"},
    {"a gateway with the host", "IST0132",
     gateway("{servers: [{hosts: [a.test], " + web_port +
             "}, {hosts: ['./*.test'], port: {number: 81, name: more, protocol: HTTP}}]}") +
         bound("api.test"),
     ""},
    {"a gateway that is not there", "IST0132", bound("api.test"),
     "VirtualService v.default spec.gateways[0]\n"},
    {"a Gateway API's gateway with another host", "IST0132",
     listener("{hostname: a.test}") + bound("api.test"),
     "VirtualService v.default spec.gateways[0]\n"},
    {"a Gateway API's gateway for all", "IST0132", listener("{port: 80}") + bound("api.test"), ""},
    {"a gateway past the subset of the mesh", "IST0140",
     virtual_service("v", "{hosts: [api.test], gateways: [g], http: [{" + to_api + "}]}") +
         virtual_service("m",
                         "{hosts: [api.test], http: [{route: [{destination: {host: api.test, "
                         "subset: s}}]}]}"),
     "VirtualService v.default spec.http[0].route[0].destination.host\n"},
    {"a destination that only a refused entry has", "IST0101",
     entry("a", "{hosts: [a.test], resolution: NOPE, " + http_port + "}") +
         virtual_service("v",
                         "{hosts: [a.test], http: [{route: [{destination: {host: a.test}}]}]}"),
     ""},
    {"a destination of a refused VirtualService", "IST0101",
     virtual_service("v",
                     "{hosts: [a.test], http: [{route: [{}, {destination: {host: no.test}}]}]}"),
     "VirtualService v.default spec.http[0].route[0].destination.host\n"
     "VirtualService v.default spec.http[0].route[1].destination.host\n"},
    {"a refused rule without a CA", "IST0128", api + rule("trafficPolicy: {tls: {mode: MUTUAL}}"),
     "DestinationRule r.default spec.trafficPolicy.tls\n"},
    {"ports without names", "IST0118", service("{ports: [{port: 80}, {port: 3306}]}"),
     "Service web.default spec.ports[0]\n"},
    {"a port's name in kube-system", "IST0118",
     service("{ports: [{port: 80, name: web}]}", ", namespace: kube-system"), ""},
    {"Istio's own Service", "IST0118",
     service("{ports: [{port: 80, name: web}]}", ", labels: {istio: pilot}"), ""},
    {"an ExternalName Service with a tcp port", "IST0150",
     service("{type: ExternalName, externalName: a.test, ports: [{port: 80, name: tcp}]}"),
     "Service web.default spec.ports[0]\n"},
    {"a Service of a protocol that Kubernetes does not have", "IST0106",
     service("{ports: [{port: 80, name: http, protocol: HTTP}]}"), ""},
    {"a Service of a protocol that Kubernetes does not have, named by a rule", "IST0174",
     service("{ports: [{port: 80, name: http, protocol: HTTP}]}") +
         resource("DestinationRule", "r", "{host: web, trafficPolicy: {tls: {mode: DISABLE}}}"),
     ""},
};
class IstiosAnswer : public testing::TestWithParam<Case> {};
TEST_P(IstiosAnswer, IsAboutTheSameResources) {
  EXPECT_EQ(about(GetParam().code, GetParam().yaml), GetParam().expect);
}
INSTANTIATE_TEST_SUITE_P(Spec, IstiosAnswer, testing::ValuesIn(cases));

// No Secret is meant, so that none is in the wrong namespace.
TEST(CredentialNames, OfOtherKindsAreNoSecrets) {
  for (const char* name : {"sds://ca", "builtin://"}) {
    const auto yaml = api +
                      rule(
                          "workloadSelector: {matchLabels: {a: b}}, trafficPolicy: {tls: {mode: "
                          "SIMPLE, credentialName: '" +
                          std::string(name) + "'}}") +
                      "apiVersion: v1\nkind: Secret\nmetadata: {name: /ca, namespace: o}\n";
    EXPECT_EQ(about("SLP0302", yaml), "") << name;
    EXPECT_EQ(about("IST0101", yaml), "") << name;
  }
}

}  // namespace
}  // namespace sallyport::analyze
