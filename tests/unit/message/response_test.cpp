// What a response's head may look like. A bad one is a 502 (UPE): there is no detail to tell.
#include <gtest/gtest.h>

#include "agent/http/message/head.h"

namespace sallyport::http {
namespace {

std::string response(std::string_view line, std::string_view fields = "") {
  return std::string(line) + "\r\n" + std::string(fields) + "\r\n";
}
std::string ok(std::string_view fields) { return response("HTTP/1.1 200 OK", fields); }

struct Case {
  const char* name;
  std::string text;
  Parse expect;
};
class ResponseHead : public testing::TestWithParam<Case> {};
TEST_P(ResponseHead, IsTakenOrRefused) {
  Head head;
  EXPECT_EQ(parse_response(GetParam().text, head), GetParam().expect) << GetParam().name;
}

const Case lines[] = {
    {"usual", response("HTTP/1.1 200 OK"), Parse::done},
    {"no reason", response("HTTP/1.1 200 "), Parse::done},
    {"no blank before no reason", response("HTTP/1.1 200"), Parse::done},
    {"reason of several words", response("HTTP/1.1 404 Not at all \xe9"), Parse::done},
    {"HTTP/1.0", response("HTTP/1.0 200 OK"), Parse::done},
    {"status without a name", response("HTTP/1.1 799 ?"), Parse::done},
    {"not HTTP", response("garbage that is long enough"), Parse::bad},
    {"TLS alert", std::string("\x15\x03\x03\x00\x02\x02\x28 and more", 16), Parse::bad},
    {"HTTP/2.0", response("HTTP/2.0 200 OK"), Parse::bad},
    {"HTTP/1.2", response("HTTP/1.2 200 OK"), Parse::bad},
    {"lower case", response("http/1.1 200 OK"), Parse::bad},
    {"two blanks", response("HTTP/1.1  200 OK"), Parse::bad},
    {"two digits", response("HTTP/1.1 20 OK"), Parse::bad},
    {"four digits", response("HTTP/1.1 2000 OK"), Parse::bad},
    {"status below 100", response("HTTP/1.1 099 OK"), Parse::bad},
    {"letters", response("HTTP/1.1 2OO OK"), Parse::bad},
    {"NUL in the reason", response(std::string_view("HTTP/1.1 200 O\0K", 16)), Parse::bad},
    {"bare CR in the reason", response("HTTP/1.1 200 O\rK"), Parse::bad},
    {"bare LF", "HTTP/1.1 200 OK\nX: 1\r\n\r\n", Parse::bad},
    {"empty line first", "\r\n" + ok(""), Parse::bad},
};
INSTANTIATE_TEST_SUITE_P(StatusLine, ResponseHead, testing::ValuesIn(lines));

const Case fields[] = {
    {"length", ok("Content-Length: 3\r\n"), Parse::done},
    {"chunked", ok("Transfer-Encoding: chunked\r\n"), Parse::done},
    {"both", ok("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), Parse::bad},
    {"two lengths", ok("Content-Length: 3\r\nContent-Length: 4\r\n"), Parse::bad},
    {"bad length", ok("Content-Length: 3x\r\n"), Parse::bad},
    {"unknown coding", ok("Transfer-Encoding: gzip\r\n"), Parse::bad},
    {"chunked in HTTP/1.0", response("HTTP/1.0 200 OK", "Transfer-Encoding: chunked\r\n"),
     Parse::bad},
    {"NUL in a value", ok(std::string_view("X: a\0b\r\n", 8)), Parse::bad},
    {"folded line", ok("X: a\r\n b\r\n"), Parse::bad},
    {"two Hosts mean nothing here", ok("Host: a\r\nHost: b/c\r\n"), Parse::done},
};
INSTANTIATE_TEST_SUITE_P(Fields, ResponseHead, testing::ValuesIn(fields));

TEST(ResponseHead, IsReadWhereItLies) {
  const std::string text =
      "HTTP/1.1 301 Moved Permanently\r\nServer: nginx\r\nDate: today\r\nContent-Length: 0\r\n"
      "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  Head head;
  ASSERT_EQ(parse_response(text, head), Parse::done);
  EXPECT_EQ(head.status, 301);
  EXPECT_EQ(head.size, text.size());
  EXPECT_EQ(head.value_at(head.server), "nginx");
  EXPECT_EQ(head.value_at(head.date), "today");
  EXPECT_EQ(head.value_at(head.upgrade), "websocket");
  EXPECT_TRUE(head.wants_upgrade);
}

TEST(ResponseHead, IsIncompleteUntilItsLastByte) {
  const std::string text = ok("Server: nginx\r\nContent-Length: 0\r\n");
  Head head;
  for (std::size_t size = 0; size < text.size(); size++) {
    const std::vector<char> part(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(parse_response({part.data(), size}, head), Parse::more) << size;
  }
}

TEST(ResponseHead, FieldsOfThisHopAreMarked) {
  const std::string text =
      ok("Server: nginx\r\nServer: again\r\nConnection: keep-alive, x-foo, content-length\r\n"
         "X-Foo: 1\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\n"
         "x-envoy-upstream-service-time: 7\r\nx-envoy-peer-metadata-id: m\r\n"
         "x-envoy-attempt-count: 7\r\nVia: 1\r\nDate: x\r\n");
  Head head;
  ASSERT_EQ(parse_response(text, head), Parse::done);
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < head.count; i++)
    if (!head.fields[i].hop) kept.emplace_back(head.name(head.fields[i]));
  EXPECT_EQ(kept,
            (std::vector<std::string>{"Content-Length", "x-envoy-attempt-count", "Via", "Date"}));
}

TEST(ResponseHead, HasLimits) {
  Head head;
  EXPECT_EQ(parse_response(ok("X: " + std::string(1 << 20, 'a') + "\r\n"), head), Parse::bad);
  std::string many;
  for (int i = 0; i < 101; i++) many += "X: 1\r\n";
  EXPECT_EQ(parse_response(ok(many), head), Parse::bad);
}

TEST(SameName, IgnoresCaseOfLettersOnly) {
  EXPECT_TRUE(same_name("Content-LENGTH", "content-length"));
  EXPECT_FALSE(same_name("content_length", "content-length"));
  EXPECT_FALSE(same_name("content-lengt", "content-length"));
  EXPECT_FALSE(same_name("\x4f\x0d", "o-"));
}

}  // namespace
}  // namespace sallyport::http
