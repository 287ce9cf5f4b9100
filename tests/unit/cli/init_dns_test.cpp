// `sallyport init --redirect-dns`: whose DNS questions are captured, by flag, environment and
// resolv.conf.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "agent/cli/init_flags.h"

namespace sallyport::cli {
namespace {

class InitDns : public testing::Test {
protected:
  void TearDown() override {
    unlink(path_.c_str());
    unsetenv("REDIRECT_DNS");
  }
  std::optional<rules::DnsCapture> capture(InitFlags flags, const std::string& resolv_conf) {
    std::ofstream(path_) << resolv_conf;
    flags.resolv_conf = path_;
    notes_.clear();
    const auto options = to_options(flags, notes_);
    EXPECT_TRUE(options) << options.error().context;
    return options ? options->dns : std::nullopt;
  }
  static InitFlags asked() {
    InitFlags flags;
    flags.redirect_dns = true;
    return flags;
  }

  const std::string path_ = testing::TempDir() + "init-resolv-" + std::to_string(getpid());
  std::vector<std::string> notes_;
};

constexpr const char* both_families = "nameserver 10.96.0.10\nnameserver fd00::a\n";

TEST_F(InitDns, TheServersOfResolvConfAre) {
  const auto dns = capture(asked(), both_families);
  ASSERT_TRUE(dns);
  EXPECT_FALSE(dns->all);
  EXPECT_EQ(dns->servers, (std::vector<IpAddress>{*IpAddress::parse("10.96.0.10"),
                                                  *IpAddress::parse("fd00::a")}));
}

TEST_F(InitDns, UnlessNobodyAsks) {
  EXPECT_FALSE(capture({}, both_families));
  InitFlags all_alone;
  all_alone.capture_all_dns = true;
  EXPECT_FALSE(capture(all_alone, both_families)) << "it has no effect alone";
}

TEST_F(InitDns, BothNamesOfTheVariableCount) {
  setenv("REDIRECT_DNS", "true", 1);
  EXPECT_TRUE(capture({}, both_families));
}

TEST_F(InitDns, OfAPodFromOutsideAllAre) {
  InitFlags all = asked(), cni = asked();
  all.capture_all_dns = true;
  cni.cni = true;
  for (const auto& flags : {all, cni}) {
    const auto dns = capture(flags, both_families);
    ASSERT_TRUE(dns);
    EXPECT_TRUE(dns->all);
    EXPECT_TRUE(dns->servers.empty());
  }
}

TEST_F(InitDns, WithoutAServerItIsOffAndSaidSo) {
  EXPECT_FALSE(capture(asked(), "search cluster.local\n"));
  EXPECT_EQ(notes_, std::vector<std::string>{"--redirect-dns has no effect: " + path_ +
                                             " names no server; --capture-all-dns takes questions "
                                             "to any"});
}

TEST_F(InitDns, AResolvConfThatCannotBeReadIsAnError) {
  InitFlags flags = asked();
  flags.resolv_conf = "/nowhere/resolv.conf";
  const auto options = to_options(flags, notes_);
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().context, "/nowhere/resolv.conf: No such file or directory");
}

}  // namespace
}  // namespace sallyport::cli
