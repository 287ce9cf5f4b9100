// connect() to a unix socket: what comes back, and how failures are named.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "agent/net/combine.h"
#include "agent/net/listener.h"
#include "agent/net/relay.h"
#include "tests/unit/net/support.h"

namespace sallyport::net {
namespace {

class UnixSocket : public testing::Test {
protected:
  UnixSocket() {
    std::string name = testing::TempDir() + "unix-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~UnixSocket() override {
    for (const int fd : open_) ::close(fd);
    std::filesystem::remove_all(directory_);
  }

  SocketAddress at(const std::string& name) const {
    return *SocketAddress::unix_socket(directory_ + "/" + name);
  }
  int bound(const SocketAddress& to, int type) {
    sockaddr_storage storage;
    const socklen_t size = to.fill(storage);
    const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&storage), size), 0) << to.text();
    open_.push_back(fd);
    return fd;
  }
  int listening(const SocketAddress& to, int backlog = 8) {
    const int fd = bound(to, SOCK_STREAM);
    EXPECT_EQ(listen(fd, backlog), 0);
    return fd;
  }
  Result<Stream> connected(const SocketAddress& to, IpAddress source = {}) {
    std::optional<Result<Stream>> result;
    run(loop, connect_into(to, source, result));
    return std::move(*result);
  }
  void expect_refused(const SocketAddress& to, const std::string& why) {
    const auto stream = connected(to);
    ASSERT_FALSE(stream) << why;
    EXPECT_EQ(stream.error().context, "connect " + to.text() + ": " + why);
    EXPECT_EQ(stream.error().fault, Fault::refused) << why;
    EXPECT_EQ(stream.error().side, Side::upstream) << why;
    EXPECT_TRUE(stream.error().retryable) << why;
  }

  Loop loop;
  std::string directory_;

private:
  Task<void> connect_into(SocketAddress to, IpAddress source, std::optional<Result<Stream>>& into) {
    into.emplace(co_await connect(loop, to, 10s, Source{source}));
  }
  std::vector<int> open_;
};

TEST_F(UnixSocket, CarriesBytesBothWays) {
  const auto abstract = *SocketAddress::unix_socket("@sallyport-test-" + std::to_string(getpid()));
  for (const auto& to : {at("x.sock"), abstract}) {
    const int server = listening(to);
    auto stream = connected(to);
    ASSERT_TRUE(stream) << stream.error().context;
    EXPECT_FALSE(stream->local().is_set()) << "nobody gave our end a name";
    Stream accepted(loop, accept4(server, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    std::string there, back;
    run(loop, when_both(write_and_end(*stream, "hello"), read_all_into(accepted, there)));
    run(loop, when_both(write_and_end(accepted, "and back"), read_all_into(*stream, back)));
    EXPECT_EQ(there, "hello") << to.text();
    EXPECT_EQ(back, "and back") << to.text();
  }
}

Task<void> relay_and_end(Stream& client, Stream& upstream, RelayCounts& counts) {
  const auto end = co_await relay(client, upstream, counts, 1h);
  EXPECT_FALSE(end.error) << end.error->context;
  client.close();
  upstream.close();
}

TEST_F(UnixSocket, IsRelayedToBulkAndEndsToo) {
  const int listener = listening(at("x.sock"));
  auto upstream = connected(at("x.sock"));
  ASSERT_TRUE(upstream);
  Stream server(loop, accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  auto [app, client] = tcp_pair(loop);
  const std::string request = pattern(4 << 20), answer = pattern(5 << 20);
  std::string got_request, got_answer;
  RelayCounts counts;
  loop.spawn(relay_and_end(client, *upstream, counts));
  loop.spawn(write_and_end(app, request));
  loop.spawn(write_and_end(server, answer));
  loop.spawn(read_all_into(server, got_request));
  loop.spawn(read_all_into(app, got_answer));
  run_all(loop);
  EXPECT_TRUE(got_request == request);
  EXPECT_TRUE(got_answer == answer);
  EXPECT_EQ(counts.from_client, request.size());
  EXPECT_EQ(counts.to_client, answer.size());
}

TEST_F(UnixSocket, IsListenedOnAndItsPathStandsForBothEnds) {
  for (const auto& to : {at("x.sock"), *SocketAddress::unix_socket("@" + directory_)}) {
    Loop loop;
    Stream accepted;
    const auto fd = open_listening_socket(to);
    ASSERT_TRUE(fd) << fd.error().context;
    Listener listener(loop, *fd, [&](Stream stream) {
      accepted = std::move(stream);
      loop.stop();
    });
    EXPECT_EQ(listener.local(), to);
    sockaddr_storage storage;
    const socklen_t size = to.fill(storage);
    const int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&storage), size), 0) << to.text();
    loop.run();
    EXPECT_EQ(accepted.local(), to);
    EXPECT_EQ(accepted.peer(), to);
    ::close(client);
  }
}

TEST_F(UnixSocket, LeftBehindIsReplacedByTheNextOneToListen) {
  bound(at("x.sock"), SOCK_STREAM);
  const auto fd = open_listening_socket(at("x.sock"));
  ASSERT_TRUE(fd) << fd.error().context;
  EXPECT_TRUE(connected(at("x.sock")));
  ::close(*fd);
  remove_socket_file(at("x.sock"));
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/x.sock"));
}

TEST_F(UnixSocket, NeverTakesThePlaceOfAnotherFile) {
  std::ofstream(directory_ + "/file") << "text";
  const auto fd = open_listening_socket(at("file"));
  ASSERT_FALSE(fd);
  EXPECT_NE(fd.error().context.find("/file: Address already in use"), std::string::npos)
      << fd.error().context;
  remove_socket_file(at("file"));
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/file"));
}

TEST_F(UnixSocket, HasNoUseForAnAddressToComeFrom) {
  listening(at("x.sock"));
  EXPECT_TRUE(connected(at("x.sock"), *IpAddress::parse("127.0.0.9")));
}

TEST_F(UnixSocket, ThatIsNotThereRefuses) {
  expect_refused(at("none.sock"), "No such file or directory");
  std::ofstream(directory_ + "/file") << "text";
  expect_refused(at("file/x.sock"), "there is no such path");
  std::filesystem::create_symlink(directory_ + "/loop", directory_ + "/loop");
  expect_refused(at("loop"), "there is no such path");
}

TEST_F(UnixSocket, ThatNobodyListensOnRefuses) {
  bound(at("bound.sock"), SOCK_STREAM);
  expect_refused(at("bound.sock"), "Connection refused");
  std::ofstream(directory_ + "/file") << "text";
  expect_refused(at("file"), "Connection refused");
  bound(at("datagrams.sock"), SOCK_DGRAM);
  expect_refused(at("datagrams.sock"), "it is no stream socket");
}

TEST_F(UnixSocket, WhoseBacklogIsFullRefusesAtOnce) {
  const auto to = at("full.sock");
  const int server = listening(to, 0);
  const auto waiting = connected(to);
  ASSERT_TRUE(waiting);
  expect_refused(to, "the server has as many connections waiting as its backlog takes");
  ::close(accept4(server, nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_TRUE(connected(to)) << "one was accepted, there is room";
}

}  // namespace
}  // namespace sallyport::net
