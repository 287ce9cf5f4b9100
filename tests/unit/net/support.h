// What the tests of net share: pairs of connected streams, and running a task to its end.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "agent/core/address.h"
#include "agent/net/listener.h"
#include "agent/net/loop.h"
#include "agent/net/stream.h"
#include "agent/net/timers.h"

namespace sallyport::net {

using namespace std::chrono_literals;

inline std::pair<Stream, Stream> unix_pair(Loop& loop) {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  return {Stream(loop, ends[0]), Stream(loop, ends[1])};
}

// The two ends of a TCP connection over loopback.
inline std::pair<int, int> tcp_fds(const char* at = "127.0.0.1:0") {
  const int listening = *open_listening_socket(*SocketAddress::parse(at));
  sockaddr_storage address;
  socklen_t size = sizeof address;
  getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size);
  const int client = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), size), 0);
  // Connected means that it stands in the queue; a blocking accept needs no luck.
  fcntl(listening, F_SETFL, 0);
  const int server = accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  EXPECT_GE(server, 0);
  fcntl(client, F_SETFL, O_NONBLOCK);
  ::close(listening);
  return {client, server};
}
inline std::pair<Stream, Stream> tcp_pair(Loop& loop, const char* at = "127.0.0.1:0") {
  const auto [client, server] = tcp_fds(at);
  return {Stream(loop, client), Stream::accepted(loop, server)};
}

inline Task<void> then_stop(Loop& loop, Task<void> task) {
  co_await task;
  loop.stop();
}
inline void run(Loop& loop, Task<void> task) {
  loop.spawn(then_stop(loop, std::move(task)));
  loop.run();
}

// Runs until every task that was spawned has ended.
inline Task<void> until_last(Loop& loop) {
  while (loop.spawned() > 1) co_await sleep_for(loop, std::chrono::milliseconds(1));
}
inline void run_all(Loop& loop) { run(loop, until_last(loop)); }

inline Task<std::string> read_all(Stream& stream) {
  std::string all;
  char room[64 * 1024];
  for (;;) {
    const ssize_t got = co_await stream.read(room);
    if (got <= 0) co_return all;
    all.append(room, static_cast<std::size_t>(got));
  }
}
inline Task<std::string> read_exactly(Stream& stream, std::size_t size) {
  std::string all(size, 0);
  std::size_t have = 0;
  while (have < size) {
    const ssize_t got = co_await stream.read(std::span(all).subspan(have));
    if (got <= 0) break;
    have += static_cast<std::size_t>(got);
  }
  all.resize(have);
  co_return all;
}
inline Task<void> write_and_end(Stream& stream, std::string bytes) {
  EXPECT_TRUE(co_await stream.write_all(bytes));
  stream.shutdown_write();
}
inline Task<void> read_all_into(Stream& stream, std::string& all) {
  all = co_await read_all(stream);
}

// Bytes whose place shows, so that a lost or doubled block is seen.
inline std::string pattern(std::size_t size) {
  std::string out(size, 0);
  uint32_t state = 1;
  for (char& c : out) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return out;
}

}  // namespace sallyport::net
