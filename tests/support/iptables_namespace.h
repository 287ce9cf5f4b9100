// For tests of the redirect rules: a network namespace of its own for each, and the real iptables
// in it. It has no name: it goes with the test, however that ends. Also a folder of programs that
// stand in for those in PATH.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "iptables/program.h"
#include "iptables/rules.h"

namespace sallyport::rules {

// What a shell command prints; a failing command fails the test.
inline std::string run(const std::string& command) {
  const auto result = run_program({"/bin/sh", "-c", command}, "");
  EXPECT_TRUE(result && result->exit_code == 0)
      << command << "\n"
      << (result ? result->errors : result.error().context);
  return result ? result->output : "";
}

inline Options capture_all() {
  Options options;
  options.inbound_ports = "*";
  options.outbound_cidrs = "*";
  options.exclude_inbound_ports = {15090, 15021, 15020};
  return options;
}

// The lines of a text that begin with `start`.
inline std::vector<std::string> lines_of(const std::string& text, const std::string& start) {
  std::vector<std::string> out;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with(start)) out.push_back(line);
  }
  return out;
}

class InNamespace : public testing::Test {
protected:
  void SetUp() override {
    home_ = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    ASSERT_GE(home_, 0);
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << "these tests need root";
    run("ip link set lo up");
  }
  void TearDown() override {
    if (saved_path_.has_value()) setenv("PATH", saved_path_->c_str(), 1);
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
    EXPECT_EQ(setns(home_, CLONE_NEWNET), 0);
    close(home_);
  }

  // An address that others could reach, so that IPv6 is needed.
  void add_addresses() {
    run("ip link add test0 type veth peer name test1 && ip link set test0 up && ip addr add "
        "198.18.0.1/24 dev "
        "test0 && "
        "ip -6 addr add 2001:db8::1/64 dev test0 nodad");
  }

  // All rules of both families and backends, as their programs print them; without dates and
  // counters. Legacy is asked only about tables that are there.
  static std::string all_rules() {
    return run(
        "for p in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do echo \"== $p\"; "
        "$p-save 2>/dev/null | grep -E '^(\\*|-A|:)' | sed 's/ \\[.*//'; done");
  }
  static std::string saved(Family family, Backend backend) {
    return run(program(family, backend) + "-save 2>/dev/null");
  }
  static std::string program(Family family, Backend backend) {
    return std::string(family == Family::v4 ? "iptables" : "ip6tables") +
           (backend == Backend::nft ? "-nft" : "-legacy");
  }
  static std::string legacy_tables() {
    return run("cat /proc/net/ip_tables_names /proc/net/ip6_tables_names");
  }

  // From now on PATH is a folder with only what the test puts there.
  std::filesystem::path only_path() {
    if (folder_.empty()) {
      char name[] = "/tmp/sallyport-rules-XXXXXX";
      EXPECT_NE(mkdtemp(name), nullptr);
      folder_ = name;
    }
    if (!saved_path_) {
      saved_path_ = getenv("PATH");
      setenv("PATH", folder_.c_str(), 1);
    }
    return folder_;
  }
  void link_program(const std::string& name, const std::string& target) {
    std::filesystem::create_symlink(target, only_path() / name);
  }
  // The real save and restore programs, "iptables-nft" for instance.
  void link_real(const std::string& stem) {
    for (const char* verb : {"-save", "-restore"})
      link_program(stem + verb, "/usr/sbin/" + stem + verb);
  }
  void write_program(const std::string& name, const std::string& script) {
    const auto path = only_path() / name;
    std::filesystem::remove(path);
    std::ofstream(path) << "#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n" << script << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  void give_path_back() {
    setenv("PATH", saved_path_->c_str(), 1);
    saved_path_.reset();
  }

private:
  int home_ = -1;
  std::filesystem::path folder_;
  std::optional<std::string> saved_path_;
};

}  // namespace sallyport::rules
