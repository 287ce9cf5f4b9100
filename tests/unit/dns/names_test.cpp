// What is a host name, and which full names a short one stands for.
#include "dns/names.h"

#include <gtest/gtest.h>

namespace sallyport::dns {
namespace {

using Names = std::vector<std::string>;

struct Case {
  const char* name;
  const char* host;
  Search search;
  Names full;
};
const Search pod{{"default.svc.cluster.local", "svc.cluster.local"}, 5};
const Case cases[] = {
    {"fewer dots than ndots: the search domains first",
     "api.example.com",
     pod,
     {"api.example.com.default.svc.cluster.local", "api.example.com.svc.cluster.local",
      "api.example.com"}},
    {"a trailing dot: as it is", "api.example.com.", pod, {"api.example.com"}},
    {"as many dots as ndots: as it is first",
     "api.example.com",
     {{"a.test"}, 2},
     {"api.example.com", "api.example.com.a.test"}},
    {"no search domain", "web", {{}, 1}, {"web"}},
    {"a search domain in capitals with a dot", "web", {{"A.Test."}, 1}, {"web.a.test", "web"}},
};

TEST(FullNames, FollowNdotsAndSearchDomains) {
  for (const Case& c : cases) EXPECT_EQ(full_names(c.host, c.search), c.full) << c.name;
}

TEST(FullNames, OneThatWouldBeTooLongIsLeftOut) {
  const std::string host = std::string(60, 'a') + "." + std::string(60, 'b');
  const std::string domain =
      std::string(60, 'c') + "." + std::string(60, 'd') + "." + std::string(60, 'e');
  EXPECT_EQ(full_names(host, {{domain}, 5}), Names{host});
}

struct Refusal {
  std::string host;
  const char* why;  // nullptr: it is a name
};

TEST(HostNames, AreRefusedWithTheReason) {
  const std::string label(63, 'a');
  const std::string most = label + "." + label + "." + label + "." + std::string(61, 'a');
  const Refusal refusals[] = {
      {"a.test", nullptr},
      {"_tcp.a.test.", nullptr},
      {label + ".test", nullptr},
      {most, nullptr},
      {most + ".", nullptr},
      {most + "a", "254 bytes, at most 253"},
      {std::string(255, 'a'), "255 bytes, at most 253"},
      {label + "a.test", "a label of 64 bytes, at most 63"},
      {"", "it is empty"},
      {".", "it is empty"},
      {"a..test", "an empty label"},
      {".test", "an empty label"},
      {"a b.test", "a character"},
      {std::string("a\0.test", 7), "a character"},
  };
  for (const Refusal& refusal : refusals) {
    const auto problem = name_problem(refusal.host);
    EXPECT_EQ(problem.has_value(), refusal.why != nullptr) << refusal.host;
    if (!problem || !refusal.why) continue;
    EXPECT_NE(problem->find(refusal.why), std::string::npos) << *problem;
  }
}

}  // namespace
}  // namespace sallyport::dns
