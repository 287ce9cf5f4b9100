// Directories that change all at once, logs that keep their newest part, frames on the control
// socket.
#include "deploy/sandbox/volume_dir.h"

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <filesystem>

#include "deploy/sandbox/base64.h"
#include "deploy/sandbox/log_buffer.h"
#include "deploy/sandbox/wire.h"

namespace sallyport::sandbox {
namespace {

namespace fs = std::filesystem;

struct VolumeDir : testing::Test {
  VolumeDir() {
    char name[] = "/tmp/volume_dir_XXXXXX";
    directory = mkdtemp(name);
  }
  ~VolumeDir() override { fs::remove_all(directory); }
  std::string directory;
};

TEST_F(VolumeDir, ShowsItsFilesThroughADataLink) {
  ASSERT_TRUE(publish_files(directory, {{"a", "1"}, {"sub/b", "2"}}));
  EXPECT_EQ(read_file(directory + "/a"), "1");
  EXPECT_EQ(read_file(directory + "/sub/b"), "2");
  EXPECT_TRUE(fs::is_symlink(directory + "/..data"));
  EXPECT_EQ(fs::read_symlink(directory + "/a"), "..data/a");
}

TEST_F(VolumeDir, ReplacesContentAndTakesAwayWhatIsGone) {
  ASSERT_TRUE(publish_files(directory, {{"a", "1"}, {"b", "2"}}));
  ASSERT_TRUE(publish_files(directory, {{"a", "new"}}));
  EXPECT_EQ(read_file(directory + "/a"), "new");
  EXPECT_FALSE(fs::exists(fs::symlink_status(directory + "/b")));
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), {}), 3)
      << "a, ..data and one directory of content";
}

TEST_F(VolumeDir, IsLeftAloneWhenNothingChanges) {
  ASSERT_TRUE(publish_files(directory, {{"a", "1"}}));
  const fs::path before = fs::read_symlink(directory + "/..data");
  ASSERT_TRUE(publish_files(directory, {{"a", "1"}}));
  EXPECT_EQ(fs::read_symlink(directory + "/..data"), before);
}

TEST(VolumeDirs, AnUnwritableOneIsAnError) {
  EXPECT_FALSE(publish_files("/proc/nowhere", {{"a", "1"}}));
}

TEST(LogBuffers, KeepTheNewestWholeLines) {
  LogBuffer log;
  const std::string line(1023, 'x');
  for (int i = 0; i < 6 * 1024; ++i) log.append(line + "\n");
  EXPECT_EQ(log.end(), 6U * 1024 * 1024);
  const std::string kept = log.from(0);
  EXPECT_LE(kept.size(), LogBuffer::bytes_max + LogBuffer::bytes_max / 4);
  EXPECT_GE(kept.size(), LogBuffer::bytes_max - 1024);
  EXPECT_EQ(kept.size() % 1024, 0U) << "cut at the end of a line";
  EXPECT_EQ(log.from(log.end() - 10), std::string(9, 'x') + "\n");
  EXPECT_EQ(log.from(log.end()), "");
}

TEST(Frames, ArriveWholeHoweverTheyAreCut) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd one(ends[0]), other(ends[1]);
  const Frame frame = {"verb", "", std::string(3, '\0')};
  ASSERT_TRUE(send_frame(one.get(), frame));
  std::string wire(64, '\0');
  wire.resize(static_cast<std::size_t>(recv(other.get(), wire.data(), wire.size(), 0)));
  std::string received;
  bool broken = false;
  for (std::size_t i = 0; i + 1 < wire.size(); ++i) {
    received += wire[i];
    EXPECT_FALSE(take_frame(received, broken)) << i;
  }
  received += wire.back();
  EXPECT_EQ(take_frame(received, broken), frame);
  EXPECT_FALSE(broken);
}

TEST(Frames, ThatLieAboutTheirLengthAreBroken) {
  bool broken = false;
  std::string huge = "\xff\xff\xff\xff";
  EXPECT_FALSE(take_frame(huge, broken));
  EXPECT_TRUE(broken);
  std::string inner("\x05\0\0\0\x09\0\0\0x", 9);  // a text longer than its frame
  EXPECT_FALSE(take_frame(inner, broken));
  EXPECT_TRUE(broken);
}

struct Base64Case {
  const char* text;
  std::optional<std::string> bytes;
};

TEST(Base64, IsDecodedStrictlyButWithWhiteSpace) {
  const Base64Case cases[] = {{"", ""},
                              {"Zg==", "f"},
                              {"Zm8=", "fo"},
                              {"Zm9v", "foo"},
                              {"Zm\n9v ", "foo"},
                              {"Zg", "f"},
                              {"Z", std::nullopt},
                              {"Z!==", std::nullopt},
                              {"Zg==Zg==", std::nullopt}};
  for (const Base64Case& each : cases) EXPECT_EQ(decode_base64(each.text), each.bytes) << each.text;
}

}  // namespace
}  // namespace sallyport::sandbox
