// connect(): what comes back, and how failures are named.
#include <gtest/gtest.h>

#include "agent/net/combine.h"
#include "tests/support/full_listener.h"
#include "tests/unit/net/support.h"

namespace sallyport::net {
namespace {

Task<void> connect_into(Loop& loop, SocketAddress to, std::chrono::milliseconds time,
                        std::optional<Result<Stream>>& into) {
  into.emplace(co_await connect(loop, to, time));
}

Result<Stream> connected(Loop& loop, SocketAddress to, std::chrono::milliseconds time = 10s) {
  std::optional<Result<Stream>> result;
  run(loop, connect_into(loop, to, time, result));
  return std::move(*result);
}

SocketAddress address_of(int fd) {
  sockaddr_storage storage;
  socklen_t size = sizeof storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  return SocketAddress::from(reinterpret_cast<sockaddr*>(&storage));
}

TEST(Connect, GivesAConnectedStream) {
  Loop loop;
  for (const char* at : {"127.0.0.1:0", "[::1]:0"}) {
    const int listening = *open_listening_socket(*SocketAddress::parse(at));
    const auto to = address_of(listening);
    auto stream = connected(loop, to);
    ASSERT_TRUE(stream) << stream.error().context;
    EXPECT_EQ(stream->peer(), to);
    Stream accepted(loop, accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    std::string got;
    run(loop, when_both(write_and_end(*stream, "hello"), read_all_into(accepted, got)));
    EXPECT_EQ(got, "hello");
    ::close(listening);
  }
}

Task<void> connect_from(Loop& loop, SocketAddress to, Source source,
                        std::optional<Result<Stream>>& into) {
  into.emplace(co_await connect(loop, to, 10s, source));
}

TEST(Connect, ComesFromTheAddressAskedFor) {
  Loop loop;
  const int listening = *open_listening_socket(*SocketAddress::parse("127.0.0.1:0"));
  const auto to = address_of(listening);
  std::optional<Result<Stream>> stream;
  run(loop, connect_from(loop, to, {*IpAddress::parse("127.0.0.9")}, stream));
  ASSERT_TRUE(*stream) << stream->error().context;
  EXPECT_EQ((*stream)->local().ip().text(), "127.0.0.9");
  run(loop, connect_from(loop, to, {*IpAddress::parse("192.0.2.1")}, stream));
  ASSERT_FALSE(*stream) << "not an address of this machine";
  EXPECT_EQ(stream->error().context, "connect " + to.text() + ": Cannot assign requested address");
  EXPECT_EQ(stream->error().side, Side::local);
  ::close(listening);
}

// TPROXY's (tests/unit/rules/capture_tproxy_test.cpp): a client's connection from the same port to
// the same server may be there.
TEST(Connect, FromAClientsAddressTakesAPortThatClientsDoNotChooseAndCarriesTheMark) {
  Loop loop;
  for (const char* at : {"127.0.0.1:0", "[::1]:0"}) {
    const int listening = *open_listening_socket(*SocketAddress::parse(at));
    const auto to = address_of(listening);
    std::optional<Result<Stream>> first, second;
    run(loop, connect_from(loop, to, {to.ip(), 77}, first));
    run(loop, connect_from(loop, to, {to.ip(), 77}, second));
    ASSERT_TRUE(*first) << first->error().context;
    ASSERT_TRUE(*second) << second->error().context;
    EXPECT_NE((*first)->local(), (*second)->local());
    for (const auto* one : {&**first, &**second}) {
      EXPECT_EQ(one->local().ip(), to.ip());
      EXPECT_GE(one->local().port(), 10'240);
      EXPECT_LT(one->local().port(), 32'768);
      int mark = 0;
      socklen_t size = sizeof mark;
      getsockopt(one->fd(), SOL_SOCKET, SO_MARK, &mark, &size);
      EXPECT_EQ(mark, 77);
    }
    ::close(listening);
  }
}

// Of 22,528 ports two of 1,500 connections are alike some fifty times.
TEST(Connect, OfOneClientsManyConnectionsEachFindsAPortOfItsOwn) {
  Loop loop;
  const int listening = *open_listening_socket(*SocketAddress::parse("127.0.0.1:0"));
  const auto to = address_of(listening);
  for (const bool held : {true, false}) {
    std::vector<int> accepted;
    std::vector<Stream> streams;
    for (int i = 0; i < 1'500; i++) {
      std::optional<Result<Stream>> stream;
      run(loop, connect_from(loop, to, {to.ip(), 77}, stream));
      ASSERT_TRUE(*stream) << i << " " << stream->error().context;
      streams.push_back(std::move(**stream));
      const int peer = accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
      ASSERT_GE(peer, 0) << std::strerror(errno);
      if (held) accepted.push_back(peer);
      if (!held) ::close(peer);
    }
    for (const int peer : accepted) ::close(peer);
  }
  ::close(listening);
}

TEST(Connect, ARefusalNamesTheAddress) {
  Loop loop;
  const int listening = *open_listening_socket(*SocketAddress::parse("127.0.0.1:0"));
  const auto to = address_of(listening);
  ::close(listening);
  const auto stream = connected(loop, to);
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().context, "connect " + to.text() + ": Connection refused");
  EXPECT_EQ(stream.error().fault, Fault::refused);
  EXPECT_EQ(stream.error().side, Side::upstream);
  EXPECT_TRUE(stream.error().retryable);
}

TEST(Connect, NoRouteIsARefusalToo) {
  Loop loop;
  const auto stream =
      connected(loop, *SocketAddress::parse("[100::1]:80"), 100ms);  // RFC 6666: discard-only
  ASSERT_FALSE(stream);
  EXPECT_TRUE(stream.error().context.starts_with("connect [100::1]:80: "))
      << stream.error().context;
  EXPECT_TRUE(stream.error().fault == Fault::refused || stream.error().fault == Fault::timed_out);
}

TEST(Connect, WithoutAnAnswerItEndsWithTheTime) {
  Loop loop;
  const test::FullListener full;
  const auto before = Loop::Clock::now();
  const auto stream = connected(loop, full.address(), 20ms);
  ASSERT_FALSE(stream);
  EXPECT_GE(Loop::Clock::now() - before, 20ms);
  EXPECT_EQ(stream.error().context, "connect " + full.address().text() + ": timed out after 20 ms");
  EXPECT_EQ(stream.error().fault, Fault::timed_out);
  EXPECT_TRUE(stream.error().retryable);
}

Task<void> first_of_two(Loop& loop, SocketAddress silent, SocketAddress good, std::size_t& winner) {
  const auto result = co_await when_any(connect(loop, silent, 1h), connect(loop, good, 1h));
  winner = result.index();
}

TEST(Connect, CancelledByTheOneThatAnswersFirst) {
  Loop loop;
  const test::FullListener full;
  const int listening = *open_listening_socket(*SocketAddress::parse("127.0.0.1:0"));
  std::size_t winner = 9;
  run(loop, first_of_two(loop, full.address(), address_of(listening), winner));
  EXPECT_EQ(winner, 1u);
  EXPECT_TRUE(loop.timers().empty());
  ::close(listening);
}

}  // namespace
}  // namespace sallyport::net
