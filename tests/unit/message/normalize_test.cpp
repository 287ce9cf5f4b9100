// What a path becomes before any rule sees it: istio-api.md 7 "paths", MeshConfig
// pathNormalization, RFC 3986 sections 5.2.4 and 6.2.2.
#include "agent/http/message/normalize.h"

#include <gtest/gtest.h>

namespace sallyport::http {
namespace {

constexpr PathRules base, merge{.merge_slashes = true},
    decode{.merge_slashes = true, .decode_slashes = true};

// The path that is routed and sent on; "!" and the reason where it is refused.
std::string normalized(std::string_view path, const PathRules& rules,
                       std::string_view before = "") {
  std::string text = "GET " + std::string(before) + std::string(path) +
                     " HTTP/1.1\r\nHost: a.test\r\nX-After: kept\r\n\r\n";
  Head head;
  if (parse_request(text, head) != Parse::done) return "not parsed";
  if (!normalize_path(head, text.data(), rules)) return std::string("!") + head.refuse_reason;
  EXPECT_EQ(head.find("x-after"), "kept");
  return std::string(head.origin_path());
}

struct Case {
  const char *path, *base, *merged, *decoded;
};
const Case cases[] = {
    {"/plain/path?q=1", "/plain/path?q=1", "/plain/path?q=1", "/plain/path?q=1"},
    {"/", "/", "/", "/"},
    {"/%61dmin", "/admin", "/admin", "/admin"},
    {"/%7Euser/%2D%5f", "/~user/-_", "/~user/-_", "/~user/-_"},
    {"/a/./b/../c", "/a/c", "/a/c", "/a/c"},
    {"/a/%2e/b/%2E%2e/c", "/a/c", "/a/c", "/a/c"},
    {"/a/.%2e/b", "/b", "/b", "/b"},
    {"/../../etc", "/etc", "/etc", "/etc"},
    {"/a/..", "/", "/", "/"},
    {"/a/b/.", "/a/b/", "/a/b/", "/a/b/"},
    {"/a/...", "/a/...", "/a/...", "/a/..."},
    {"/.hidden/a%2eb", "/.hidden/a.b", "/.hidden/a.b", "/.hidden/a.b"},
    {"/a\\b\\..\\c", "/a/c", "/a/c", "/a/c"},
    {"/a//b", "/a//b", "/a/b", "/a/b"},
    {"/a//../b", "/a/b", "/a/b", "/a/b"},
    {"/a%2Fb", "/a%2Fb", "/a%2Fb", "/a/b"},
    {"/a%2f%2e%2e%5cb", "/a%2f..%5cb", "/a%2f..%5cb", "/b"},
    {"/a%2F/b", "/a%2F/b", "/a%2F/b", "/a/b"},
    {"/a%20b%C3%A4", "/a%20b%C3%A4", "/a%20b%C3%A4", "/a%20b%C3%A4"},
    {"/not%an%zzescape%", "/not%an%zzescape%", "/not%an%zzescape%", "/not%an%zzescape%"},
    {"/%2%65%2%65/a", "/%2%65%2%65/a", "/%2%65%2%65/a", "/%2%65%2%65/a"},
    {"/%%361", "/%%361", "/%%361", "/%%361"},
    {"/%2561", "/%2561", "/%2561", "/%2561"},
    {"/x?q=%61&r=/../%2F//", "/x?q=%61&r=/../%2F//", "/x?q=%61&r=/../%2F//",
     "/x?q=%61&r=/../%2F//"},
    {"/%61/../b?q=%61", "/b?q=%61", "/b?q=%61", "/b?q=%61"},
    {"/a%00b", "!path_normalization_failed", "!path_normalization_failed",
     "!path_normalization_failed"},
};

TEST(PathNormalization, GivesEachPathOneSpelling) {
  for (const auto& one : cases) {
    EXPECT_EQ(normalized(one.path, base), one.base) << one.path << " under BASE";
    EXPECT_EQ(normalized(one.path, merge), one.merged) << one.path << " under MERGE_SLASHES";
    EXPECT_EQ(normalized(one.path, decode), one.decoded)
        << one.path << " under DECODE_AND_MERGE_SLASHES";
  }
}

TEST(PathNormalization, IsStable) {
  for (const auto& one : cases) {
    for (const auto* rules : {&base, &merge, &decode}) {
      const auto once = normalized(one.path, *rules);
      if (once.starts_with('!')) continue;
      EXPECT_EQ(normalized(once, *rules), once) << one.path;
    }
  }
}

TEST(PathNormalization, ReadsThePathOfAnAbsoluteTarget) {
  EXPECT_EQ(normalized("/a/../%62?x", base, "http://a.test"), "/b?x");
  EXPECT_EQ(normalized("", base, "http://a.test"), "/");
}

TEST(PathNormalization, LeavesAnAsteriskAlone) {
  std::string text = "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n";
  Head head;
  ASSERT_EQ(parse_request(text, head), Parse::done);
  EXPECT_TRUE(normalize_path(head, text.data(), decode));
  EXPECT_EQ(head.origin_path(), "*");
}

}  // namespace
}  // namespace sallyport::http
