// A subcommand called as the shell would.
#pragma once
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

namespace sallyport::cli {

struct Outcome {
  int exit_code;
  std::string output, errors;
};

inline Outcome run_command(int (*command)(int, char**), std::vector<std::string> words) {
  words.insert(words.begin(), "command");
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = command(static_cast<int>(words.size()), argv.data());
  std::fflush(stdout);
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace sallyport::cli
