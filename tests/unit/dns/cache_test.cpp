#include "dns/cache.h"

#include <gtest/gtest.h>

namespace sallyport::dns {
namespace {

TEST(DnsCache, ForgetsTheNameThatWasUnusedForLongest) {
  Cache cache(2);
  cache.find("a.test").problem = Error{};
  cache.find("b.test");
  cache.find("a.test");
  cache.find("c.test");
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_EQ(cache.known("b.test"), nullptr);
  ASSERT_NE(cache.known("a.test"), nullptr);
  EXPECT_TRUE(cache.known("a.test")->problem);
}

}  // namespace
}  // namespace sallyport::dns
