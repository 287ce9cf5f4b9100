// A log in a directory of its own, and patience for its thread.
#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "agent/observe/access_log.h"

namespace sallyport::observe {

class AccessLogTest : public testing::Test {
protected:
  AccessLogTest() {
    std::string name = testing::TempDir() + "access-log-XXXXXX";
    directory_ = mkdtemp(name.data());
    path_ = directory_ / "log";
  }
  ~AccessLogTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<AccessLog> open() { return open({{.path = path_, .format = "%REQ(:PATH)%"}}); }
  static std::unique_ptr<AccessLog> open(const std::vector<LogSettings>& settings) {
    auto log = AccessLog::open(settings);
    EXPECT_TRUE(log) << (log ? "" : log.error().context);
    return std::move(*log);
  }
  static std::string content(const std::filesystem::path& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  static void write(AccessLog::Writer& writer, std::string_view path) {
    AccessRecord record;
    record.path = path;
    writer.write(record);
  }
  // Gives the log thread time to act.
  template <class Condition>
  static void await(Condition condition) {
    const auto in_vain = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), in_vain);
      std::this_thread::yield();
    }
  }

  std::filesystem::path directory_, path_;
};

}  // namespace sallyport::observe
