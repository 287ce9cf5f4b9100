// The key of consistent hashing, for each of its sources.
#include "agent/mesh/request_hash.h"

#include <gtest/gtest.h>

#include "agent/core/xxhash.h"

namespace sallyport::mesh {
namespace {

using Key = HashPolicy::Key;

// xxhsum's values.
TEST(XxHash64, GivesTheReferencesValues) {
  EXPECT_EQ(xxhash64(""), 0xEF46DB3751D8E999u);
  EXPECT_EQ(xxhash64("a"), 0xD24EC4F1A98C6E5Bu);
  EXPECT_EQ(xxhash64("abc"), 0x44BC2CF5AD770999u);
  EXPECT_EQ(xxhash64("Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1u);
}

struct Case {
  const char* name;
  HashPolicy policy;
  std::string request;  // after "GET "
  std::optional<uint64_t> expect;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
HashPolicy by(Key key, std::string name) { return {.key = key, .name = std::move(name)}; }
const std::string plain = "/ HTTP/1.1\r\nHost: a\r\n";
const Case cases[] = {
    {"a header", by(Key::header, "x-user"), plain + "X-User: joe\r\n", xxhash64("joe")},
    {"no such header", by(Key::header, "x-user"), plain, {}},
    {"two of the name: whichever comes first", by(Key::header, "x"), plain + "X: b\r\nX: a\r\n",
     xxhash64("b", xxhash64("a"))},
    {"a cookie among others", by(Key::cookie, "u"), plain + "Cookie: a=1; u=joe; b=2\r\n",
     xxhash64("joe")},
    {"a cookie in quotes, in a second field", by(Key::cookie, "u"),
     plain + "Cookie: a=1\r\nCookie: u=\"joe\"\r\n", xxhash64("joe")},
    {"a cookie whose name only ends alike", by(Key::cookie, "u"), plain + "Cookie: xu=joe\r\n", {}},
    {"an empty cookie is none", by(Key::cookie, "u"), plain + "Cookie: u=\r\n", {}},
    {"a query parameter", by(Key::query_parameter, "id"), "/p?a=1&id=7&b HTTP/1.1\r\nHost: a\r\n",
     xxhash64("7")},
    {"no query", by(Key::query_parameter, "id"), "/id=7 HTTP/1.1\r\nHost: a\r\n", {}},
    {"the client's address", by(Key::source_ip, ""), plain, xxhash64("10.0.0.9")},
    {"nothing", by(Key::none, ""), plain, {}},
};
class RequestHash : public testing::TestWithParam<Case> {};
TEST_P(RequestHash, IsOf) {
  const Case& c = GetParam();
  const std::string text = "GET " + c.request + "\r\n";
  http::Head head;
  ASSERT_EQ(http::parse_request(text, head), http::Parse::done) << c.name;
  EXPECT_EQ(request_hash(c.policy, head, *IpAddress::parse("10.0.0.9")), c.expect) << c.name;
}
INSTANTIATE_TEST_SUITE_P(Spec, RequestHash, testing::ValuesIn(cases));

TEST(ConnectionHash, IsOfTheClientsAddressOnly) {
  const auto client = *IpAddress::parse("2001:db8::1");
  EXPECT_EQ(connection_hash(by(Key::source_ip, ""), client), xxhash64("2001:db8::1"));
  EXPECT_FALSE(connection_hash(by(Key::header, "x"), client));
}

TEST(NewCookie, IsMadeWithATtlWhereTheClientHasNone) {
  auto policy = by(Key::cookie, "u");
  const auto client = *SocketAddress::parse("10.0.0.9:1234");
  const auto dialled = *SocketAddress::parse("10.0.0.1:80");
  const auto made = [&](const std::string& request) {
    const std::string text = "GET " + request + "\r\n";
    http::Head head;
    EXPECT_EQ(http::parse_request(text, head), http::Parse::done);
    return new_cookie(policy, head, client, dialled);
  };
  EXPECT_EQ(made(plain), "");
  policy.ttl = std::chrono::seconds(0);
  const auto value = made(plain);
  EXPECT_EQ(value.size(), 16u);
  EXPECT_EQ(made(plain), value);  // the same on one connection
  EXPECT_EQ(made(plain + "Cookie: u=joe\r\n"), "");
}

TEST(SetCookie, IsAsEnvoyWritesIt) {
  auto policy = by(Key::cookie, "u");
  policy.ttl = std::chrono::seconds(60);
  policy.path = "/p";
  policy.attributes = {{"SameSite", "Lax"}, {"Secure", ""}};
  EXPECT_EQ(set_cookie(policy, "v"),
            "u=\"v\"; Max-Age=60; Path=/p; SameSite=Lax; Secure; HttpOnly");
  policy = by(Key::cookie, "u");
  policy.ttl = std::chrono::seconds(0);
  EXPECT_EQ(set_cookie(policy, "v"), "u=\"v\"; HttpOnly");
}

}  // namespace
}  // namespace sallyport::mesh
