// What is given back to the kernel, and that nothing is lost by it.
#include "agent/config/memory.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <string>

namespace sallyport::config {
namespace {

// KiB of files that are mapped in this process.
long resident_of_files() {
  const std::string name = "RssFile:";
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with(name)) return std::stol(line.substr(name.size()));
  return -1;
}

std::string relocated_once = "a writable segment's";
const std::array<const char*, 3> relocated_constants{"a", "b", "c"};

TEST(Memory, TextThatNobodyRunsIsNotMappedAnyMore) {
  const long before = resident_of_files();
  give_back_memory();
  const long after = resident_of_files();
  EXPECT_GT(after, 0);
  EXPECT_LT(after, before / 2);
}

TEST(Memory, WhatWasWrittenStays) {
  relocated_once = "changed";
  give_back_memory();
  EXPECT_EQ(relocated_once, "changed");
  EXPECT_STREQ(relocated_constants[2], "c");
}

}  // namespace
}  // namespace sallyport::config
