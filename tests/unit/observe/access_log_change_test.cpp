// Settings that change while workers write: every line comes out once, in the old shape at the old
// place or in the new shape at the new one.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/core/limits.h"
#include "tests/unit/observe/access_log_fixture.h"

namespace sallyport::observe {
namespace {

class LogChange : public AccessLogTest {
protected:
  LogSettings logger(const std::string& name, const std::string& format = "%REQ(:PATH)%") const {
    return {.path = directory_ / name, .format = format};
  }
  std::vector<LogSettings> settings(const std::string& name,
                                    const std::string& format = "%REQ(:PATH)%") const {
    return {logger(name, format)};
  }
  std::string text(const std::string& name) const { return content(directory_ / name); }
  // Whether this process has the file open.
  static bool is_open(const std::filesystem::path& path) {
    for (const auto& fd : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (std::filesystem::read_symlink(fd, gone) == path) return true;
    }
    return false;
  }
};

TEST_F(LogChange, OfTheFormatCountsForTheNextLine) {
  auto log = open(settings("log"));
  const auto writer = log->writer();
  write(*writer, "/a");
  ASSERT_TRUE(log->change(settings("log", "<%REQ(:PATH)%>")));
  write(*writer, "/b");
  ASSERT_TRUE(log->change(
      {{.path = directory_ / "log", .format = "{\"p\":\"%REQ(:PATH)%\"}", .json = true}}));
  write(*writer, "/c");
  writer->flush();
  await([&] { return text("log") == "/a\n</b>\n{\"p\":\"/c\"}\n"; });
}

TEST_F(LogChange, OfTheFileSendsWhatWasWrittenToTheOldOne) {
  auto log = open(settings("old"));
  const auto writer = log->writer();
  write(*writer, "/a");
  ASSERT_TRUE(log->change(settings("new")));
  write(*writer, "/b");
  writer->flush();
  await([&] { return text("new") == "/b\n"; });
  EXPECT_EQ(text("old"), "/a\n");
}

TEST_F(LogChange, IsTakenUpByAnIdleWorkerToo) {
  auto log = open(settings("old"));
  const auto writer = log->writer();
  write(*writer, "/a");
  ASSERT_TRUE(log->change(settings("new")));
  writer->flush();  // a tick
  await([&] { return text("old") == "/a\n"; });
}

TEST_F(LogChange, ClosesTheOldFileOnceAllWorkersHaveLeftIt) {
  auto log = open(settings("old"));
  const auto first = log->writer(), second = log->writer();
  ASSERT_TRUE(log->change(settings("new")));
  first->flush();
  EXPECT_TRUE(is_open(directory_ / "old"));
  second->flush();
  await([&] { return !is_open(directory_ / "old"); });
  EXPECT_TRUE(is_open(directory_ / "new"));
}

TEST_F(LogChange, SwitchesOnAndOff) {
  auto log = open({});
  const auto writer = log->writer();
  write(*writer, "/off");
  EXPECT_FALSE(writer->on());
  ASSERT_TRUE(log->change(settings("log")));
  write(*writer, "/a");
  EXPECT_TRUE(writer->on());
  ASSERT_TRUE(log->change({}));
  write(*writer, "/off");
  EXPECT_FALSE(writer->on());
  await([&] { return text("log") == "/a\n" && !is_open(directory_ / "log"); });
  ASSERT_TRUE(log->change(settings("log")));
  write(*writer, "/b");
  writer->flush();
  await([&] { return text("log") == "/a\n/b\n"; });
}

TEST_F(LogChange, ThatIsBadLeavesAllAsItWas) {
  auto log = open(settings("log"));
  const auto writer = log->writer();
  const auto format = log->change(settings("log", "%FOO%"));
  ASSERT_FALSE(format);
  EXPECT_EQ(format.error().context, "access log format: %FOO% is not a known operator");
  const auto file = log->change(settings("no/log"));
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().context.find("no/log: No such file or directory"), std::string::npos);
  write(*writer, "/a");
  writer->flush();
  await([&] { return text("log") == "/a\n"; });
  std::filesystem::create_directory(directory_ / "no");
  ASSERT_TRUE(log->change(settings("no/log")));  // the same again, and now it can be done
}

TEST_F(LogChange, ReopensTheNewFile) {
  auto log = open(settings("old"));
  const auto writer = log->writer();
  ASSERT_TRUE(log->change(settings("new")));
  std::filesystem::rename(directory_ / "new", directory_ / "new.1");
  log->reopen();
  await([&] { return std::filesystem::exists(directory_ / "new"); });
  write(*writer, "/a");
  writer->flush();
  await([&] { return text("new") == "/a\n"; });
}

TEST_F(LogChange, IsNotHeldUpByAPipeThatNobodyReads) {
  ASSERT_EQ(mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  const int reader = ::open((directory_ / "pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  auto log = open(settings("pipe"));
  const auto writer = log->writer();
  write(*writer, std::string(200'000, 'x'));
  writer->flush();
  ASSERT_TRUE(log->change(settings("new")));
  write(*writer, "/a");
  writer->flush();
  await([&] { return text("new") == "/a\n"; });
  EXPECT_EQ(log->dropped(), 1u);
  ::close(reader);
}

TEST_F(LogChange, LosesNoLineOfManyWorkers) {
  auto log = open(settings("0"));
  constexpr int workers = 4, lines = 5000, files = 5;
  {
    std::vector<std::jthread> threads;
    for (int worker = 0; worker < workers; worker++)
      threads.emplace_back([&, worker] {
        const auto writer = log->writer();
        for (int i = 0; i < lines; i++) {
          write(*writer, "/" + std::to_string(worker) + "." + std::to_string(i));
          if (i % 97 == worker) writer->flush();
        }
      });
    for (int i = 1; i <= 200; i++)
      ASSERT_TRUE(log->change(settings(std::to_string(i % files), i % 2 ? "%REQ(:PATH)%" : "")));
    EXPECT_TRUE(log->change(settings("0")));
  }
  EXPECT_EQ(log->dropped() + log->write_errors(), 0u);
  log.reset();
  std::map<std::string, int> seen;
  for (int file = 0; file < files; file++) {
    std::istringstream lines_of(text(std::to_string(file)));
    for (std::string line; std::getline(lines_of, line);) {
      const auto begin = line.find('/');
      ASSERT_NE(begin, line.npos) << line;
      seen[line.substr(begin, line.find(' ', begin) - begin)]++;
    }
  }
  EXPECT_EQ(seen.size(), std::size_t{workers * lines});
  for (const auto& [path, count] : seen) ASSERT_EQ(count, 1) << path;
}

// A request may begin under one format and end under another.
TEST_F(LogChange, FindsKeptHeadersByTheirNames) {
  auto log = open(settings("log", "%REQ(A)% %RESP(B)%"));
  const auto writer = log->writer();
  AccessRecord record;
  writer->keep_request(record, "GET / HTTP/1.1\r\nA: 1\r\nC: 3\r\n\r\n");
  writer->keep_response(record, "HTTP/1.1 200 OK\r\nB: 2\r\n\r\n");
  ASSERT_TRUE(log->change(settings("log", "%REQ(C)% %REQ(A)%")));
  writer->write(record);
  writer->keep_request(record, "GET / HTTP/1.1\r\nA: 4\r\nC: 5\r\n\r\n");  // another attempt
  writer->write(record);
  writer->flush();
  await([&] { return text("log") == "- 1\n5 4\n"; });
}

TEST_F(LogChange, NumbersConnectionsOfAllWorkersApart) {
  auto log = open({});
  const auto first = log->writer(), second = log->writer();
  std::set<uint64_t> ids;
  for (int i = 0; i < 10; i++) {
    ids.insert(first->next_connection_id());
    ids.insert(second->next_connection_id());
  }
  EXPECT_EQ(ids.size(), 20u);
  EXPECT_FALSE(ids.contains(0));
}

}  // namespace
}  // namespace sallyport::observe
