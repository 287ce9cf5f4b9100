// Which of the servers' answers are kept, for how long, and how many.
#include "dns/answer_cache.h"

#include <gtest/gtest.h>

#include "agent/core/limits.h"
#include "tests/support/dns_server.h"

namespace sallyport::dns {
namespace {

using namespace std::chrono_literals;
namespace wire = test::dns;

Question asking(std::string_view name, uint16_t type = wire::type_a, unsigned flags = 0x0100) {
  const std::string message = wire::u16(1) + wire::u16(flags) + wire::u16(1) + wire::u16(0) +
                              wire::u32(0) + wire::wire_name(name) + wire::u16(type) + wire::u16(1);
  Question question;
  EXPECT_EQ(read_question(message, question), Reading::answer);
  return question;
}

class AnswerCacheTest : public testing::Test {
protected:
  std::string found(const Question& question) {
    const auto at = cache_.find(question, now_);
    return at ? std::string(at->response.begin(), at->response.end()) + " " +
                    std::to_string(at->age.count())
              : "none";
  }
  AnswerCache cache_;
  AnswerCache::TimePoint now_{1h};
};

TEST_F(AnswerCacheTest, KeepsAnAnswerForItsTtlAndTellsItsAge) {
  cache_.put(asking("a.test"), "answer", 10, now_);
  EXPECT_EQ(found(asking("A.TEST")), "answer 0");
  now_ += 9s;
  EXPECT_EQ(found(asking("a.test")), "answer 9");
  now_ += 1s;
  EXPECT_EQ(found(asking("a.test")), "none");
  EXPECT_EQ(cache_.size(), 0u);
  EXPECT_EQ(cache_.bytes(), 0u);
}

TEST_F(AnswerCacheTest, OtherQuestionsAreOthers) {
  cache_.put(asking("a.test"), "answer", 10, now_);
  EXPECT_EQ(found(asking("b.test")), "none");
  EXPECT_EQ(found(asking("a.test", wire::type_aaaa)), "none");
  EXPECT_EQ(found(asking("a.test", wire::type_a, 0x0110)), "none") << "CD";
  EXPECT_EQ(found(asking("a.test", wire::type_a, 0x0120)), "none") << "AD";
  EXPECT_EQ(found(asking("a.test", wire::type_a, 0x0000)), "none") << "RD";
  auto other = asking("a.test");
  other.edns = true;
  EXPECT_EQ(found(other), "none") << "EDNS";
  cache_.put(other, "with EDNS", 10, now_);
  other.dnssec_ok = true;
  EXPECT_EQ(found(other), "none") << "DO";
  auto chaos = asking("a.test");
  chaos.klass = 3;
  EXPECT_EQ(found(chaos), "none") << "class";
}

TEST_F(AnswerCacheTest, ANewAnswerTakesTheOldOnesPlace) {
  cache_.put(asking("a.test"), "old", 10, now_);
  cache_.put(asking("a.test"), "new", 20, now_);
  EXPECT_EQ(found(asking("a.test")), "new 0");
  EXPECT_EQ(cache_.size(), 1u);
}

TEST_F(AnswerCacheTest, WhatIsForOneClientOrForNoTimeOrTooLongIsNotKept) {
  auto cookie = asking("a.test");
  cookie.options = true;
  cache_.put(cookie, "answer", 10, now_);
  cache_.put(asking("b.test"), "answer", 0, now_);
  cache_.put(asking("c.test"), std::string(limits::dns_proxy_kept_answer + 1, 'x'), 10, now_);
  EXPECT_EQ(cache_.size(), 0u);
  cache_.put(asking("a.test"), "answer", 10, now_);
  EXPECT_EQ(found(cookie), "none");
}

TEST_F(AnswerCacheTest, NothingIsKeptForMoreThanAnHour) {
  cache_.put(asking("a.test"), "answer", 1'000'000, now_);
  now_ += limits::dns_proxy_ttl_max - 1s;
  EXPECT_NE(found(asking("a.test")), "none");
  now_ += 1s;
  EXPECT_EQ(found(asking("a.test")), "none");
}

TEST_F(AnswerCacheTest, AHundredThousandNamesStayWithinTheLimits) {
  for (int i = 0; i < 100'000; i++) {
    cache_.put(asking("name" + std::to_string(i) + ".test"), "answer", 10, now_);
    ASSERT_LE(cache_.size(), limits::dns_proxy_answers);
  }
  EXPECT_NE(found(asking("name99999.test")), "none");
  EXPECT_EQ(found(asking("name0.test")), "none");
}

TEST_F(AnswerCacheTest, TheLeastRecentlyUsedGoFirstByBytesToo) {
  const std::string large(limits::dns_proxy_kept_answer, 'x');
  const std::size_t room = limits::dns_proxy_answer_bytes / (large.size() + 64);
  cache_.put(asking("used.test"), large, 10, now_);
  for (std::size_t i = 0; i < 3 * room; i++) {
    cache_.put(asking("name" + std::to_string(i) + ".test"), large, 10, now_);
    EXPECT_NE(found(asking("used.test")), "none") << i;
    EXPECT_LE(cache_.bytes(), limits::dns_proxy_answer_bytes);
  }
  EXPECT_EQ(found(asking("name0.test")), "none");
}

}  // namespace
}  // namespace sallyport::dns
