// What a rule makes of paths, redirects and heads (istio-api.md 1.4, 7).
#include "agent/proxy/edits.h"

#include <gtest/gtest.h>

namespace sallyport::proxy {
namespace {

struct RewriteCase {
  const char* rule;
  mesh::Rewrite rewrite;
  const char* path;
  const char* expect;
};
void PrintTo(const RewriteCase& c, std::ostream* out) { *out << c.rule; }

mesh::Rewrite prefix(std::string matched, std::string path) {
  return {.matched_prefix = std::move(matched), .path = std::move(path)};
}
mesh::Rewrite by_regex(std::string pattern, std::string substitution) {
  mesh::Rewrite out;
  out.regex.emplace(pattern);
  out.substitution = std::move(substitution);
  return out;
}

const RewriteCase rewrite_cases[] = {
    {"the matched prefix is replaced", prefix("/api", "/v1"), "/api/x", "/v1/x"},
    {"literally (measured)", prefix("/noslash", "/"), "/noslash/x", "//x"},
    {"without a uri match the prefix is / (measured)", prefix("/", "/v1"), "/x", "/v1x"},
    {"the query stays", prefix("/api", "/v1"), "/api?a=/api", "/v1?a=/api"},
    {"an exact match is replaced whole", {.whole_path = true, .path = "/y"}, "/x?q", "/y?q"},
    {"an authority alone leaves the path", {.authority = "b.c"}, "/x?q", "/x?q"},
    {"a regex with groups", by_regex("/a/([^/]+)/(.*)", "/\\2/\\1"), "/a/b/c?d", "/c/b?d"},
    {"every match of it", by_regex("a", "b"), "/a/a", "/b/b"},
};
class Rewriting : public testing::TestWithParam<RewriteCase> {};
TEST_P(Rewriting, GivesThePath) {
  EXPECT_EQ(rewritten_path(GetParam().rewrite, GetParam().path), GetParam().expect);
}
INSTANTIATE_TEST_SUITE_P(Spec, Rewriting, testing::ValuesIn(rewrite_cases));

struct RedirectCase {
  const char* rule;
  mesh::Redirect redirect;
  const char* authority;
  const char* expect;
};
void PrintTo(const RedirectCase& c, std::ostream* out) { *out << c.rule; }

const RedirectCase redirect_cases[] = {
    {"a path", {.path = "/there"}, "a.b", "http://a.b/there"},
    {"a host", {.authority = "c.d"}, "a.b", "http://c.d/x?q"},
    {"scheme https drops :80 (measured)", {.scheme = "https"}, "a.b:80", "https://a.b/x?q"},
    {"another port stays", {.scheme = "https"}, "a.b:8080", "https://a.b:8080/x?q"},
    {"a port", {.port = 8443}, "a.b:80", "http://a.b:8443/x?q"},
    {"the scheme's own is not written", {.scheme = "https", .port = 443}, "a.b", "https://a.b/x?q"},
    {"the request's port",
     {.authority = "c.d", .derive_request_port = true},
     "a.b:8080",
     "http://c.d:8080/x?q"},
    {"a prefix", {.prefix_rewrite = "/y", .matched_prefix = "/x"}, "a.b", "http://a.b/y?q"},
    {"an IPv6 host", {.port = 81}, "[2001:db8::1]:80", "http://[2001:db8::1]:81/x?q"},
};
class Redirecting : public testing::TestWithParam<RedirectCase> {};
TEST_P(Redirecting, SaysWhere) {
  const auto& c = GetParam();
  EXPECT_EQ(redirect_location(c.redirect, "http", c.authority, "/x?q"), c.expect);
}
INSTANTIATE_TEST_SUITE_P(Spec, Redirecting, testing::ValuesIn(redirect_cases));

http::Head parsed(const std::string& text) {
  http::Head head;
  EXPECT_EQ(http::parse_request(text, head), http::Parse::done) << text;
  return head;
}
const std::string request =
    "GET /x HTTP/1.1\r\nhost: a.b\r\nX-Keep: 1\r\nX-Old: 2\r\ncontent-length: 5\r\n\r\n";

TEST(EditedRequest, RemovesThenSetsThenAdds) {
  const istio::HeaderOperations operations{
      .set = {{"x-keep", "new"}, {"x-set", "s"}}, .add = {{"x-add", "a"}}, .remove = {"x-old"}};
  const istio::HeaderOperations* const list[] = {&operations};
  EXPECT_EQ(edited_request(parsed(request), {}, list, {}),
            "GET /x HTTP/1.1\r\nHost: a.b\r\ncontent-length: 5\r\nx-keep: new\r\nx-set: s\r\n"
            "x-add: a\r\n\r\n");
}

TEST(EditedRequest, TellsThePathThatItHad) {
  EXPECT_EQ(edited_request(parsed(request), {.path = "/y"}, {}, {}),
            "GET /y HTTP/1.1\r\nHost: a.b\r\nX-Keep: 1\r\nX-Old: 2\r\ncontent-length: 5\r\n"
            "x-envoy-original-path: /x\r\n\r\n");
}

TEST(EditedRequest, TakesAnotherAuthority) {
  const auto text = edited_request(parsed("GET http://a.b/x HTTP/1.1\r\nHost: a.b\r\n\r\n"),
                                   {.authority = "c.d:81"}, {}, {});
  EXPECT_EQ(text, "GET /x HTTP/1.1\r\nHost: c.d:81\r\n\r\n");
}

TEST(EditedRequest, NeverChangesItsFraming) {
  const istio::HeaderOperations operations{
      .set = {{"Content-Length", "0"}, {"transfer-encoding", "chunked"}},
      .add = {{"Connection", "x-keep"}},
      .remove = {"content-length"}};
  const istio::HeaderOperations* const list[] = {&operations};
  const auto text = edited_request(parsed(request), {}, list, {});
  EXPECT_NE(text.find("content-length: 5\r\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("chunked"), std::string::npos) << text;
  EXPECT_EQ(text.find("Connection"), std::string::npos) << text;
}

TEST(EditedResponse, KeepsItsFirstLine) {
  const std::string response = "HTTP/1.1 404 Nope\r\nserver: x\r\nx-a: 1\r\n\r\n";
  http::Head head;
  ASSERT_EQ(http::parse_response(response, head), http::Parse::done);
  const istio::HeaderOperations operations{.set = {{"x-a", "2"}}};
  const istio::HeaderOperations* const list[] = {&operations, nullptr};
  EXPECT_EQ(edited_response(head, list, {}), "HTTP/1.1 404 Nope\r\nserver: x\r\nx-a: 2\r\n\r\n");
}

TEST(Edits, AFormatWithoutAValueLeavesTheFieldAsItIs) {
  const istio::HeaderOperations operations{.set = {{"x-keep", "%ABSENT%"}, {"x-set", "%HERE%"}},
                                           .add = {{"x-add", "%ABSENT%"}},
                                           .formatted = true};
  const istio::HeaderOperations* const list[] = {&operations};
  const auto text_of = [](const std::string& value) {
    return value == "%HERE%" ? std::string("here") : std::string();
  };
  const std::string request = "GET /x HTTP/1.1\r\nHost: a.b\r\nX-Keep: 1\r\n\r\n";
  EXPECT_EQ(edited_request(parsed(request), {}, list, text_of),
            "GET /x HTTP/1.1\r\nHost: a.b\r\nX-Keep: 1\r\nx-set: here\r\n\r\n");
}

}  // namespace
}  // namespace sallyport::proxy
