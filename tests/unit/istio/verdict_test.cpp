// What Istio itself takes, warns of and refuses (istio/istio:pkg/config/validation and the CRDs), a
// table a kind. Findings that only this product has don't count here.
#include "tests/unit/istio/decoding.h"

namespace sallyport::istio {
namespace {

enum class Verdict { good, warned, refused };
using enum Verdict;
void PrintTo(Verdict verdict, std::ostream* out) {
  *out << (verdict == good ? "good" : verdict == warned ? "warned" : "refused");
}

struct Case {
  const char* what;
  std::string spec;  // of the kind; in one http rule: what stands beside its route
  Verdict expect;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.what; }

Verdict verdict(const std::string& text) {
  Verdict out = good;
  for (const auto& finding : decode(text, "f.yaml").findings) {
    const bool ours = finding.reason.find("not supported") != std::string::npos;
    if (finding.severity == Severity::error) return refused;
    if (!ours) out = warned;
  }
  return out;
}

std::string rule_with(const std::string& fields) {
  return document("VirtualService",
                  "hosts: [a.b]\nhttp:\n- {route: [{destination: {host: a}}], " + fields + "}\n");
}
std::string match_with(const std::string& match) { return rule_with("match: [" + match + "]"); }

class HttpRuleVerdict : public testing::TestWithParam<Case> {};
TEST_P(HttpRuleVerdict, IsIstios) {
  EXPECT_EQ(verdict(rule_with(GetParam().spec)), GetParam().expect);
}
const Case rules[] = {
    {"rewrite of a regex, without what to", "rewrite: {uriRegexRewrite: {match: a}}", refused},
    {"a percent sign alone", "headers: {response: {set: {a: 'abcd%oij'}}}", refused},
    {"a variable and a percent sign", "headers: {request: {set: {a: '%START_TIME%%'}}}", refused},
    {"an escaped percent sign", "headers: {request: {set: {a: '100%%'}}}", good},
    {"a variable", "headers: {request: {set: {a: '%HOSTNAME%'}}}", good},
    {"a variable with arguments", "headers: {request: {set: {a: '%REQ([\"b\"])%'}}}", good},
    {"arguments without an end", "headers: {request: {set: {a: '%REQ([\"b\")%'}}}", refused},
    {"a control character", "headers: {request: {set: {a: \"b\\x01\"}}}", refused},
    {"a header without a name", "headers: {request: {set: {'': b}}}", refused},
    {"a header's name with a blank", "headers: {request: {add: {'a b': c}}}", warned},
    {"an abort of nothing", "fault: {abort: {}}", warned},
    {"a delay of nothing", "fault: {delay: {}}", good},
    {"an abort with 600", "fault: {abort: {httpStatus: 600}}", warned},
    {"a percentage that is too little",
     "fault: {abort: {httpStatus: 500, percentage: {value: 0.00001}}}", refused},
    {"a gRPC status in lower case", "fault: {abort: {grpcStatus: unavailable}}", refused},
    {"retryOn that ends in a comma", "retries: {attempts: 1, retryOn: '5xx,'}", refused},
    {"retryOn with a blank", "retries: {attempts: 1, retryOn: '5xx, reset'}", refused},
    {"retryOn with a status", "retries: {attempts: 1, retryOn: '5xx,503'}", good},
    {"retryOn with a status that HTTP does not have", "retries: {attempts: 1, retryOn: '599'}",
     refused},
    {"no attempts and a backoff", "retries: {attempts: 0, backoff: 10ms}", good},
    {"CORS for an empty origin", "corsPolicy: {allowOrigins: [{exact: ''}]}", refused},
    {"CORS for nothing", "corsPolicy: {allowOrigins: [{}]}", refused},
    {"CORS that exposes a pseudo header", "corsPolicy: {exposeHeaders: [':a']}", refused},
    {"CORS for every header", "corsPolicy: {allowHeaders: ['*']}", good},
    {"mirrorPercent", "mirror: {host: b}, mirrorPercent: 5", warned},
};
INSTANTIATE_TEST_SUITE_P(Spec, HttpRuleVerdict, testing::ValuesIn(rules));

class HttpMatchVerdict : public testing::TestWithParam<Case> {};
TEST_P(HttpMatchVerdict, IsIstios) {
  EXPECT_EQ(verdict(match_with(GetParam().spec)), GetParam().expect);
}
const Case matches[] = {
    {"an empty prefix of the path", "{uri: {prefix: ''}}", good},
    {"an empty prefix of the method", "{method: {prefix: ''}}", refused},
    {"an empty prefix of a header", "{headers: {a: {prefix: ''}}}", refused},
    {"a header of any value", "{headers: {a: {}}}", good},
    {"the regex * for a header", "{headers: {a: {regex: '*'}}}", refused},
    {"the regex * for a parameter", "{queryParams: {a: {regex: '*'}}}", refused},
    {"the regex * for a header that is not there", "{withoutHeaders: {a: {regex: '*'}}}", good},
    {"a pseudo header", "{headers: {':authority': {exact: a}}}", good},
    {"no pseudo header", "{headers: {'::': {exact: a}}}", refused},
    {"a claim, on the mesh", "{headers: {'@request.auth.claims.a': {exact: b}}}", refused},
    {"port 0", "{port: 0}", good},
    {"port 70000", "{port: 70000}", refused},
    {"labels with blanks", "{sourceLabels: {a: 'b c'}}", refused},
    {"labels with a prefix", "{sourceLabels: {a.b/c: d_e.f}}", good},
};
INSTANTIATE_TEST_SUITE_P(Spec, HttpMatchVerdict, testing::ValuesIn(matches));

class VirtualServiceVerdict : public testing::TestWithParam<Case> {};
TEST_P(VirtualServiceVerdict, IsIstios) {
  EXPECT_EQ(verdict(document("VirtualService", GetParam().spec)), GetParam().expect);
}
const std::string to = "route: [{destination: {host: a}}]";
const std::string rest = "\nhttp: [{" + to + "}]";
const Case services[] = {
    {"a regex before a delegate",
     "hosts: [a.b]\nhttp: [{delegate: {name: d}, match: [{uri: {regex: a}}]}]", good},
    {"a delegate and an answer",
     "hosts: [a.b]\nhttp: [{delegate: {name: d}, directResponse: {status: 200}}]", good},
    {"a prefix rewritten by a redirect, for an exact path",
     "hosts: [a.b]\nhttp: [{redirect: {prefixRewrite: /b}, match: [{uri: {exact: /a}}]}]", refused},
    {"a prefix rewritten by a redirect, for any path",
     "hosts: [a.b]\nhttp: [{redirect: {prefixRewrite: /b}, match: [{port: 80}]}]", good},
    {"a redirect to port 0", "hosts: [a.b]\nhttp: [{redirect: {port: 0}}]", good},
    {"a redirect of any 3xx", "hosts: [a.b]\nhttp: [{redirect: {uri: /a, redirectCode: 304}}]",
     warned},
    {"a redirect of no 3xx", "hosts: [a.b]\nhttp: [{redirect: {uri: /a, redirectCode: 400}}]",
     refused},
    {"an answer with 600", "hosts: [a.b]\nhttp: [{directResponse: {status: 600}}]", warned},
    {"an answer with 601", "hosts: [a.b]\nhttp: [{directResponse: {status: 601}}]", refused},
    {"exported to no one", "hosts: [a.b]\nexportTo: ['~']" + rest, refused},
    {"exported to its namespace twice", "hosts: [a.b]\nexportTo: ['.', default]" + rest, refused},
    {"a claim, on a gateway",
     "hosts: [a.b]\ngateways: [ns/g]\nhttp: [{match: [{headers: {'@request.auth.claims.a': {exact: "
     "b}}}], " +
         to + "}]",
     good},
    {"a claim, on a gateway and the mesh",
     "hosts: [a.b]\ngateways: [ns/g, mesh]\nhttp: [{match: [{headers: {'@request.auth.claims.a': "
     "{exact: b}}}], " +
         to + "}]",
     refused},
    {"every host, on a gateway", "hosts: ['*']\ngateways: [ns/g]" + rest, good},
    {"every host, on a gateway and the mesh", "hosts: ['*']\ngateways: [ns/g, mesh]" + rest,
     refused},
    {"a gateway with a dot for its namespace", "hosts: [a.b]\ngateways: [./g]" + rest, refused},
    {"a gateway's old form", "hosts: [a.b]\ngateways: [g.ns.svc.cluster.local]" + rest, warned},
    {"the SNI between gateways",
     "hosts: [outbound_.80_._.a.b]\ngateways: [g]\ntls: [{match: [{sniHosts: "
     "[outbound_.80_._.a.b]}], " +
         to + "}]",
     good},
    {"the SNI between gateways, on the mesh",
     "hosts: [outbound_.80_._.a.b]\ntls: [{match: [{sniHosts: [outbound_.80_._.a.b]}], " + to +
         "}]",
     refused},
};
INSTANTIATE_TEST_SUITE_P(Spec, VirtualServiceVerdict, testing::ValuesIn(services));

class TrafficPolicyVerdict : public testing::TestWithParam<Case> {};
TEST_P(TrafficPolicyVerdict, IsIstios) {
  const auto text =
      document("DestinationRule", "host: a\ntrafficPolicy: {" + GetParam().spec + "}");
  EXPECT_EQ(verdict(text), GetParam().expect);
}
std::string hash(const std::string& fields) {
  return "loadBalancer: {consistentHash: {useSourceIp: true, " + fields + "}}";
}
const Case policies[] = {
    {"Maglev without a size", hash("maglev: {}"), refused},
    {"Maglev of Envoy's largest size", hash("maglev: {tableSize: 5000011}"), refused},
    {"Maglev of a prime", hash("maglev: {tableSize: 65537}"), good},
    {"a ring's size at the old place", hash("minimumRingSize: 1024"), warned},
    {"a ring's size at the old place, and Maglev",
     hash("minimumRingSize: 7, maglev: {tableSize: 7}"), refused},
    {"a cookie's attributes twice",
     "loadBalancer: {consistentHash: {httpCookie: {name: a, attributes: [{name: b}, {name: b}]}}}",
     refused},
    {"a little aggression", "loadBalancer: {warmup: {duration: 1s, aggression: 0.5}}", good},
    {"much aggression", "loadBalancer: {warmup: {duration: 1s, aggression: 2000}}", good},
    {"no aggression", "loadBalancer: {warmup: {duration: 1s, aggression: 0}}", refused},
    {"zone awareness with failover to itself",
     "outlierDetection: {}, loadBalancer: {zoneAwareLbSetting: {failover: [{from: a, to: a}]}}",
     refused},
    {"zone awareness by a topology label",
     "outlierDetection: {}, loadBalancer: {zoneAwareLbSetting: {failoverPriority: "
     "[topology.kubernetes.io/zone]}}",
     refused},
    {"zone awareness with failover",
     "outlierDetection: {}, loadBalancer: {zoneAwareLbSetting: {failover: [{from: a, to: b}]}}",
     good},
    {"a wildcard behind what it holds",
     "loadBalancer: {localityLbSetting: {distribute: [{from: a/b, to: {a: 100}}, {from: 'a/*', to: "
     "{a: 100}}]}}",
     good},
    {"a locality that ends in a slash",
     "loadBalancer: {localityLbSetting: {distribute: [{from: a/, to: {a: 100}}]}}", refused},
    {"no idle timeout for HTTP", "connectionPool: {http: {idleTimeout: 0s}}", refused},
    {"no idle timeout for TCP", "connectionPool: {tcp: {idleTimeout: 0s}}", good},
    {"a tunnel", "tunnel: {targetHost: a.b, targetPort: 443}", good},
    {"a tunnel by GET", "tunnel: {protocol: GET, targetHost: a.b, targetPort: 443}", refused},
    {"a tunnel to no port", "tunnel: {targetHost: a.b}", refused},
    {"PROXY protocol 3", "proxyProtocol: {version: V3}", refused},
    {"a port of no number", "portLevelSettings: [{port: {}, tls: {mode: SIMPLE}}]", warned},
    {"a port of too high a number",
     "portLevelSettings: [{port: {number: 70000}, tls: {mode: SIMPLE}}]", warned},
    {"no port", "portLevelSettings: [{tls: {mode: SIMPLE}}]", refused},
};
INSTANTIATE_TEST_SUITE_P(Spec, TrafficPolicyVerdict, testing::ValuesIn(policies));

class DestinationRuleVerdict : public testing::TestWithParam<Case> {};
TEST_P(DestinationRuleVerdict, IsIstios) {
  EXPECT_EQ(verdict(document("DestinationRule", GetParam().spec)), GetParam().expect);
}
const Case destination_rules[] = {
    {"exported to no one", "host: a\nexportTo: ['~']", refused},
    {"for some workloads of its namespace",
     "host: a\nworkloadSelector: {matchLabels: {a: b}}\nexportTo: [default]", good},
    {"for some workloads of another",
     "host: a\nworkloadSelector: {matchLabels: {a: b}}\nexportTo: [other]", refused},
    {"for workloads of a long label",
     "host: a\nworkloadSelector: {matchLabels: {a: " + std::string(64, 'x') + "}}", refused},
    {"a subset with a blank in its label", "host: a\nsubsets: [{name: v1, labels: {a: b c}}]",
     refused},
    {"a subset with a key that begins with -", "host: a\nsubsets: [{name: v1, labels: {-a: b}}]",
     refused},
    {"a number for a host", "host: '123'", good},
    {"a root dot", "host: istio.", good},
};
INSTANTIATE_TEST_SUITE_P(Spec, DestinationRuleVerdict, testing::ValuesIn(destination_rules));

class ServiceEntryVerdict : public testing::TestWithParam<Case> {};
TEST_P(ServiceEntryVerdict, IsIstios) {
  EXPECT_EQ(verdict(document("ServiceEntry", GetParam().spec)), GetParam().expect);
}
const std::string fixed =
    "hosts: [a.b]\nports: [{name: h, number: 80, protocol: HTTP}]\n"
    "resolution: STATIC\nendpoints: ";
const Case entries[] = {
    {"a socket", fixed + "[{address: 'unix:///a'}]", good},
    {"a directory", fixed + "[{address: 'unix:///a/'}]", refused},
    {"an endpoint with a network alone", fixed + "[{network: net}]", warned},
    {"an endpoint with nothing", fixed + "[{labels: {a: b}}]", refused},
    {"an endpoint's label with a blank", fixed + "[{address: 1.2.3.4, labels: {a b: c}}]", refused},
    {"an address that ends in colons, in brackets",
     "hosts: [a.b]\nresolution: STATIC\naddresses: [1.2.3.4, 001:db8::]", good},
    {"an address that ends in colons, in a line of its own",
     "hosts: [a.b]\nresolution: STATIC\naddresses:\n- 001:db8::", refused},
    {"exported to no one", "hosts: [a.b]\nexportTo: ['~']", good},
    {"an IPv4 address in IPv6's form",
     "hosts: [a.b]\nresolution: STATIC\naddresses: ['::ffff:1.2.3.4']", good},
    {"HBONE", "hosts: [a.b]\nports: [{name: h, number: 80, protocol: HBONE}]", refused},
    {"any bytes without an address",
     "hosts: [a.b]\nports: [{name: h, number: 80}]\nresolution: NONE", warned},
    {"any bytes with an address of Istio's",
     "hosts: [a.b]\nports: [{name: h, number: 80}]\nresolution: STATIC", good},
    {"dynamic DNS for gRPC-Web",
     "hosts: ['*.a.b']\nports: [{name: h, number: 80, protocol: GRPC-WEB}]\nresolution: "
     "DYNAMIC_DNS",
     refused},
    {"a selector of a long label",
     "hosts: [a.b]\nresolution: STATIC\nworkloadSelector: {labels: {a: " + std::string(64, 'x') +
         "}}",
     refused},
};
INSTANTIATE_TEST_SUITE_P(Spec, ServiceEntryVerdict, testing::ValuesIn(entries));

TEST(ServiceEntryVerdict, DynamicDnsInTheMeshHasNoWaypoint) {
  const auto with = [](const std::string& waypoint) {
    return verdict(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: x, labels: "
        "{istio.io/use-waypoint: " +
        waypoint +
        "}}\nspec: {hosts: ['*.a.b'], resolution: DYNAMIC_DNS, location: MESH_INTERNAL, ports: "
        "[{name: h, number: 80, protocol: HTTP}]}\n");
  };
  EXPECT_EQ(with("w"), refused);
  EXPECT_EQ(with("None"), good);
}

class WorkloadEntryVerdict : public testing::TestWithParam<Case> {};
TEST_P(WorkloadEntryVerdict, IsIstios) {
  EXPECT_EQ(verdict(document("WorkloadEntry", GetParam().spec)), GetParam().expect);
}
const Case workloads[] = {
    {"a directory", "address: unix:///dir/", refused},
    {"an abstract socket", "address: unix://@a", good},
    {"a port's name of 62 bytes", "address: 1.2.3.4\nports: {" + std::string(62, 'x') + ": 80}",
     good},
    {"a port's name of 63 bytes", "address: 1.2.3.4\nports: {" + std::string(63, 'x') + ": 80}",
     refused},
    {"a network alone", "network: net", warned},
};
INSTANTIATE_TEST_SUITE_P(Spec, WorkloadEntryVerdict, testing::ValuesIn(workloads));

// What Istio takes and Envoy would choke on is answered, or left out.
TEST(UnusableValue, IsNeverSent) {
  const auto rule = [](const std::string& fields) {
    return only<VirtualService>(
               document("VirtualService", "hosts: [a.b]\nhttp:\n- {" + fields + "}\n"))
        .http.at(0);
  };
  EXPECT_EQ(rule("directResponse: {status: 600}").direct_response->status, 503);
  EXPECT_EQ(rule("fault: {abort: {httpStatus: 600}}, " + to).fault->abort->http_status, 503);
  const auto odd = rule("redirect: {uri: /a, redirectCode: 304}");
  EXPECT_FALSE(odd.redirect);
  EXPECT_EQ(odd.direct_response->status, 503);
  EXPECT_TRUE(rule("headers: {request: {set: {\"a\\r\\nb\": c}}}, " + to).headers.request.empty());
  EXPECT_FALSE(rule("fault: {abort: {}, delay: {}}, " + to).fault->abort);
  EXPECT_EQ(rule("headers: {request: {set: {a: '100%%'}}}, " + to).headers.request.set.at(0).second,
            "100%");
  const auto policy = *only<DestinationRule>(
                           document("DestinationRule",
                                    "host: a\ntrafficPolicy: {portLevelSettings: [{port: {number: "
                                    "65616}, tls: {mode: SIMPLE}}]}"))
                           .traffic_policy;
  EXPECT_TRUE(policy.port_level_settings.empty());  // 65616 is 80 in 16 bits.
}

}  // namespace
}  // namespace sallyport::istio
