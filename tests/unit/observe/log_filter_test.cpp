// filter.expression: which records it takes, and what is no expression of the subset. Envoy's words
// and CEL's rules: what a record does not have decides nothing.
#include "agent/observe/log_filter.h"

#include "agent/core/limits.h"
#include "tests/unit/observe/log_line.h"

namespace sallyport::observe {
namespace {

// A request of a mesh's client that failed.
AccessRecord failed() {
  AccessRecord r = answered();
  r.server_side = r.mutual_tls = true;
  r.method = "POST";
  r.path = "/v1beta3/items?page=2";
  r.response_code = 503;
  r.flags = UF | URX;
  r.details = "via_upstream";
  r.duration_us = 1'500'000;
  r.bytes_received = 2000;
  r.failure_reason = "TLS_error:_x";
  r.user_agent = "Amazon-Route53-Health-Check-Service";
  r.sni = "outbound_.80_._.a.test";
  r.attempts = 2;
  r.connection_id = 7;
  r.filter_chain = "0.0.0.0_8080";
  r.more().request.keep("x-test", "yes");
  r.more().request.keep("content-type", "application/grpc");
  r.more().response.keep("grpc-status", "14");
  TlsFacts facts;
  facts.version = "TLSv1.3";
  facts.peer_subject = "O=mesh";
  facts.peer_uri_san = "spiffe://td/ns/a/sa/b,spiffe://other";
  r.more().downstream_tls = facts;
  return r;
}

AccessRecord opaque() {
  AccessRecord r;
  r.http = false;
  r.bytes_sent = 5;
  r.cluster = "PassthroughCluster";
  r.downstream_remote = at("10.0.0.1:5");
  return r;
}

std::string takes(const std::string& expression, const AccessRecord& record) {
  const auto filter = LogFilter::parse(expression);
  if (!filter) return filter.error().context;
  return filter->takes(record) ? "logged" : "not logged";
}

struct Case {
  std::string expression;
  bool logged;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.expression; }

class FailedRequest : public testing::TestWithParam<Case> {};
TEST_P(FailedRequest, IsTakenAsTheExpressionSays) {
  EXPECT_EQ(takes(GetParam().expression, failed()), GetParam().logged ? "logged" : "not logged");
}
const Case of_failed[] = {
    {"response.code >= 400", true},
    {"response.code < 400", false},
    {"response.code == 503", true},
    {"response.code == 503.0", true},
    {"response.code != 503u", false},
    {"response.code > -1", true},
    {"response.code in [500, 502, 503]", true},
    {"response.code in []", false},
    {"response.code_details == 'via_upstream'", true},
    {"response.flags != 0", true},
    {"response.flags == 32800", true},  // Envoy's bits 5 (UF) and 15 (URX)
    {"response.grpc_status == 14", true},
    {"response.size == 615", true},
    {"request.method == 'POST' && request.host == \"a.test\"", true},
    {"request.method in ['GET', 'HEAD']", false},
    {"request.path == '/v1beta3/items?page=2'", true},
    {"request.url_path == '/v1beta3/items'", true},
    {"request.query == 'page=2'", true},
    {"connection.mtls && request.url_path.contains('v1beta3')", true},
    {"!has(request.useragent) || !(request.useragent.startsWith(\"Amazon-Route53-Health-Check-"
     "Service\"))",
     false},
    {"request.url_path.startsWith('/v1') && request.url_path.endsWith('items')", true},
    {"request.url_path.endsWith('/v1')", false},
    {"request.path.matches('v[0-9]+beta')", true},
    {"request.path.matches('^beta')", false},
    {"request.path.matches(r'^/v\\d')", true},
    {"request.headers['X-Test'] == 'yes'", true},
    {"request.headers[\"x-other\"] == 'yes'", false},
    {"!(request.headers['x-other'] == 'yes')", false},
    {"request.headers[':path'].startsWith('/v1')", true},
    {"'x-test' in request.headers", true},
    {"!('x-other' in request.headers)", true},
    {"has(request.headers.x_test) || has(request.headers.accept)", false},
    {"response.headers['grpc-status'] == '14'", true},
    {"'grpc-status' in response.trailers", false},
    {"request.duration > duration('1s')", true},
    {"request.duration >= duration(\"1500ms\")", true},
    {"request.duration > duration('1.6s')", false},
    {"request.size >= 1024", true},
    {"connection.requested_server_name == 'outbound_.80_._.a.test'", true},
    {"connection.tls_version == 'TLSv1.3'", true},
    {"connection.subject_peer_certificate == 'O=mesh'", true},
    {"connection.uri_san_peer_certificate == 'spiffe://td/ns/a/sa/b'", true},
    {"has(upstream.tls_version)", false},
    {"source.address == '1.2.3.4:5' && source.port == 5", true},
    {"destination.address == '[2001:db8::1]:80' && destination.port == 80", true},
    {"upstream.address == '127.0.0.1:18081' && upstream.port == 18081", true},
    {"upstream.local_address != upstream.address", true},
    {"upstream.transport_failure_reason.contains('TLS')", true},
    {"upstream.request_attempt_count > 1 && connection.id == 7", true},
    {"xds.cluster_name == 'outbound|80||a.test' && xds.route_name == 'default'", true},
    {"request.host < 'b' && request.host > 'a'", true},
    {"true", true},
    {"!true || (false || !!true) && true", true},
    {"connection.mtls == true", true},
    {"'\\x41\\'\"' == \"A'\\\"\"", true},
};
INSTANTIATE_TEST_SUITE_P(Spec, FailedRequest, testing::ValuesIn(of_failed));

class OpaqueConnection : public testing::TestWithParam<Case> {};
TEST_P(OpaqueConnection, HasNoRequest) {
  EXPECT_EQ(takes(GetParam().expression, opaque()), GetParam().logged ? "logged" : "not logged");
}
const Case of_opaque[] = {
    {"response.code >= 400", false},
    {"response.code < 400", false},
    {"!(response.code < 400)", false},
    {"!has(response.code)", true},
    {"has(request.method)", false},
    {"!has(response.code) || response.code >= 400", true},
    {"response.code >= 400 || !has(response.code)", true},
    {"response.code >= 400 && false || true", true},
    {"response.code >= 400 || false", false},
    {"response.code in [0]", false},
    {"request.path.contains('')", false},
    {"'x' in request.headers", false},
    {"connection.mtls", false},
    {"response.flags == 0 && response.size == 5", true},
    {"xds.cluster_name == 'PassthroughCluster'", true},
    {"has(upstream.address)", false},
};
INSTANTIATE_TEST_SUITE_P(Spec, OpaqueConnection, testing::ValuesIn(of_opaque));

TEST(LogFilter, ARequestWithoutAnAnswerHasNoCode) {
  AccessRecord r = answered();
  r.response_code = 0;
  EXPECT_EQ(takes("response.code < 400", r), "not logged");
  EXPECT_EQ(takes("!has(response.code)", r), "logged");
}

struct Refusal {
  std::string expression, why;
};
void PrintTo(const Refusal& c, std::ostream* out) { *out << c.expression.substr(0, 80); }
class NoFilter : public testing::TestWithParam<Refusal> {};
TEST_P(NoFilter, IsRefusedWithItsPlace) {
  EXPECT_EQ(takes(GetParam().expression, answered()), GetParam().why);
}
const Refusal refusals[] = {
    {"", "column 1: the expression ends too early"},
    {"response.code >=", "column 17: the expression ends too early"},
    {"response.code >= 400 400", "column 22: \"400\" is not expected here"},
    {"response.code", "column 1: is a number, and a condition is wanted"},
    {"request.headers", "column 1: is a map, and a condition is wanted"},
    {"response.status == 200",
     "column 1: \"response.status\" is not a known attribute; did you mean \"response.flags\"?"},
    {"response.code == '200'", "column 15: a number is compared with a string"},
    {"request.headers == 'x'", "column 17: a map is compared with a string"},
    {"connection.mtls > false", "column 17: booleans have no order"},
    {"response.code && true", "column 1: is a number, and a condition is wanted"},
    {"true || request.path", "column 9: is a string, and a condition is wanted"},
    {"!response.code", "column 2: is a number, and a condition is wanted"},
    {"response.code in ['a']", "column 15: a number is looked for in a list with a string"},
    {"response.code in 200", "column 15: 'in' wants a list or a map of headers"},
    {"request.path in request.headers", "column 14: in a map only a literal string is looked for"},
    {"1 in [response.code]", "column 7: in a list only literals are supported"},
    {"request.path[0] == 'a'", "column 13: only a map of headers has an index"},
    {"request.headers[request.path] == 'a'", "column 17: a header's name in quotes is wanted"},
    {"has(request.headers['a'])",
     "column 20: has() takes no index: write 'name' in request.headers"},
    {"has(request.headers)", "column 5: has() wants one of the headers"},
    {"has('a')", "column 5: has() wants an attribute"},
    {"response.headers[':status'] == '200'", "column 18: \":status\" is not supported"},
    {"size(request.path) > 5", "column 1: the function size() is not supported"},
    {"request.path.size() > 5", "column 14: the function size() is not supported"},
    {"request.path.lower == 'a'", "column 14: \"lower\" is not a known attribute"},
    {"request.path.contains(5)", "column 14: contains() is for strings"},
    {"request.path.matches(request.host)", "column 22: matches() wants a literal pattern"},
    {"request.path.matches('(')",
     "column 22: \"(\": missing ): (; Istio uses RE2 style regex-based match "
     "(https://github.com/google/re2/wiki/Syntax)"},
    {"request.duration > duration('soon')",
     "column 29: is no duration such as \"1.5s\" or \"500ms\""},
    {"response.code ? true : false", "column 15: '?' is not supported"},
    {"response.code + 1 > 5", "column 15: '+' is not supported"},
    {"response.code = 5", "column 15: '=' is not supported"},
    {"request.path == 'a", "column 17: has no end"},
    {"request.path == '\\q'", "column 17: has an escape that is not supported"},
    {"(true", "column 6: ')' is missing"},
    {"response.code == 99999999999999999999", "column 18: is too large a number"},
    {"true\x01", "column 5: '?' is not supported"},
};
INSTANTIATE_TEST_SUITE_P(Spec, NoFilter, testing::ValuesIn(refusals));

std::string repeated(const std::string& part, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; i++) out += part;
  return out;
}

TEST(LogFilter, ThatIsTooMuchIsRefused) {
  EXPECT_EQ(takes(repeated("!", 40) + "true", answered()),
            "column 33: the expression is nested too deeply");
  EXPECT_EQ(takes(repeated("(", 2000) + "true", answered()),
            "column 33: the expression is nested too deeply");
  EXPECT_NE(takes("true" + repeated("||true", 200), answered()).find("too many parts"),
            std::string::npos);
  EXPECT_EQ(takes(repeated(" ", limits::log_filter_bytes) + "true", answered()),
            "column 1: is longer than 4096 bytes");
}

TEST(LogFilter, SaysWhatHasToBeKeptOfARequest) {
  const auto filter = LogFilter::parse(
      "request.headers['X-A'] == 'b' && 'C' in response.headers && has(upstream.tls_version) && "
      "response.grpc_status == 0 && has(request.headers.d) && request.headers[':path'] == '/'");
  ASSERT_TRUE(filter);
  const LogNeeds& needs = filter->needs();
  EXPECT_EQ(needs.request_headers, (std::vector<std::string>{"x-a", "d"}));
  EXPECT_EQ(needs.response_headers, (std::vector<std::string>{"c", "grpc-status"}));
  EXPECT_EQ(needs.trailers, std::vector<std::string>{"grpc-status"});
  EXPECT_TRUE(needs.upstream_tls);
  EXPECT_FALSE(needs.downstream_tls);
}

}  // namespace
}  // namespace sallyport::observe
