// Where a message's body ends, however its bytes arrive.
#include <gtest/gtest.h>

#include "agent/http/body.h"

namespace sallyport::http {
namespace {

Head parsed(const std::string& text, bool response) {
  Head head;
  EXPECT_EQ(response ? parse_response(text, head) : parse_request(text, head), Parse::done);
  return head;
}

TEST(Body, OfLengthTakesThatMuch) {
  Body body = Body::of(5);
  EXPECT_EQ(body.eat("hel"), 3u);
  EXPECT_FALSE(body.over());
  EXPECT_EQ(body.eat("loGET /"), 2u);
  EXPECT_TRUE(body.over());
  EXPECT_EQ(body.eat("GET /"), 0u);
  EXPECT_EQ(body.content_bytes(), 5u);
  EXPECT_TRUE(Body::none().over());
}

TEST(Body, ToTheEndTakesAllAndIsNeverOver) {
  Body body = Body::to_the_end();
  EXPECT_EQ(body.eat("anything"), 8u);
  EXPECT_TRUE(body.until_end() && !body.over() && !body.bad());
}

TEST(Body, OfARequestWithoutLengthIsNone) {
  const std::string text = "POST / HTTP/1.1\r\nHost: a\r\n\r\n";
  EXPECT_TRUE(Body::of_request(parsed(text, false)).over());
}

struct ResponseCase {
  const char* name;
  const char* text;
  const char* method;
  bool none, until_end;
};
class BodyOfResponse : public testing::TestWithParam<ResponseCase> {};
TEST_P(BodyOfResponse, FollowsRfc9112Section63) {
  const auto& c = GetParam();
  const std::string text = c.text;
  const Body body = Body::of_response(parsed(text, true), c.method);
  EXPECT_EQ(body.over(), c.none) << c.name;
  EXPECT_EQ(body.until_end(), c.until_end) << c.name;
}
const ResponseCase response_cases[] = {
    {"length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", false, false},
    {"length 0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", true, false},
    {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", false, false},
    {"neither", "HTTP/1.1 200 OK\r\n\r\n", "GET", false, true},
    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", true, false},
    {"HEAD, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", true, false},
    {"HEAD, neither", "HTTP/1.1 200 OK\r\n\r\n", "HEAD", true, false},
    {"204 that says otherwise", "HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", "GET", true, false},
    {"304 with a length", "HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\n", "GET", true, false},
    {"100", "HTTP/1.1 100 Continue\r\n\r\n", "PUT", true, false},
    {"101", "HTTP/1.1 101 Switching\r\n\r\n", "GET", true, false},
};
INSTANTIATE_TEST_SUITE_P(Spec, BodyOfResponse, testing::ValuesIn(response_cases));

struct ChunkCase {
  const char* name;
  std::string framed;   // ends where the body ends, or with the first bad byte
  const char* content;  // null: refused
};
class Chunks : public testing::TestWithParam<ChunkCase> {};

// Feeds pieces of `step` bytes, then bytes of a next message; tells content and bytes taken.
std::pair<std::string, std::size_t> unframe(Body& body, const std::string& text, std::size_t step) {
  std::string content;
  std::size_t taken = 0;
  while (taken < text.size() && !body.over() && !body.bad()) {
    std::string_view piece = std::string_view(text).substr(taken, step);
    while (!piece.empty()) {
      const auto part = body.next(piece);
      content += part.content;
      taken += part.taken;
      piece.remove_prefix(part.taken);
      if (part.taken == 0) break;
    }
  }
  return {content, taken};
}

TEST_P(Chunks, AreTheSameForAnySplit) {
  const auto& c = GetParam();
  const std::string text = c.framed + "GET /";
  for (std::size_t step = 1; step <= text.size(); step++) {
    Body body = Body::of_chunks();
    const auto [content, taken] = unframe(body, text, step);
    EXPECT_EQ(body.bad(), c.content == nullptr) << c.name << " by " << step;
    EXPECT_EQ(body.over(), c.content != nullptr) << c.name << " by " << step;
    if (!c.content) {
      EXPECT_EQ(taken, c.framed.size() - 1) << c.name << " by " << step;
      continue;
    }
    EXPECT_EQ(content, c.content) << c.name << " by " << step;
    EXPECT_EQ(taken, c.framed.size()) << c.name << " by " << step;
    EXPECT_EQ(body.content_bytes(), content.size()) << c.name;
    Body again = Body::of_chunks();
    std::size_t eaten = 0;
    while (eaten < text.size()) {
      const auto n = again.eat(std::string_view(text).substr(eaten, step));
      eaten += n;
      if (n < step) break;
    }
    EXPECT_EQ(eaten, c.framed.size()) << c.name << " by " << step;
  }
}

const ChunkCase good_chunks[] = {
    {"one", "5\r\nhello\r\n0\r\n\r\n", "hello"},
    {"several", "5\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\n\r\n", "hello 0123456789"},
    {"either case", "a\r\n0123456789\r\nB\r\n0123456789x\r\n0\r\n\r\n", "01234567890123456789x"},
    {"none", "0\r\n\r\n", ""},
    {"leading zeros", "005\r\nhello\r\n000\r\n\r\n", "hello"},
    {"content that looks like framing", "7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n\r\n"},
    {"extension", "5;a=b;c=\"d;e\"\r\nhello\r\n0;last\r\n\r\n", "hello"},
    {"blanks before an extension", "5 \t;a\r\nhello\r\n0\r\n\r\n", "hello"},
    {"trailers", "5\r\nhello\r\n0\r\nA: b\r\nX-Checksum:\t\"1\" \xff\r\n\r\n", "hello"},
    {"trailer whose name only begins alike", "0\r\nHost-Name: x\r\nTen: 1\r\n\r\n", ""},
};
INSTANTIATE_TEST_SUITE_P(Good, Chunks, testing::ValuesIn(good_chunks));

const ChunkCase bad_chunks[] = {
    {"no size", "\r", nullptr},
    {"not a number", "z", nullptr},
    {"plus sign", "+", nullptr},
    {"minus sign", "-", nullptr},
    {"0x prefix", "0x", nullptr},
    {"blank before the size", " ", nullptr},
    {"blank behind the size", "5 \r", nullptr},
    {"overflow", "0000000000000001", nullptr},
    {"bare LF behind the size", "5\n", nullptr},
    {"CR without LF", "5\rX", nullptr},
    {"data longer than said", "5\r\nhelloX", nullptr},
    {"data without its LF", "5\r\nhello\rX", nullptr},
    {"LF behind the data", "5\r\nhello\n", nullptr},
    {"bare LF in an extension", "5;a\n", nullptr},
    {"NUL in an extension", std::string("5;a\0", 4), nullptr},
    {"bare CR in an extension", "5;a\rb", nullptr},
    {"bare LF at the end", "0\r\n\n", nullptr},
    {"CR without LF at the end", "0\r\n\rX", nullptr},
    {"trailer without a colon", "0\r\nA\r", nullptr},
    {"trailer without a name", "0\r\n:", nullptr},
    {"folded trailer", "0\r\nA: b\r\n ", nullptr},
    {"blank before the colon", "0\r\nA ", nullptr},
    {"NUL in a trailer", std::string("0\r\nA: \0", 7), nullptr},
    {"bare LF in a trailer", "0\r\nA: b\n", nullptr},
    {"trailer that changes the length", "0\r\nContent-Length:", nullptr},
    {"trailer that changes the coding", "0\r\ntransfer-ENCODING:", nullptr},
    {"trailer that changes the host", "0\r\nHost:", nullptr},
};
INSTANTIATE_TEST_SUITE_P(Bad, Chunks, testing::ValuesIn(bad_chunks));

TEST(ChunkLimits, ExtensionsAreCountedOverAllChunks) {
  Body body = Body::of_chunks();
  const std::string chunk = "1;" + std::string(1000, 'x') + "\r\nA\r\n";
  for (int i = 0; i < 16; i++) EXPECT_EQ(body.eat(chunk), chunk.size());
  EXPECT_LT(body.eat(chunk), chunk.size());
  EXPECT_TRUE(body.bad());
}

TEST(ChunkLimits, TrailersAreBounded) {
  Body body = Body::of_chunks();
  body.eat("0\r\n");
  const std::string line = "A: " + std::string(1000, 'x') + "\r\n";
  for (int i = 0; i < 16; i++) EXPECT_EQ(body.eat(line), line.size());
  body.eat(line);
  EXPECT_TRUE(body.bad());
}

TEST(ChunkLimits, TheLargestSizeCounts) {
  Body body = Body::of_chunks();
  EXPECT_EQ(body.eat("fffffffffffffff\r\nxyz"), 20u);
  EXPECT_EQ(body.content_bytes(), 3u);
  EXPECT_FALSE(body.over() || body.bad());
}

}  // namespace
}  // namespace sallyport::http
