// The log's way to its file: order, rotation, full disks and readers that don't read.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "agent/core/limits.h"
#include "tests/support/count_allocations.h"
#include "tests/unit/observe/access_log_fixture.h"

namespace sallyport::observe {
namespace {

TEST_F(AccessLogTest, WritesLinesInOrder) {
  auto log = open();
  std::string expect;
  auto writer = log->writer();
  EXPECT_TRUE(writer->on());
  for (int i = 0; i < 20'000; i++) {
    const std::string path = "/" + std::to_string(i);
    write(*writer, path);
    expect += path + "\n";
    if (i % 1000 == 0) writer->flush();
  }
  writer.reset();
  EXPECT_EQ(log->dropped(), 0u);
  log.reset();
  EXPECT_EQ(content(path_), expect);
}

TEST_F(AccessLogTest, FlushBringsALineOutAtOnce) {
  const auto log = open();
  const auto writer = log->writer();
  write(*writer, "/a");
  writer->flush();
  await([&] { return content(path_) == "/a\n"; });
}

TEST_F(AccessLogTest, AppendsToWhatIsThere) {
  std::ofstream(path_) << "before\n";
  auto log = open();
  write(*log->writer(), "/a");
  log.reset();
  EXPECT_EQ(content(path_), "before\n/a\n");
}

TEST_F(AccessLogTest, IsOffWithoutALogger) {
  const auto log = open({});
  const auto writer = log->writer();
  EXPECT_FALSE(writer->on());
  write(*writer, "/a");
  writer->flush();
  log->reopen();
  EXPECT_EQ(log->dropped(), 0u);
}

TEST_F(AccessLogTest, ThatCannotBeOpenedSaysWhy) {
  const auto log = AccessLog::open({{.path = directory_ / "no" / "log"}});
  ASSERT_FALSE(log);
  EXPECT_NE(log.error().context.find("no/log: No such file or directory"), std::string::npos);
}

TEST_F(AccessLogTest, WithABadFormatNamesTheOperator) {
  const auto log = AccessLog::open({{.path = path_, .format = "%FOO%"}});
  ASSERT_FALSE(log);
  EXPECT_NE(log.error().context.find("%FOO%"), std::string::npos);
}

TEST_F(AccessLogTest, KeepsALineLongerThanABlock) {
  auto log = open();
  const std::string path(200'000, 'x');
  {
    const auto writer = log->writer();
    write(*writer, "/before");
    write(*writer, path);
    write(*writer, "/after");
  }
  log.reset();
  EXPECT_EQ(content(path_), "/before\n" + path + "\n/after\n");
}

TEST_F(AccessLogTest, GoesToTheNewFileAfterReopen) {
  auto log = open();
  const auto writer = log->writer();
  write(*writer, "/old");
  writer->flush();
  await([&] { return content(path_) == "/old\n"; });
  std::filesystem::rename(path_, directory_ / "log.1");
  log->reopen();
  await([&] { return std::filesystem::exists(path_); });
  write(*writer, "/new");
  writer->flush();
  await([&] { return content(path_) == "/new\n"; });
  EXPECT_EQ(content(directory_ / "log.1"), "/old\n");
}

TEST_F(AccessLogTest, KeepsTheOldFileWhenReopenFails) {
  auto log = open();
  const auto writer = log->writer();
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  log->reopen();
  await([&] { return log->write_errors() == 1; });
  EXPECT_NE(log->problem().find("Is a directory"), std::string::npos) << log->problem();
  write(*writer, "/a");
  writer->flush();
  await([&] { return log->problem().empty(); });
  EXPECT_EQ(log->dropped(), 0u);
}

TEST_F(AccessLogTest, SurvivesAFullDiskAndGoesOnAfterIt) {
  std::filesystem::create_symlink("/dev/full", path_);
  auto log = open();
  const auto writer = log->writer();
  for (uint64_t blocks = 1; blocks <= 3; blocks++) {
    write(*writer, "/lost");
    write(*writer, "/lost");
    writer->flush();
    await([&] { return log->write_errors() == blocks && log->dropped() == 2 * blocks; });
  }
  EXPECT_NE(log->problem().find("No space left on device"), std::string::npos);
  std::filesystem::remove(path_);
  log->reopen();
  await([&] { return std::filesystem::exists(path_); });
  write(*writer, "/found");
  writer->flush();
  await([&] { return content(path_) == "/found\n"; });
  await([&] { return log->problem().empty(); });
}

TEST_F(AccessLogTest, TellsOnceThatWritingFailsAndOnceThatItGoesWellAgain) {
  std::filesystem::create_symlink("/dev/full", path_);
  std::vector<std::string> told;  // by the log thread; read when it has ended
  auto log = AccessLog::open({{.path = path_, .format = "%REQ(:PATH)%"}},
                             [&told](const std::string& line) { told.push_back(line); });
  ASSERT_TRUE(log);
  auto writer = (*log)->writer();
  for (uint64_t blocks = 1; blocks <= 3; blocks++) {
    write(*writer, "/lost");
    writer->flush();
    await([&] { return (*log)->write_errors() == blocks && (*log)->dropped() == blocks; });
  }
  std::filesystem::remove(path_);
  (*log)->reopen();
  await([&] { return std::filesystem::exists(path_); });
  for (const char* path : {"/found", "/found"}) {
    write(*writer, path);
    writer->flush();
  }
  writer.reset();
  log->reset();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_NE(told[0].find(path_.string() + ": No space left on device"), std::string::npos);
  EXPECT_NE(told[1].find(path_.string() + ": written again, 3 lines were lost"), std::string::npos);
}

TEST_F(AccessLogTest, BeginsANewLineAfterATornOne) {
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  auto log = open();
  const auto writer = log->writer();
  write(*writer, "/0123456789");
  const rlimit small{6, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  writer->flush();
  await([&] { return log->write_errors() == 1; });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(content(path_), "/01234");
  write(*writer, "/whole");
  writer->flush();
  await([&] { return content(path_) == "/01234\n/whole\n"; });
}

TEST_F(AccessLogTest, DropsLinesInsteadOfWaitingForAReader) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const int reader = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  auto log = open();
  const std::string path(1000, 'x');
  {
    const auto writer = log->writer();
    const std::size_t lines = 2 * limits::log_queue_bytes / path.size();
    for (std::size_t i = 0; i < lines; i++) write(*writer, path);
    EXPECT_GT(log->dropped(), lines / 3);
    EXPECT_LT(log->dropped(), lines);
  }
  log.reset();  // nobody reads: what is queued is given up
  ::close(reader);
}

TEST_F(AccessLogTest, SurvivesAReaderThatLeft) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const int reader = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const auto log = open();
  const auto writer = log->writer();
  ::close(reader);
  write(*writer, "/a");
  writer->flush();
  await([&] { return log->write_errors() == 1; });  // EPIPE, and no signal
  EXPECT_NE(log->problem().find("Broken pipe"), std::string::npos);
}

TEST_F(AccessLogTest, TakesLinesFromManyWorkersWhole) {
  auto log = open();
  constexpr int workers = 4, lines = 5000;
  {
    std::vector<std::jthread> threads;
    for (int worker = 0; worker < workers; worker++)
      threads.emplace_back([&, worker] {
        const auto writer = log->writer();
        const std::string path = "/" + std::string(static_cast<std::size_t>(20 + worker), 'x');
        for (int i = 0; i < lines; i++) {
          write(*writer, path);
          if (i % 97 == worker) writer->flush();
        }
      });
    for (int i = 0; i < 100; i++) {
      log->reopen();
      EXPECT_EQ(log->dropped() + log->write_errors(), 0u);
    }
  }
  log.reset();
  std::map<std::size_t, int> seen;
  std::istringstream text(content(path_));
  for (std::string line; std::getline(text, line);) {
    EXPECT_TRUE(line.starts_with("/x")) << line;
    seen[line.size()]++;
  }
  EXPECT_EQ(seen.size(), std::size_t{workers});
  for (const auto& [size, count] : seen) EXPECT_EQ(count, lines) << size;
}

AccessRecord full_record() {
  AccessRecord record;
  record.start_us = 1'795'246'646'000'000;
  record.path = "/x";
  record.upstream_host = *SocketAddress::parse("[2001:db8::1]:443");
  return record;
}

TEST_F(AccessLogTest, AllocatesNothingForALine) {
  for (const bool json : {false, true}) {
    const auto log = open({{.path = path_, .json = json}});
    const auto writer = log->writer();
    AccessRecord record = full_record();
    writer->write(record);
    const auto before = test::allocations;
    for (int i = 0; i < 20; i++) {
      record.start_us += 300'000;  // the second's text is made anew now and then
      writer->write(record);
    }
    EXPECT_EQ(test::allocations - before, 0u) << json;
  }
}

TEST_F(AccessLogTest, AllocatesNothingForAFilter) {
  const auto log = open({{.path = path_,
                          .json = true,
                          .omit_empty = true,
                          .filter = "upstream.address == '[2001:db8::1]:443' && "
                                    "request.path.matches('^/[a-z]+$') && "
                                    "request.headers['x'] in ['a', 'b'] && "
                                    "!has(response.code) && request.duration < duration('1s')"}});
  const auto writer = log->writer();
  AccessRecord record = full_record();
  record.more().request.keep("x", "b");
  writer->write(record);
  const auto before = test::allocations;
  for (int i = 0; i < 20; i++) writer->write(record);
  EXPECT_EQ(test::allocations - before, 0u);
  writer->flush();
  await([&] {
    const auto text = content(path_);
    return std::count(text.begin(), text.end(), '\n') == 21;
  });
}

// What the proxy calls for each request, whatever the format.
TEST_F(AccessLogTest, KeepsNothingThatTheFormatDoesNotAskFor) {
  const auto log = open({{.path = path_}});
  const auto writer = log->writer();
  AccessRecord record = full_record();
  const auto before = test::allocations;
  writer->keep_request(record, "GET / HTTP/1.1\r\nCookie: a\r\n\r\n");
  writer->keep_response(record, "HTTP/1.1 200 OK\r\nServer: a\r\n\r\n");
  EXPECT_EQ(test::allocations - before, 0u);
  EXPECT_EQ(record.extras, nullptr);
}

TEST_F(AccessLogTest, UsesItsBlocksAgain) {
  const auto log = open();
  const auto writer = log->writer();
  const auto before = test::allocations;
  for (off_t lines = 1; lines <= 200; lines++) {
    write(*writer, "/a");
    writer->flush();
    // The block may come back a moment after its line was seen in the file: then there are two.
    await([&] {
      struct stat file {};
      return stat(path_.c_str(), &file) == 0 && file.st_size == 3 * lines;
    });
  }
  EXPECT_LE(test::allocations - before, 4u);  // each block is two
}

}  // namespace
}  // namespace sallyport::observe
