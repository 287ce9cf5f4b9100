// Header fields kept by name, of heads as they lie and as they go out.
#include "agent/observe/kept_headers.h"

#include <gtest/gtest.h>

namespace sallyport::observe {
namespace {

using Names = std::vector<std::string>;

TEST(KeptHeaders, AreThoseThatAreWanted) {
  KeptHeaders kept;
  kept.keep_of(
      "GET /cookie: HTTP/1.1\r\nHost: a.test\r\nCookie: \t a=b \r\nX-Empty:\r\nX-Empties: no\r\n"
      "COOKIE: second\r\n\r\nX-Body: no\r\n",
      Names{"cookie", "x-empty", "x-body", "get /cookie"});
  EXPECT_EQ(kept.find("cookie"), "a=b");
  EXPECT_EQ(kept.find("x-empty"), "");
  EXPECT_EQ(kept.find("x-body"), std::nullopt);
  EXPECT_EQ(kept.find("host"), std::nullopt);
  EXPECT_EQ(kept.find("cook"), std::nullopt);
  EXPECT_EQ(kept.find("get /cookie"), std::nullopt);
}

TEST(KeptHeaders, OfAMessageWithoutAnyAreNone) {
  KeptHeaders kept;
  for (const char* head : {"", "GET / HTTP/1.1", "GET / HTTP/1.1\r\n\r\n", "\r\n"})
    kept.keep_of(head, Names{"a"});
  EXPECT_EQ(kept.find("a"), std::nullopt);
  EXPECT_EQ(kept.size(), 0u);
}

TEST(KeptHeaders, FindAValueThatLooksLikeAField) {
  KeptHeaders kept;
  kept.keep("a", "b:c");
  kept.keep("b", "d");
  EXPECT_EQ(kept.find("a"), "b:c");
  EXPECT_EQ(kept.find("b"), "d");
}

TEST(JoinHead, StopsAtItsEnd) {
  std::string parts[] = {"GET / HTTP/1.1\r\nA: ", "b", "\r\n\r", "\n", "body"};
  std::vector<iovec> pieces;
  for (std::string& part : parts) pieces.push_back({part.data(), part.size()});
  std::string head = "before";
  join_head(pieces, head);
  EXPECT_EQ(head, "GET / HTTP/1.1\r\nA: b\r\n\r\n");
}

}  // namespace
}  // namespace sallyport::observe
