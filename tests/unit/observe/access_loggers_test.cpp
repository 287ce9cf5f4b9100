// Several loggers at once: each writes what it is for, in its shape, to its place.
#include "tests/unit/observe/access_log_fixture.h"

namespace sallyport::observe {
namespace {

class Loggers : public AccessLogTest {
protected:
  std::filesystem::path file(const std::string& name) const { return directory_ / name; }
  std::string text(const std::string& name) const { return content(file(name)); }
  static void write_side(AccessLog::Writer& writer, std::string_view path, bool server_side,
                         int code = 200) {
    AccessRecord record;
    record.path = path;
    record.server_side = server_side;
    record.response_code = code;
    writer.write(record);
  }
};
const std::string path_only = "%REQ(:PATH)%";

TEST_F(Loggers, EachWritesInItsShapeToItsFile) {
  auto log = open({{.path = file("a"), .format = path_only},
                   {.path = file("b"), .format = "{\"p\":\"%REQ(:PATH)%\"}", .json = true}});
  const auto writer = log->writer();
  write(*writer, "/x");
  writer->flush();
  await([&] { return text("a") == "/x\n" && text("b") == "{\"p\":\"/x\"}\n"; });
}

TEST_F(Loggers, WriteWholeLinesToAFileThatTheyShare) {
  auto log = open({{.path = file("a"), .format = "1 %REQ(:PATH)%"},
                   {.path = file("a"), .format = "2 %REQ(:PATH)%"}});
  const auto writer = log->writer();
  write(*writer, "/x");
  write(*writer, "/y");
  writer->flush();
  await([&] { return text("a") == "1 /x\n1 /y\n2 /x\n2 /y\n"; });
}

TEST_F(Loggers, OfOneSideWriteNothingOfTheOther) {
  auto log = open({{.path = file("client"), .format = path_only, .server = false},
                   {.path = file("server"), .format = path_only, .client = false},
                   {.path = file("both"), .format = path_only}});
  const auto writer = log->writer();
  write_side(*writer, "/out", false);
  write_side(*writer, "/in", true);
  writer->flush();
  await([&] { return text("both") == "/out\n/in\n"; });
  await([&] { return text("client") == "/out\n" && text("server") == "/in\n"; });
}

TEST_F(Loggers, WriteWhatTheirFilterTakes) {
  auto log = open({{.path = file("bad"), .format = path_only, .filter = "response.code >= 400"},
                   {.path = file("all"), .format = path_only}});
  const auto writer = log->writer();
  write_side(*writer, "/good", false, 200);
  write_side(*writer, "/bad", false, 503);
  writer->flush();
  await([&] { return text("bad") == "/bad\n" && text("all") == "/good\n/bad\n"; });
}

TEST_F(Loggers, WithAFilterThatCanNotBeReadLoseNothing) {
  auto log = open({{.path = file("a"), .format = path_only, .filter = "response.code +"}});
  const auto writer = log->writer();
  write_side(*writer, "/x", false);
  writer->flush();
  await([&] { return text("a") == "/x\n"; });
}

TEST_F(Loggers, TogetherAskForWhatOneOfThemNeeds) {
  auto log = open({{.path = file("a"), .format = "%REQ(A)% %RESP(B)%"},
                   {.path = file("b"),
                    .format = "%REQ(A)% %UPSTREAM_TLS_VERSION%",
                    .filter = "request.headers['c'] == 'd'"}});
  const auto writer = log->writer();
  const LogNeeds& needs = writer->needs();
  EXPECT_EQ(needs.request_headers, (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(needs.response_headers, std::vector<std::string>{"b"});
  EXPECT_TRUE(needs.upstream_tls);
  EXPECT_FALSE(needs.downstream_tls);
}

TEST_F(Loggers, ComeAndGoWhileOthersGoOn) {
  const LogSettings a{.path = file("a"), .format = path_only};
  const LogSettings b{.path = file("b"), .format = path_only};
  auto log = open({a});
  const auto writer = log->writer();
  write(*writer, "/1");
  ASSERT_TRUE(log->change({a, b}));
  write(*writer, "/2");
  ASSERT_TRUE(log->change({b}));
  write(*writer, "/3");
  writer->flush();
  await([&] { return text("a") == "/1\n/2\n" && text("b") == "/2\n/3\n"; });
}

TEST_F(Loggers, StayAsTheyWereWhenOneOfTheNewCanNotBeOpened) {
  const LogSettings a{.path = file("a"), .format = path_only};
  auto log = open({a});
  const auto writer = log->writer();
  const auto changed = log->change({{.path = file("b")}, {.path = file("no/c")}});
  ASSERT_FALSE(changed);
  EXPECT_NE(changed.error().context.find("no/c: No such file or directory"), std::string::npos);
  write(*writer, "/x");
  writer->flush();
  await([&] { return text("a") == "/x\n"; });
}

TEST_F(Loggers, AreReopenedTogether) {
  auto log =
      open({{.path = file("a"), .format = path_only}, {.path = file("b"), .format = path_only}});
  const auto writer = log->writer();
  for (const char* name : {"a", "b"}) std::filesystem::rename(file(name), file(name) += ".1");
  log->reopen();
  await([&] { return std::filesystem::exists(file("a")) && std::filesystem::exists(file("b")); });
  write(*writer, "/x");
  writer->flush();
  await([&] { return text("a") == "/x\n" && text("b") == "/x\n"; });
}

TEST_F(Loggers, ThatFailAreNamedAllOfThem) {
  auto log = open({{.path = "/dev/full", .format = path_only},
                   {.path = file("a"), .format = path_only},
                   {.path = "/dev/full", .format = "2"}});
  const auto writer = log->writer();
  write(*writer, "/x");
  writer->flush();
  await([&] { return log->write_errors() == 2 && text("a") == "/x\n"; });
  EXPECT_EQ(log->problem(), "/dev/full: No space left on device");
}

}  // namespace
}  // namespace sallyport::observe
