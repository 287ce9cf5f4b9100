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

TEST(DnsCache, ForgetsWhatClientsNamedBeforeAnyConfiguredName) {
  Cache cache(2);
  cache.find("configured.test", NamedBy::configuration);
  for (const char* name : {"1.test", "2.test", "3.test"}) cache.find(name, NamedBy::client);
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_NE(cache.known("configured.test"), nullptr);
  EXPECT_NE(cache.known("3.test"), nullptr);
  cache.find("3.test", NamedBy::configuration);  // from now on a configured one too
  cache.find("4.test", NamedBy::client);
  EXPECT_EQ(cache.known("configured.test"), nullptr);
  EXPECT_NE(cache.known("3.test"), nullptr);
}

}  // namespace
}  // namespace sallyport::dns
