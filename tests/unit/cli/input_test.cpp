// What commands read besides the files that a proxy watches.
#include "agent/cli/input.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace sallyport::cli {
namespace {

// A shell's `-f <(kustomize build .)`.
TEST(Input, APipeIsReadToItsEnd) {
  const std::string path = testing::TempDir() + "sallyport-input-pipe";
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path) << std::string(100'000, 'x') << "end"; });
  const auto text = read_input(path);
  writer.join();
  std::filesystem::remove(path);
  ASSERT_TRUE(text) << text.error().context;
  EXPECT_EQ(text->size(), 100'003u);
  EXPECT_TRUE(text->ends_with("end"));
}

TEST(Input, ADirectoryIsNone) {
  const auto text = read_input("/tmp");
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().context, "/tmp can't be read: Is a directory");
}

}  // namespace
}  // namespace sallyport::cli
