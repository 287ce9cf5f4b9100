// Listening sockets and accepting from them.
#include "agent/net/listener.h"

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <thread>

#include "tests/unit/net/support.h"

namespace sallyport::net {
namespace {

int dial(const SocketAddress& to) {
  const int fd = socket(to.ip().is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage storage;
  const socklen_t size = to.fill(storage);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&storage), size), 0) << to.text();
  return fd;
}

TEST(Listener, HandsOverEveryConnectionOfABurst) {
  Loop loop;
  constexpr std::size_t burst = 150;  // more than it takes in a row
  std::vector<Stream> accepted;
  Listener listener(loop, *open_listening_socket(*SocketAddress::parse("127.0.0.1:0")),
                    [&](Stream stream) {
                      EXPECT_EQ(stream.local().ip().text(), "127.0.0.1");
                      accepted.push_back(std::move(stream));
                      if (accepted.size() == burst) loop.stop();
                    });
  EXPECT_NE(listener.local().port(), 0);
  std::vector<int> clients;
  for (std::size_t i = 0; i < burst; i++) clients.push_back(dial(listener.local()));
  loop.run();
  EXPECT_EQ(accepted.size(), burst);
  for (const int client : clients) ::close(client);
}

TEST(Listener, WhatItAcceptsSendsAtOnce) {
  Loop loop;
  int no_delay = 0;
  Listener listener(loop, *open_listening_socket(*SocketAddress::parse("127.0.0.1:0")),
                    [&](Stream stream) {
                      socklen_t size = sizeof no_delay;
                      getsockopt(stream.fd(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size);
                      loop.stop();
                    });
  const int client = dial(listener.local());
  loop.run();
  EXPECT_NE(no_delay, 0);
  ::close(client);
}

TEST(Listener, MayAwaitTheClientsFirstBytes) {
  Loop loop;
  std::vector<Stream> accepted;
  Listener listener(loop, *open_listening_socket(*SocketAddress::parse("127.0.0.1:0")),
                    [&](Stream stream) { accepted.push_back(std::move(stream)); });
  const auto accepted_after = [&](std::chrono::milliseconds time) {
    run(loop, sleep_for(loop, time));
    return accepted.size();
  };
  listener.await_first_bytes(true);
  const int silent = dial(listener.local()), speaks = dial(listener.local());
  EXPECT_EQ(accepted_after(100ms), 0u);
  EXPECT_EQ(::send(speaks, "x", 1, 0), 1);
  EXPECT_EQ(accepted_after(100ms), 1u);
  EXPECT_EQ(accepted_after(3s), 2u) << "who says nothing is served too, by our own time-outs";
  listener.await_first_bytes(false);
  const int waits = dial(listener.local());
  EXPECT_EQ(accepted_after(100ms), 3u) << "the server speaks first";
  for (const int client : {silent, speaks, waits}) ::close(client);
}

TEST(Listener, WorkersShareAnAddress) {
  const int first = *open_listening_socket(*SocketAddress::parse("127.0.0.1:0"));
  Loop loop;
  Listener one(loop, first, [](Stream) {});
  const auto second = open_listening_socket(one.local());
  ASSERT_TRUE(second) << second.error().context;
  ::close(*second);
}

TEST(Listener, AnAddressThatIsNotOursIsNamedAtTheStart) {
  const auto fd = open_listening_socket(*SocketAddress::parse("192.0.2.1:15001"));
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().context, "listen on 192.0.2.1:15001: Cannot assign requested address");
  EXPECT_EQ(fd.error().side, Side::local);
}

TEST(Listener, UnspecifiedIPv6TakesIPv4OnlyWhenAsked) {
  Loop loop;
  std::vector<SocketAddress> peers;
  Listener dual(loop, *open_listening_socket(*SocketAddress::parse("[::]:0"), {.v6_only = false}),
                [&](Stream stream) {
                  peers.push_back(stream.peer());
                  loop.stop();
                });
  const int client = dial({*IpAddress::parse("127.0.0.1"), dual.local().port()});
  loop.run();
  ASSERT_EQ(peers.size(), 1u);
  EXPECT_EQ(peers[0].ip().text(), "127.0.0.1") << "as IPv4, not mapped";
  ::close(client);

  const int six = *open_listening_socket(*SocketAddress::parse("[::]:0"));
  Listener only_six(loop, six, [](Stream) {});
  const int four = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage storage;
  const socklen_t size =
      SocketAddress(*IpAddress::parse("127.0.0.1"), only_six.local().port()).fill(storage);
  EXPECT_EQ(::connect(four, reinterpret_cast<sockaddr*>(&storage), size), -1);
  ::close(four);
}

TEST(Listener, MayBeDestroyedByItsOwnCallback) {
  Loop loop;
  std::unique_ptr<Listener> listener;
  int accepted = 0;
  listener = std::make_unique<Listener>(
      loop, *open_listening_socket(*SocketAddress::parse("127.0.0.1:0")), [&](Stream) {
        accepted++;
        listener.reset();
        loop.stop();
      });
  const int one = dial(listener->local()), other = dial(listener->local());
  loop.run();
  EXPECT_EQ(accepted, 1);
  ::close(one);
  ::close(other);
}

TEST(Listener, WithoutDescriptorsItPausesAndTakesTheConnectionLater) {
  Loop loop;
  int starved = 0, accepted = 0;
  Listener listener(
      loop, *open_listening_socket(*SocketAddress::parse("127.0.0.1:0")),
      [&](Stream) {
        accepted++;
        loop.stop();
      },
      [&] {
        starved++;
        loop.stop();
      });
  const int client = dial(listener.local());
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  const int next = dup(client);  // the lowest free number: none at or above it shall be given out
  ::close(next);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  loop.run();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(starved, 1);
  EXPECT_EQ(accepted, 0);
  loop.run();
  EXPECT_EQ(accepted, 1);
  EXPECT_EQ(starved, 1) << "once a pause";
  ::close(client);
}

}  // namespace
}  // namespace sallyport::net
