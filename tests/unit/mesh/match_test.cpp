// Which requests a rule's match takes (istio-api.md 1.4, 7).
#include "agent/mesh/match.h"

#include <gtest/gtest.h>

#include "agent/istio/decode.h"
#include "agent/mesh/compile_actions.h"

namespace sallyport::mesh {
namespace {

struct Case {
  const char* what;
  const char* match;  // an HTTPMatchRequest
  const char* request;
  bool taken;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.what; }

const Case cases[] = {
    {"prefix", "uri: {prefix: /foo}", "GET /foo/bar", true},
    {"a prefix ends anywhere", "uri: {prefix: /foo}", "GET /foobar", true},
    {"not elsewhere", "uri: {prefix: /foo}", "GET /a/foo", false},
    {"exact", "uri: {exact: /foo}", "GET /foo", true},
    {"exact leaves the query out", "uri: {exact: /foo}", "GET /foo?a=b", true},
    {"exact is all of the path", "uri: {exact: /foo}", "GET /foo/", false},
    {"case counts", "uri: {exact: /foo}", "GET /FOO", false},
    {"unless it is ignored", "uri: {exact: /foo}, ignoreUriCase: true", "GET /FOO", true},
    {"of a prefix too", "uri: {prefix: /Foo}, ignoreUriCase: true", "GET /fOO/x", true},
    {"a regex matches all of it", "uri: {regex: '/f.*'}", "GET /foo", true},
    {"and not a part", "uri: {regex: '/f'}", "GET /foo", false},
    {"a regex does not see the query", "uri: {regex: '/[a-z]+'}", "GET /foo?9", true},
    {"method", "method: {exact: POST}", "GET /", false},
    {"method, as sent", "method: {exact: GET}", "GET /", true},
    {"scheme", "scheme: {exact: http}", "GET /", true},
    {"authority is raw", "authority: {exact: a.b}", "GET /", false},
    {"authority with its port", "authority: {exact: 'a.b:80'}", "GET /", true},
    {"a header", "headers: {x-user: {exact: jason}}", "GET / X-User=jason", true},
    {"another value", "headers: {x-user: {exact: jason}}", "GET / X-User=john", false},
    {"the header's absence", "headers: {x-user: {exact: jason}}", "GET /", false},
    {"presence", "headers: {x-user: {}}", "GET / X-User=", true},
    {"an empty value asks for presence", "headers: {x-user: {exact: ''}}", "GET / X-User=a", true},
    {"a star too, where it stands for absence", "withoutHeaders: {x-user: {regex: '*'}}",
     "GET / X-User=a", false},
    {"but not of nothing", "headers: {x-user: {}}", "GET /", false},
    {"several of a name are one", "headers: {x-a: {exact: 'b,c'}}", "GET / x-a=b X-A=c", true},
    {"a prefix of a header", "headers: {x-a: {prefix: b}}", "GET / x-a=bc", true},
    {"without", "withoutHeaders: {x-a: {exact: b}}", "GET / x-a=b", false},
    {"without, absent", "withoutHeaders: {x-a: {exact: b}}", "GET /", true},
    {"without, another value", "withoutHeaders: {x-a: {exact: b}}", "GET / x-a=c", true},
    {"a query parameter", "queryParams: {q: {exact: a}}", "GET /?p=b&q=a", true},
    {"another", "queryParams: {q: {exact: a}}", "GET /?q=b", false},
    {"not decoded (measured)", "queryParams: {q: {exact: 'a b'}}", "GET /?q=a%20b", false},
    {"the first counts", "queryParams: {q: {exact: a}}", "GET /?q=b&q=a", false},
    {"an empty value", "queryParams: {q: {exact: ''}}", "GET /?q=", true},
    {"is not any value", "queryParams: {q: {exact: ''}}", "GET /?q=1", false},
    {"presence of a parameter", "queryParams: {q: {}}", "GET /?q", true},
    {"a path is no query", "queryParams: {q: {}}", "GET /q=1", false},
    {"all must hold", "uri: {prefix: /a}, method: {exact: PUT}", "GET /a", false},
};

class RouteMatching : public testing::TestWithParam<Case> {};
TEST_P(RouteMatching, TakesWhatIstioTakes) {
  const Case& c = GetParam();
  const auto decoded = istio::decode(
      "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\n"
      "spec:\n  hosts: [a.b]\n  http: [{match: [{" +
          std::string(c.match) + "}], route: [{destination: {host: a}}]}]\n",
      "f.yaml");
  ASSERT_EQ(decoded.resources.size(), 1u) << decoded.findings[0].text();
  const auto& service = std::get<istio::VirtualService>(decoded.resources[0]);

  std::istringstream words(c.request);
  std::string method, path, field;
  words >> method >> path;
  std::string text = method + " " + path + " HTTP/1.1\r\nHost: a.b:80\r\n";
  while (words >> field) {
    const auto equals = field.find('=');
    text += field.substr(0, equals) + ": " + field.substr(equals + 1) + "\r\n";
  }
  text += "\r\n";
  http::Head head;
  ASSERT_EQ(http::parse_request(text, head), http::Parse::done);
  const RequestFacts facts{.authority = head.authority(),
                           .path = head.origin_path(),
                           .method = head.method(),
                           .head = &head};
  const auto match = compile_match(&service.http[0].match[0]);
  ASSERT_TRUE(match);
  EXPECT_EQ(matches(*match, facts), c.taken);
}
INSTANTIATE_TEST_SUITE_P(Spec, RouteMatching, testing::ValuesIn(cases));

}  // namespace
}  // namespace sallyport::mesh
