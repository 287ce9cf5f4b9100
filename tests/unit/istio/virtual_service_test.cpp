// VirtualService: what is read, and what Istio's validation refuses.
#include "agent/istio/virtual_service.h"

#include "tests/unit/istio/decoding.h"

namespace sallyport::istio {
namespace {

using std::chrono::milliseconds;
using Kind = StringMatch::Kind;

TEST(VirtualServiceDecoding, ReadsAnHttpRule) {
  const auto service = only<VirtualService>(
      document("VirtualService",
               "hosts: [Reviews, '*.Example.com']\n"
               "gateways: [mesh, prod/edge]\n"
               "exportTo: ['.']\n"
               "http:\n"
               "- name: first\n"
               "  match:\n"
               "  - name: m\n"
               "    uri: {prefix: /api}\n"
               "    ignoreUriCase: true\n"
               "    method: {exact: GET}\n"
               "    authority: {regex: 'a.*'}\n"
               "    headers: {X-User: {exact: jason}, x-any: {}}\n"
               "    withoutHeaders: {x-not: {prefix: a}}\n"
               "    queryParams: {q: {regex: '.*'}}\n"
               "    port: 80\n"
               "    sourceLabels: {app: sleep}\n"
               "    sourceNamespace: default\n"
               "    gateways: [mesh]\n"
               "  route:\n"
               "  - destination: {host: Reviews, subset: v1, port: {number: 8080}}\n"
               "    weight: 75\n"
               "    headers: {response: {remove: [x-secret]}}\n"
               "  - destination: {host: reviews.other.svc.cluster.local}\n"
               "    weight: 25\n"
               "  rewrite: {uri: /v1, authority: a.b}\n"
               "  timeout: 5s\n"
               "  retries: {attempts: 3, perTryTimeout: 2s, retryOn: '5xx,connect-failure,503'}\n"
               "  fault:\n"
               "    delay: {fixedDelay: 100ms, percentage: {value: 0.1}}\n"
               "    abort: {grpcStatus: UNAVAILABLE, percentage: {value: 50}}\n"
               "  corsPolicy: {allowOrigins: [{exact: 'https://a.b'}], allowMethods: [GET], "
               "maxAge: 24h, allowCredentials: true, unmatchedPreflights: IGNORE}\n"
               "  headers: {request: {set: {x-a: b}, add: {x-c: d}}}\n"));
  EXPECT_EQ(service.hosts, (std::vector<std::string>{"reviews", "*.example.com"}));
  EXPECT_EQ(service.gateways, (std::vector<std::string>{"mesh", "prod/edge"}));
  ASSERT_EQ(service.http.size(), 1u);
  const HttpRoute& rule = service.http[0];
  EXPECT_EQ(rule.name, "first");
  EXPECT_EQ(rule.line, 10);
  ASSERT_EQ(rule.match.size(), 1u);
  const HttpMatch& match = rule.match[0];
  EXPECT_EQ(*match.uri, (StringMatch{Kind::prefix, "/api"}));
  EXPECT_TRUE(match.ignore_uri_case);
  EXPECT_EQ(*match.authority, (StringMatch{Kind::regex, "a.*"}));
  EXPECT_EQ(match.headers.at("x-user"), (StringMatch{Kind::exact, "jason"}));
  EXPECT_EQ(match.headers.at("x-any").kind, Kind::present);
  EXPECT_EQ(match.without_headers.at("x-not").value, "a");
  EXPECT_EQ(match.query_params.at("q").value, ".*");
  EXPECT_EQ(match.port, 80);
  EXPECT_EQ(match.source_labels.at("app"), "sleep");
  EXPECT_EQ(match.source_namespace, "default");
  ASSERT_EQ(rule.route.size(), 2u);
  EXPECT_EQ(rule.route[0].destination.host, "reviews");
  EXPECT_EQ(rule.route[0].destination.subset, "v1");
  EXPECT_EQ(rule.route[0].destination.port, 8080);
  EXPECT_EQ(rule.route[0].weight, 75u);
  EXPECT_EQ(rule.route[0].headers.response.remove, std::vector<std::string>{"x-secret"});
  EXPECT_EQ(rule.rewrite->uri, "/v1");
  EXPECT_EQ(rule.timeout, milliseconds(5000));
  EXPECT_EQ(rule.retries->attempts, 3);
  EXPECT_EQ(rule.retries->per_try_timeout, milliseconds(2000));
  EXPECT_EQ(rule.fault->delay->time, milliseconds(100));
  EXPECT_DOUBLE_EQ(rule.fault->delay->percent, 0.1);
  EXPECT_EQ(rule.fault->abort->grpc_status, 14);
  EXPECT_EQ(rule.cors->max_age, std::chrono::hours(24));
  EXPECT_FALSE(rule.cors->forward_unmatched_preflights);
  EXPECT_EQ(rule.headers.request.set[0].second, "b");
}

TEST(VirtualServiceDecoding, ReadsTlsAndTcpRules) {
  const auto service = only<VirtualService>(
      document("VirtualService",
               "hosts: ['*.b.c']\n"
               "tls:\n"
               "- match: [{sniHosts: [a.b.c], port: 443, destinationSubnets: [10.0.0.0/8]}]\n"
               "  route: [{destination: {host: a.b.c}}]\n"
               "tcp:\n"
               "- route: [{destination: {host: a.b.c, port: {number: 27017}}, weight: 100}]\n"));
  ASSERT_EQ(service.tls.size(), 1u);
  EXPECT_EQ(service.tls[0].match[0].sni_hosts, std::vector<std::string>{"a.b.c"});
  EXPECT_EQ(service.tls[0].match[0].destination_subnets, std::vector<std::string>{"10.0.0.0/8"});
  ASSERT_EQ(service.tcp.size(), 1u);
  EXPECT_TRUE(service.tcp[0].match.empty());
  EXPECT_EQ(service.tcp[0].route[0].destination.port, 27017);
}

struct Case {
  const char* what;
  const char* rule;  // one http rule, or more of spec after a line break
  std::vector<std::string> complaints;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.what; }

constexpr const char* to = "route: [{destination: {host: a}}]";
std::string http_rule(const std::string& rule) {
  return document("VirtualService", "hosts: [a.b]\nhttp:\n- {" + rule + "}\n");
}

const Case cases[] = {
    {"nothing to do",
     "name: x",
     {"8: spec.http[0]: HTTP route, redirect or direct_response is required"}},
    {"route and redirect",
     "redirect: {uri: /x}, route: [{destination: {host: a}}]",
     {"8: spec.http[0].route: HTTP route cannot contain both route and redirect"}},
    {"fault and redirect",
     "redirect: {uri: /x}, fault: {abort: {httpStatus: 500}}",
     {"8: spec.http[0].fault: HTTP route cannot contain both fault and redirect"}},
    {"a redirect to nowhere",
     "redirect: {redirectCode: 302}",
     {"8: spec.http[0].redirect: redirect must specify URI, authority, scheme, or port"}},
    {"a redirect's code",
     "redirect: {uri: /x, redirectCode: 200}",
     {"8: spec.http[0].redirect.redirectCode: 200 is not a valid redirect code, must be "
      "3xx"}},
    {"a redirect's scheme",
     "redirect: {scheme: ftp}",
     {"8: spec.http[0].redirect.scheme: invalid redirect scheme, must be http or https"}},
    {"an answer and a route",
     "directResponse: {status: 200}, route: [{destination: {host: a}}]",
     {"8: spec.http[0].route: HTTP route cannot contain both route and directResponse"}},
    {"an answer without status",
     "directResponse: {}",
     {"8: spec.http[0].directResponse.status: required"}},
    {"an answer's status",
     "directResponse: {status: 601}",
     {"8: spec.http[0].directResponse.status: 601 is not a whole number from 200 to 600"}},
    {"no destination",
     "route: [{weight: 1}]",
     {"8: spec.http[0].route[0].destination: destination is required"}},
    {"a destination for all",
     "route: [{destination: {host: '*'}}]",
     {"8: spec.http[0].route[0].destination.host: invalid destination host *"}},
    {"weights that sum to nothing",
     "route: [{destination: {host: a}}, {destination: {host: b}}]",
     {"8: spec.http[0].route: total destination weight = 0"}},
    {"a negative weight",
     "route: [{destination: {host: a}, weight: -1}]",
     {"8: spec.http[0].route[0].weight: -1 is not a whole number from 0 to 2147483647"}},
    {"an empty prefix",
     "match: [{method: {prefix: ''}}], route: [{destination: {host: a}}]",
     {"8: spec.http[0].match[0].method.prefix: prefix string match should not be empty"}},
    {"two ways to match",
     "match: [{uri: {prefix: /, exact: /}}], route: [{destination: {host: a}}]",
     {"8: spec.http[0].match[0].uri: only one of exact, prefix or regex can be set"}},
    {"a timeout of nothing (measured)",
     "timeout: 0s, route: [{destination: {host: a}}]",
     {"8: spec.http[0].timeout: duration must be greater than 1ms"}},
    {"retries that are off and set",
     "retries: {attempts: 0, retryOn: 5xx}, route: [{destination: {host: a}}]",
     {"8: spec.http[0].retries.attempts: http retry policy configured when attempts are set to 0 "
      "(disabled)"}},
    {"an unknown retry condition",
     "retries: {attempts: 1, retryOn: '5xx,often'}, route: [{destination: {host: a}}]",
     {"8: spec.http[0].retries.retryOn: \"often\" is not a valid retryOn policy"}},
    {"a fault of nothing",
     "fault: {}, route: [{destination: {host: a}}]",
     {"8: spec.http[0].fault: HTTP fault injection must have an abort and/or a delay"}},
    {"a percentage over 100",
     "fault: {abort: {httpStatus: 500, percentage: {value: 101}}}, route: [{destination: {host: "
     "a}}]",
     {"8: spec.http[0].fault.abort.percentage.value: 101 is not a number from 0 to 100"}},
    {"a rewrite of nothing",
     "rewrite: {}, route: [{destination: {host: a}}]",
     {"8: spec.http[0].rewrite: rewrite must specify at least one of URI, UriRegexRewrite or "
      "authority"}},
    {"a header name",
     "headers: {request: {set: {'bad name': x}}}, route: [{destination: {host: a}}]",
     {"8: spec.http[0].headers.request.set: \"bad name\" is not a header name, has no effect"}},
    {"a pseudo header",
     "headers: {response: {add: {':path': x}}}, route: [{destination: {host: a}}]",
     {"8: spec.http[0].headers.response.add: invalid header \":path\": it cannot be manipulated"}},
    {"two authorities",
     "rewrite: {authority: a}, headers: {request: {set: {Host: b}}}, route: [{destination: {host: "
     "a}}]",
     {"8: spec.http[0].headers: authority header cannot be set multiple times"}},
    {"a delegate with a route",
     "delegate: {name: d}, route: [{destination: {host: a}}]",
     {"8: spec.http[0].route: root HTTP route must not specify route"}},
    {"an unknown field warns",
     "route: [{destination: {host: a}}], rout: x",
     {"8: spec.http[0].rout: unknown field, has no effect; did you mean \"route\"?"}},
};
class HttpRuleValidation : public testing::TestWithParam<Case> {};
TEST_P(HttpRuleValidation, SaysWhatIsWrong) {
  EXPECT_EQ(complaints(http_rule(GetParam().rule)), GetParam().complaints);
}
INSTANTIATE_TEST_SUITE_P(Spec, HttpRuleValidation, testing::ValuesIn(cases));

const Case whole_cases[] = {
    {"no rules", "hosts: [a.b]", {"6: spec: http, tcp or tls must be provided in virtual service"}},
    {"every host of the mesh",
     "hosts: ['*']\nhttp: [{route: [{destination: {host: a}}]}]",
     {"6: spec.hosts: wildcard host * is not allowed for virtual services bound to the mesh "
      "gateway"}},
    {"hosts that overlap",
     "hosts: ['*.com', a.com]\nhttp: [{route: [{destination: {host: a}}]}]",
     {"6: spec.hosts: duplicate hosts in virtual service: *.com & a.com"}},
    {"a delegate with gateways",
     "gateways: [g]\nhttp: [{route: [{destination: {host: a}}]}]",
     {"6: spec.gateways: delegate virtual service must have no gateways specified"}},
    {"a delegate with tcp rules",
     "tcp: [{route: [{destination: {host: a}}]}]",
     {"6: spec.tcp: delegate virtual service must have no tcp route specified"}},
    {"tls without a match",
     "hosts: [a.b]\ntls: [{route: [{destination: {host: a}}]}]",
     {"7: spec.tls[0].match: TLS route must have at least one match condition"}},
    {"sni outside the hosts",
     "hosts: [a.b]\ntls: [{match: [{sniHosts: [c.d]}], route: [{destination: {host: a}}]}]",
     {"7: spec.tls[0].match[0].sniHosts: SNI host \"c.d\" is not a compatible subset of any of "
      "the virtual service hosts"}},
    {"a rule behind one for everything",
     "hosts: [a.b]\nhttp:\n- {route: [{destination: {host: a}}]}\n"
     "- {match: [{uri: {prefix: /}}], route: [{destination: {host: a}}]}",
     {"9: spec.http[1]: virtualService rule #1 not used (route without matches defined before)"}},
    {"a match behind a wider one",
     "hosts: [a.b]\nhttp:\n- {name: x, match: [{uri: {prefix: /a}}], route: [{destination: {host: "
     "a}}]}\n"
     "- {match: [{uri: {prefix: /ab}}], route: [{destination: {host: a}}]}",
     {"9: spec.http[1].match[0]: virtualService rule #1 match #0 of prefix /ab is not used "
      "(duplicate/overlapping match in rule #0 of prefix /a on \"x\")"}},
    {"a tcp rule with a match of the one before",
     "hosts: [a.b]\ntcp:\n- {match: [{port: 1}], route: [{destination: {host: a}}]}\n"
     "- {match: [{port: 1}], route: [{destination: {host: a}}]}",
     {"9: spec.tcp[1].match[0]: virtualService rule #1 match #0 is not used "
      "(duplicate/overlapping match in rule #0)",
      "9: spec.tcp[1]: virtualService rule #1 not used (all matches used by prior rules)"}},
    {"tcp without a route",
     "hosts: [a.b]\ntcp: [{match: [{port: 1}]}]",
     {"7: spec.tcp[0].route: TCP route is required"}},
};
class VirtualServiceValidation : public testing::TestWithParam<Case> {};
TEST_P(VirtualServiceValidation, SaysWhatIsWrong) {
  EXPECT_EQ(complaints(document("VirtualService", GetParam().rule)), GetParam().complaints);
}
INSTANTIATE_TEST_SUITE_P(Spec, VirtualServiceValidation, testing::ValuesIn(whole_cases));

TEST(VirtualServiceValidation, ARegexIsRe2s) {
  const auto found = complaints(http_rule(std::string("match: [{uri: {regex: '(a'}}], ") + to));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].starts_with("8: spec.http[0].match[0].uri.regex: \"(a\": missing )"))
      << found[0];
}

TEST(VirtualServiceValidation, ABackReferenceToNoGroupIsRefused) {
  const auto found = complaints(
      http_rule(std::string("rewrite: {uriRegexRewrite: {match: 'a(b)', rewrite: '\\2'}}, ") + to));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].find("spec.http[0].rewrite.uriRegexRewrite.rewrite"), std::string::npos);
}

TEST(VirtualServiceDecoding, TakesFieldsThatDecideNothingWithoutAWord) {
  const auto decoded = decode(
      "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n"
      "  hosts: [a.example]\n"
      "  http: [{match: [{statPrefix: s}], route: [{destination: {host: a.example}}]}]\n"
      "  tcp: [{match: [{sourceSubnet: 198.51.100.0/24}], route: [{destination: {host: "
      "a.example}}]}]\n",
      "f.yaml");
  EXPECT_EQ(decoded.resources.size(), 1u);
  EXPECT_TRUE(decoded.findings.empty()) << decoded.findings.at(0).text();
}

}  // namespace
}  // namespace sallyport::istio
