// Streams: reading, writing, ends, deadlines, and what a failure says.
#include "agent/net/stream.h"

#include <gtest/gtest.h>

#include "agent/net/combine.h"
#include "agent/net/timers.h"
#include "tests/unit/net/support.h"
#include "tests/unit/net/system_calls.h"

namespace sallyport::net {
namespace {

Task<void> greet(Stream& here, Stream& there) {
  EXPECT_TRUE(co_await here.write_all("hello"));
  char room[16];
  EXPECT_EQ(co_await there.read(room), 5);
  EXPECT_EQ(std::string(room, 5), "hello");
  here.shutdown_write();
  EXPECT_EQ(co_await there.read(room), 0) << "the end";
  EXPECT_TRUE(there.seen_end());
  EXPECT_TRUE(co_await there.write_all("still")) << "the other direction is open";
  EXPECT_EQ(co_await here.read(room), 5);
}

TEST(Stream, CarriesBytesAndItsEndEachWay) {
  Loop loop;
  auto [a, b] = unix_pair(loop);
  run(loop, greet(a, b));
  auto [c, d] = tcp_pair(loop);
  run(loop, greet(c, d));
  auto [e, f] = tcp_pair(loop, "[::1]:0");
  run(loop, greet(e, f));
}

TEST(Stream, KnowsItsAddresses) {
  Loop loop;
  for (const char* at : {"127.0.0.1:0", "[::1]:0"}) {
    auto [client, server] = tcp_pair(loop, at);
    EXPECT_TRUE(client.local().is_set());
    EXPECT_EQ(client.local(), server.peer());
    EXPECT_EQ(server.local(), client.peer());
    EXPECT_EQ(client.peer().ip(), SocketAddress::parse(at)->ip());
  }
  auto [a, b] = unix_pair(loop);
  EXPECT_FALSE(a.peer().is_set());
}

TEST(Stream, AMovedOneLeavesTheOperationThatWaitsOnItAlone) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  std::string got;
  loop.spawn(then_stop(loop, read_all_into(there, got)));
  Stream moved = std::move(here);
  EXPECT_FALSE(here);
  loop.spawn(write_and_end(moved, "x"));
  loop.run();
  EXPECT_EQ(got, "x");
}

TEST(Stream, WritesMoreThanTheSocketHoldsWithoutLosingAByte) {
  Loop loop;
  for (const bool tcp : {false, true}) {
    auto [here, there] = tcp ? tcp_pair(loop) : unix_pair(loop);
    const std::string much = pattern(8 << 20);
    std::string got;
    run(loop, when_both(write_and_end(here, much), read_all_into(there, got)));
    EXPECT_TRUE(got == much);
  }
}

Task<void> write_pieces(Stream& stream, std::vector<std::string>& texts) {
  std::vector<iovec> pieces;
  for (std::string& text : texts) pieces.push_back({text.data(), text.size()});
  EXPECT_TRUE(co_await stream.write_all(pieces));
  EXPECT_TRUE(co_await stream.write_all(std::span<iovec>())) << "nothing is written at once";
  EXPECT_TRUE(co_await stream.write_all(""));
  stream.shutdown_write();
}

TEST(Stream, WritesPiecesInTheirOrderEmptyOnesIncluded) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  std::vector<std::string> texts;
  std::string all, got;
  for (std::size_t i = 0; i < 3000; i++)
    texts.push_back(pattern(i % 700));  // more than one sendmsg takes
  for (const std::string& text : texts) all += text;
  run(loop, when_both(write_pieces(here, texts), read_all_into(there, got)));
  EXPECT_TRUE(got == all);
}

Task<void> read_failing(Stream& stream, Error& error) {
  char room[16];
  while (co_await stream.read(room) > 0) {
  }
  error = stream.failure(Side::downstream);
}

TEST(Stream, TheLastBytesGoOutWithTheEndThatFollows) {
  Loop loop;
  const auto [client, server] = tcp_fds();
  Stream here(loop, server);
  here.end_follows();
  iovec last{const_cast<char*>("bye"), 3};
  EXPECT_EQ(here.try_write({&last, 1}).bytes, 3);
  char room[16];
  EXPECT_EQ(::recv(client, room, sizeof room, 0), -1) << "held: loopback delivers at once";
  here.close();
  EXPECT_EQ(::recv(client, room, sizeof room, 0), 3);
  EXPECT_EQ(::recv(client, room, sizeof room, 0), 0);
  ::close(client);
}

TEST(Stream, AResetIsNamedWithThePeer) {
  Loop loop;
  auto [here, there] = tcp_pair(loop);
  const auto who = here.peer().text();
  there.abort();
  Error error;
  run(loop, read_failing(here, error));
  EXPECT_EQ(error.fault, Fault::reset);
  EXPECT_EQ(error.side, Side::downstream);
  EXPECT_EQ(error.context, who + ": Connection reset by peer");
}

Task<void> write_until_it_fails(Stream& stream, Error& error) {
  const std::string much(1 << 20, 'x');
  while (co_await stream.write_all(much)) {
  }
  error = stream.failure(Side::upstream);
}

TEST(Stream, AWriteToAClosedPeerFailsAndRaisesNoSignal) {
  Loop loop;
  auto [here, there] = tcp_pair(loop);
  there.close();
  Error error;
  run(loop, write_until_it_fails(here, error));
  EXPECT_EQ(error.fault, Fault::reset);
  EXPECT_EQ(error.side, Side::upstream);
  EXPECT_TRUE(error.retryable);
}

Task<void> wait_past_deadline(Stream& here, Stream& there) {
  char room[16];
  const auto before = Loop::Clock::now();
  here.set_deadline(300ms);
  EXPECT_EQ(co_await here.read(room), -1);
  EXPECT_GE(Loop::Clock::now() - before, 300ms) << "never early";
  EXPECT_EQ(here.failure(Side::downstream).fault, Fault::timed_out);
  EXPECT_TRUE(co_await here.write_all("408")) << "what need not wait goes on";
  EXPECT_EQ(co_await here.read(room), -1) << "and what must wait fails at once";
  EXPECT_EQ(co_await there.read(room), 3);
  here.set_deadline(0ms);
  EXPECT_TRUE(co_await there.write_all("late"));
  EXPECT_EQ(co_await here.read(room), 4) << "until the deadline is taken off";
}

TEST(Deadline, FailsWhoWaitsWhenItHasPassed) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  run(loop, wait_past_deadline(here, there));
}

Task<void> be_expired(Loop& loop, Stream& here, Stream& there) {
  struct Expire : Timer {
    Expire(Loop& in, Stream& of)
        : Timer(in, [](Timer& timer) { static_cast<Expire&>(timer).stream.expire(); }),
          stream(of) {}
    Stream& stream;
  } timer(loop, here);
  timer.arm(1ms);
  char room[16];
  EXPECT_EQ(co_await here.read(room), -1);
  EXPECT_EQ(here.failure(Side::downstream).fault, Fault::timed_out);
  here.set_deadline(0ms);
  EXPECT_TRUE(co_await there.write_all("late"));
  EXPECT_EQ(co_await here.read(room), 4);
  here.close();
  here.expire();
}

TEST(Deadline, OfAFinerClockIsWhenItSays) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  run(loop, be_expired(loop, here, there));
}

Task<void> wait_for_writing(Stream& here) {
  here.set_deadline(1ms);
  const std::string much(8 << 20, 'x');
  EXPECT_FALSE(co_await here.write_all(much));
  EXPECT_EQ(here.failure(Side::downstream).fault, Fault::timed_out);
}

TEST(Deadline, FailsAWriterWhosePeerDoesNotRead) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  run(loop, wait_for_writing(here));
}

Task<void> move_deadlines(Loop& loop, Stream& here, Stream& other, Stream& there) {
  char room[16];
  here.set_deadline(1ms);
  here.set_deadline(1h);  // later: the first is forgotten
  other.set_deadline(1h);
  other.set_deadline(1ms);  // earlier
  EXPECT_EQ(co_await other.read(room), -1);
  co_await sleep_for(loop, 2 * Loop::tick);
  EXPECT_TRUE(co_await there.write_all("x"));
  EXPECT_EQ(co_await here.read(room), 1);
  here.set_deadline(1ms);
  EXPECT_EQ(co_await here.read(room), -1) << "earlier again, after it was filed for later";
}

TEST(Deadline, TheLastOneSetCounts) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  auto [other, silent] = unix_pair(loop);
  run(loop, move_deadlines(loop, here, other, there));
}

Task<void> close_when_timed_out(Stream stream, std::vector<Stream>& others) {
  char room[1];
  EXPECT_EQ(co_await stream.read(room), -1);
  others.clear();
}

TEST(Deadline, OneThatExpiresMayCloseOthersThatExpireWithIt) {
  Loop loop;
  std::vector<Stream> others, far;
  for (int i = 0; i < 4; i++) {
    auto [a, b] = unix_pair(loop);
    a.set_deadline(1ms);
    if (i == 1) {
      loop.spawn(then_stop(loop, close_when_timed_out(std::move(a), others)));
    } else {
      others.push_back(std::move(a));
    }
    far.push_back(std::move(b));
  }
  loop.run();
  EXPECT_TRUE(others.empty());
}

Task<void> wait_until_ready(Stream& here, Stream& there) {
  co_await here.ready(Want::write);
  EXPECT_TRUE(co_await there.write_all("x"));
  co_await here.ready(Want::read);
  EXPECT_TRUE(here.more_at_hand());
  co_await here.ready(Want::read);  // at once: nothing was read
  char room[16];
  EXPECT_EQ(here.try_read(room).bytes, 1);
  EXPECT_FALSE(here.more_at_hand()) << "a short read says that nothing is left";
  EXPECT_EQ(here.try_read(room).want, Want::read);
  here.set_deadline(1ms);
  co_await here.ready(Want::read);  // returns for a failed socket too
  EXPECT_EQ(here.failure(Side::downstream).fault, Fault::timed_out);
}

TEST(Stream, ReadyReturnsWhenAnAttemptIsWorthMaking) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  run(loop, wait_until_ready(here, there));
}

Task<void> copy_until_told(Stream& here, Stream& there, bool& told) {
  char room[1];
  while (!told) {  // always at hand: this never waits for anybody
    EXPECT_TRUE(co_await here.write_all("x"));
    EXPECT_EQ(co_await there.read(room), 1);
  }
}
Task<void> tell(Loop& loop, bool& told) {
  co_await sleep_for(loop, 1ms);
  told = true;
}

Task<void> await_end(Stream& stream, bool& seen) {
  co_await stream.ended();
  EXPECT_TRUE(stream.seen_end());
  seen = true;
}
Task<void> talk_beside_a_watcher(Loop& loop, Stream& here, Stream& there, bool& seen) {
  char room[16];
  for (int i = 0; i < 3; i++) {
    EXPECT_TRUE(co_await there.write_all("x"));
    EXPECT_EQ(co_await here.read(room), 1) << "the watcher takes no wake-up from the reader";
  }
  EXPECT_FALSE(seen);
  EXPECT_TRUE(co_await there.write_all("unread"));
  there.close();
  while (!seen) co_await sleep_for(loop, 1ms);
  EXPECT_EQ(co_await here.read(room), 6);
}

TEST(Stream, AnEndIsSeenBesideAReaderAndBeforeWhatLiesUnread) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  bool seen = false;
  loop.spawn(await_end(here, seen));
  run(loop, talk_beside_a_watcher(loop, here, there, seen));
}

Task<void> read_for_another(Stream& from, Stream& other, std::vector<ssize_t>& got) {
  char room[16];
  do {
    got.push_back(co_await read_unless_ended(from, room, other));
  } while (got.back() > 0);
}

TEST(Stream, AReadForAnotherEndsWhenTheOtherHasGone) {
  Loop loop;
  auto [from, feeder] = unix_pair(loop);
  auto [other, leaver] = unix_pair(loop);
  std::vector<ssize_t> got;
  loop.spawn(read_for_another(from, other, got));
  run(loop, write_and_end(leaver, ""));
  run_all(loop);
  EXPECT_EQ(got, std::vector<ssize_t>{other_ended});

  auto [patient, silent] = unix_pair(loop);
  got.clear();
  loop.spawn(read_for_another(from, patient, got));
  loop.spawn(write_and_end(feeder, "bytes"));
  run_all(loop);
  EXPECT_EQ(got, (std::vector<ssize_t>{5, 0})) << "as an ordinary read while the other is there";
}

TEST(Stream, ATaskWhoseBytesAreAlwaysAtHandLetsOthersRun) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  run(loop, sleep_for(loop, 1ms));
  bool told = false;
  run(loop, when_both(copy_until_told(here, there, told), tell(loop, told)));
  EXPECT_TRUE(told);
}

Task<void> give_way_and_die(Stream& here, Stream& there) {
  char room[1];
  for (;;) {
    EXPECT_TRUE(co_await here.write_all("x"));
    EXPECT_EQ(co_await there.read(room), 1);
  }
}

TEST(Stream, ATaskMayBeDestroyedWhileItGivesWay) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  run(loop, sleep_for(loop, 1ms));
  {
    auto task = give_way_and_die(here, there);
    EXPECT_TRUE(task.start({})) << "it gave way";
  }
  run(loop, sleep_for(loop, 1ms));
}

Task<void> read_twice(Stream& stream, int& done) {
  char room[1];
  done += co_await stream.read(room) == 1;
}

TEST(Stream, AReaderAndAWriterWaitAtTheSameTime) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  const std::string much = pattern(4 << 20);
  std::string got;
  int read = 0;
  loop.spawn(read_twice(here, read));
  loop.spawn(write_and_end(here, much));
  loop.spawn(write_and_end(there, "x"));
  run(loop, read_all_into(there, got));
  EXPECT_TRUE(got == much);
  EXPECT_EQ(read, 1);
}

TEST(Stream, ClosedWhileATaskWaitsOnItTheTaskCanStillBeDestroyed) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  int read = 0;
  auto task = read_twice(here, read);
  task.start({});
  here.close();
  run(loop, sleep_for(loop, 1ms));  // the socket's memory is gone by now
  task = Task<void>();
  EXPECT_EQ(read, 0);
}

}  // namespace
}  // namespace sallyport::net
