// What a message costs in system calls: one recv, one send, and none that is known to fail.
#include "tests/unit/net/system_calls.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "agent/net/buffers.h"
#include "agent/net/relay.h"
#include "tests/unit/net/support.h"

namespace sallyport::net {

thread_local SystemCalls system_calls;

namespace {
std::atomic<std::size_t> allocated{0};
int in_vain(long result) { return result < 0 && errno == EAGAIN ? 1 : 0; }
}  // namespace

std::size_t allocated_bytes() { return allocated; }

}  // namespace sallyport::net

using sallyport::net::in_vain;
using sallyport::net::system_calls;

extern "C" {
ssize_t recv(int fd, void* into, size_t size, int flags) {
  const long result = syscall(SYS_recvfrom, fd, into, size, flags, nullptr, nullptr);
  system_calls.recv++;
  system_calls.recv_in_vain += in_vain(result);
  return result;
}
ssize_t send(int fd, const void* from, size_t size, int flags) {
  const long result = syscall(SYS_sendto, fd, from, size, flags, nullptr, 0);
  system_calls.send++;
  system_calls.send_in_vain += in_vain(result);
  return result;
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  const long result = syscall(SYS_sendmsg, fd, message, flags);
  system_calls.send++;
  system_calls.send_in_vain += in_vain(result);
  return result;
}
ssize_t splice(int from, off64_t* from_at, int to, off64_t* to_at, size_t size, unsigned flags) {
  system_calls.splice++;
  return syscall(SYS_splice, from, from_at, to, to_at, size, flags);
}
int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  system_calls.epoll_ctl++;
  return static_cast<int>(syscall(SYS_epoll_ctl, epoll, operation, fd, event));
}
int epoll_wait(int epoll, epoll_event* events, int size, int timeout) {
  system_calls.epoll_wait++;
  system_calls.epoll_wait_until += timeout > 0 ? 1 : 0;
  const int count = static_cast<int>(syscall(SYS_epoll_wait, epoll, events, size, timeout));
  system_calls.events += count > 0 ? count : 0;
  return count;
}
int shutdown(int fd, int how) noexcept {
  system_calls.shutdown++;
  return static_cast<int>(syscall(SYS_shutdown, fd, how));
}
int pipe2(int* ends, int flags) noexcept {
  system_calls.pipe++;
  return static_cast<int>(syscall(SYS_pipe2, ends, flags));
}
}

// Not inlined: g++ takes new and free for a mismatch otherwise.
[[gnu::noinline]] void* operator new(std::size_t size) {
  void* const block = std::malloc(size);
  if (block == nullptr) std::abort();
  sallyport::net::allocated += malloc_usable_size(block);
  return block;
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return operator new(size);
}
[[gnu::noinline]] void operator delete(void* block) noexcept {
  sallyport::net::allocated -= malloc_usable_size(block);
  std::free(block);
}
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept {
  operator delete(block);
}

namespace sallyport::net {
namespace {

Task<void> echo(Stream& stream, int times) {
  char room[4096];
  for (int i = 0; i < times; i++) {
    const ssize_t got = co_await stream.read(room);
    if (got <= 0) co_return;
    EXPECT_TRUE(co_await stream.write_all(std::string_view(room, static_cast<std::size_t>(got))));
  }
}
Task<void> ask(Stream& stream, int times) {
  char room[4096];
  for (int i = 0; i < times; i++) {
    char head[] = "head ", body[] = "body";
    iovec pieces[] = {{head, 5}, {body, 4}};
    EXPECT_TRUE(co_await stream.write_all(pieces));
    EXPECT_EQ(co_await stream.read(room), 9);
  }
}

TEST(SystemCalls, AMessageIsOneReceiveAndOneSendAndNoneInVain) {
  Loop loop;
  auto [here, there] = tcp_pair(loop);
  run(loop, sleep_for(loop, 1ms));
  constexpr int times = 100;
  loop.spawn(echo(there, times));
  const auto each_tick = loop.each_tick([] {});
  here.set_deadline(1min);
  system_calls = {};
  run(loop, ask(here, times));
  EXPECT_EQ(system_calls.recv, 2 * times);
  EXPECT_EQ(system_calls.send, 2 * times);
  EXPECT_EQ(system_calls.recv_in_vain + system_calls.send_in_vain, 0);
  EXPECT_EQ(system_calls.epoll_ctl, 0);
  EXPECT_LE(system_calls.epoll_wait, 2 * times + 2);
  EXPECT_EQ(system_calls.epoll_wait_until, 0) << "though deadlines are set and ticks awaited";
}

Task<void> relay_messages(Stream& client, Stream& far, int times) {
  char room[64];
  for (int i = 0; i < times; i++) {
    EXPECT_TRUE(co_await client.write_all("ping"));
    EXPECT_EQ(co_await far.read(room), 4);
  }
}
Task<void> relay_between(Stream& one, Stream& other, RelayEnd& end) {
  RelayCounts counts;
  end = co_await relay(one, other, counts, 1h);
}

TEST(SystemCalls, ARelayedMessageIsOneReceiveAndOneSend) {
  Loop loop;
  auto [client, one] = tcp_pair(loop);
  auto [other, far] = tcp_pair(loop);
  RelayEnd end;
  loop.spawn(relay_between(one, other, end));
  run(loop, sleep_for(loop, 1ms));
  constexpr int times = 100;
  system_calls = {};
  run(loop, relay_messages(client, far, times));
  EXPECT_EQ(system_calls.recv, 2 * times) << "the client's own and the relay's";
  EXPECT_EQ(system_calls.send, 2 * times);
  EXPECT_EQ(system_calls.recv_in_vain + system_calls.send_in_vain, 0);
  EXPECT_EQ(system_calls.splice, 0);
  loop.spawn(write_and_end(client, ""));
  run(loop, write_and_end(far, ""));
  run(loop, until_last(loop));
  EXPECT_EQ(system_calls.shutdown, 3) << "both ends', and the relay's of the side that ended first:"
                                         " what both have ended is closed";
}

TEST(SystemCalls, AnAcceptedConnectionWakesNobodyBeforeItsPeerSpeaks) {
  Loop loop;
  const auto events = [&loop] {
    system_calls = {};
    run(loop, sleep_for(loop, 1ms));
    return system_calls.events;
  };
  events();
  const auto [client, server] = tcp_fds();
  const int without = events();
  const Stream accepted = Stream::accepted(loop, server);
  EXPECT_EQ(events(), without);
  const Stream connected(loop, client);
  EXPECT_EQ(events(), without + 1);
}

TEST(SystemCalls, AnAcceptedConnectionWhoseWriteHasToWaitIsAskedAboutItOnce) {
  Loop loop;
  auto [client, accepted] = tcp_pair(loop);
  const std::string much = pattern(32 << 20);  // more than the kernel takes
  std::string came;
  system_calls = {};
  loop.spawn(write_and_end(accepted, much));
  run(loop, sleep_for(loop, 1ms));
  run(loop, read_all_into(client, came));
  EXPECT_TRUE(came == much);
  EXPECT_EQ(system_calls.epoll_ctl, 1);
}

TEST(SystemCalls, AnAcceptedConnectionIsAddedToTheEpollOnce) {
  Loop loop;
  system_calls = {};
  auto [here, there] = tcp_pair(loop);
  loop.spawn(echo(there, 10));
  run(loop, ask(here, 10));
  EXPECT_EQ(system_calls.epoll_ctl, 2);
}

struct IdleRelay {
  static Task<void> serve(Stream client, Stream upstream) {
    RelayCounts counts;
    co_await relay(client, upstream, counts, 1h);
  }
};
Task<void> ping(std::vector<Stream>& clients, std::vector<Stream>& fars) {
  for (std::size_t i = 0; i < clients.size(); i++) co_await relay_messages(clients[i], fars[i], 1);
}

TEST(Memory, AnIdleRelayedConnectionCostsAtMostOneAndAHalfKibibytes) {
  constexpr std::size_t count = 100;
  std::vector<std::pair<int, int>> near_fds, far_fds;
  for (std::size_t i = 0; i < count; i++) {
    near_fds.push_back(tcp_fds());
    far_fds.push_back(tcp_fds());
  }
  Loop loop;
  std::vector<Stream> clients, fars;
  for (std::size_t i = 0; i < count; i++) {
    clients.emplace_back(loop, near_fds[i].first);
    fars.emplace_back(loop, far_fds[i].second);
  }
  run(loop, sleep_for(loop, 1ms));
  const std::size_t before = allocated_bytes();
  for (std::size_t i = 0; i < count; i++) {
    loop.spawn(IdleRelay::serve(Stream(loop, near_fds[i].second), Stream(loop, far_fds[i].first)));
  }
  run(loop, ping(clients, fars));
  EXPECT_EQ(loop.spawned(), count);
  const std::size_t each =
      (allocated_bytes() - before - Buffers::size) / count;  // one buffer stays with the thread
  EXPECT_LE(each, 1536u);
  RecordProperty("bytes_per_idle_relay", static_cast<int>(each));
  std::printf("an idle relayed connection: %zu bytes\n", each);
}

}  // namespace
}  // namespace sallyport::net
