// Errors, where they come from, and published values.
#include <gtest/gtest.h>

#include <thread>

#include "agent/core/error.h"
#include "agent/core/published.h"
#include "agent/core/resource_ref.h"

namespace sallyport {
namespace {

struct RefCase {
  const char* name;
  ResourceRef ref;
  const char* expect;
};
const RefCase ref_cases[] = {
    {"all of it",
     {"DestinationRule", "default", "originate-mtls", "rules.yaml", 12},
     "DestinationRule default/originate-mtls (rules.yaml:12)"},
    {"line unknown",
     {"Secret", "default", "client-credential", "secret.yaml", 0},
     "Secret default/client-credential (secret.yaml)"},
    {"not from a file",
     {"ServiceEntry", "egress", "httpbin", "", 0},
     "ServiceEntry egress/httpbin"},
    {"no namespace", {"MeshConfig", "", "mesh", "", 0}, "MeshConfig mesh"},
};
class ResourceRefText : public testing::TestWithParam<RefCase> {};
TEST_P(ResourceRefText, SaysWhatAndWhere) {
  EXPECT_EQ(GetParam().ref.text(), GetParam().expect) << GetParam().name;
}
INSTANTIATE_TEST_SUITE_P(Spec, ResourceRefText, testing::ValuesIn(ref_cases));

TEST(Error, KeepsItsCauseWhileTheContextGrows) {
  const Error cause{Fault::refused, Side::upstream, true,
                    "connect 10.0.0.7:443: Connection refused", "ServiceEntry a/b"};
  const Error error = while_doing("GET /", cause);
  EXPECT_EQ(error.context, "GET /: connect 10.0.0.7:443: Connection refused");
  EXPECT_EQ(error.fault, Fault::refused);
  EXPECT_EQ(error.side, Side::upstream);
  EXPECT_TRUE(error.retryable);
  EXPECT_EQ(error.resource, "ServiceEntry a/b");
}

TEST(ErrorDeathTest, AskingAFailedResultForItsValueEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Result<int> failed = Error{Fault::internal, Side::local, false, "no descriptors left", ""};
  EXPECT_DEATH((void)failed.value(), "value\\(\\) of an error: no descriptors left");
}

TEST(Published, AReaderSeesAChangeOnceAndKeepsWhatItHolds) {
  Published<int> source(std::make_shared<const int>(1));
  Published<int>::Reader reader(source);
  const auto held = reader.get();
  EXPECT_FALSE(reader.changed());
  source.publish(std::make_shared<const int>(2));
  EXPECT_TRUE(reader.changed());
  EXPECT_EQ(*reader.get(), 2);
  EXPECT_FALSE(reader.changed());
  EXPECT_EQ(*held, 1);
}

TEST(Published, ReadersOnOtherThreadsSeeEveryValueWholeAndTheLastOne) {
  struct Pair {
    int a, b;
  };
  constexpr int last = 2000;
  Published<Pair> source(std::make_shared<const Pair>(Pair{0, 0}));
  const auto read_until_last = [&] {
    Published<Pair>::Reader reader(source);
    for (int seen = 0; seen != last;) {
      const auto& value = reader.get();
      if (value->a != value->b || value->a < seen) std::abort();
      seen = value->a;
    }
  };
  std::thread first(read_until_last), second(read_until_last);
  for (int i = 1; i <= last; i++) source.publish(std::make_shared<const Pair>(Pair{i, i}));
  first.join();
  second.join();
  EXPECT_EQ(source.current()->a, last);
}

}  // namespace
}  // namespace sallyport
