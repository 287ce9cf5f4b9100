// The loop: spawned tasks, jobs from other threads, timers, ticks, and Asio as its guest.
#include "agent/net/loop.h"

#if defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic ignored "-Wtsan"  // Asio's fences; its queue's mutex is what orders threads.
#endif

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <thread>

#include "agent/net/combine.h"
#include "agent/net/relay.h"
#include "tests/unit/net/support.h"

namespace sallyport::net {
namespace {

Task<void> nothing() { co_return; }

TEST(Loop, OwnsASpawnedTaskUntilItEnds) {
  Loop loop;
  loop.spawn(nothing());
  EXPECT_EQ(loop.spawned(), 0u);
  loop.spawn(sleep_for(loop, 1ms));
  EXPECT_EQ(loop.spawned(), 1u);
  run(loop, sleep_for(loop, 5ms));
  EXPECT_EQ(loop.spawned(), 0u);
}

TEST(Loop, JobsFromManyThreadsAllRunOnItsThread) {
  Loop loop;
  int jobs = 0;  // not atomic: the loop's thread alone touches it
  constexpr int each = 500;
  const auto here = std::this_thread::get_id();
  const auto post_many = [&] {
    for (int i = 0; i < each; i++) {
      loop.post([&] {
        EXPECT_EQ(std::this_thread::get_id(), here);
        if (++jobs == 2 * each) loop.stop();
      });
    }
  };
  std::thread first(post_many), second(post_many);
  loop.run();
  first.join();
  second.join();
  EXPECT_EQ(jobs, 2 * each);
}

void carry_a_megabyte() {
  Loop loop;
  auto [here, there] = tcp_pair(loop);
  auto [one, other] = tcp_pair(loop);
  std::string got;
  RelayCounts counts;
  struct Between {
    static Task<void> relay_it(Stream& from, Stream& to, RelayCounts& counts) {
      co_await relay(from, to, counts, 1h);
    }
  };
  loop.spawn(Between::relay_it(there, one, counts));
  loop.spawn(write_and_end(here, pattern(1 << 20)));
  run(loop, read_all_into(other, got));
  EXPECT_TRUE(got == pattern(1 << 20));
}

TEST(Loop, WorkersOnTheirOwnThreadsShareNothingAndLeaveNothingBehind) {
  std::thread first(carry_a_megabyte), second(carry_a_megabyte);
  first.join();
  second.join();
}

TEST(Loop, StopsFromAnotherThreadWhileItSleeps) {
  Loop loop;
  std::thread other([&] { loop.stop(); });
  loop.run();
  other.join();
}

TEST(Loop, AJobMaySpawnATaskAndStopTheLoop) {
  Loop loop;
  loop.post([&] { loop.spawn(then_stop(loop, sleep_for(loop, 1ms))); });
  loop.run();
  EXPECT_EQ(loop.spawned(), 0u);
}

Task<void> note_after(Loop& loop, std::chrono::milliseconds time, std::vector<int>& order,
                      int value) {
  const auto before = Loop::Clock::now();
  co_await sleep_for(loop, time);
  EXPECT_GE(Loop::Clock::now() - before, time) << "never early";
  order.push_back(value);
}

TEST(Timers, FireInTheOrderOfTheirTimeAndNeverEarly) {
  Loop loop;
  std::vector<int> order;
  for (const int value : {30, 10, 40, 20, 15, 35}) {
    loop.spawn(note_after(loop, std::chrono::milliseconds(value), order, value));
  }
  run(loop, sleep_for(loop, 60ms));
  EXPECT_EQ(order, (std::vector{10, 15, 20, 30, 35, 40}));
}

struct Counting : Timer {
  int& fired;
  Counting(Loop& loop, int& count)
      : Timer(loop, [](Timer& timer) { static_cast<Counting&>(timer).fired++; }), fired(count) {}
};

TEST(Timers, DisarmedInAnyOrderTheOthersStillFire) {
  Loop loop;
  int fired = 0;
  std::vector<std::unique_ptr<Counting>> timers;
  for (int i = 0; i < 200; i++) {
    timers.push_back(std::make_unique<Counting>(loop, fired));
    timers.back()->arm(std::chrono::milliseconds(1 + (i * 37) % 20));
  }
  for (std::size_t i = 0; i < timers.size(); i += 2) timers[i].reset();
  run(loop, sleep_for(loop, 30ms));
  EXPECT_EQ(fired, 100);
  EXPECT_TRUE(loop.timers().empty());
}

TEST(Ticks, AJobRunsOnEveryTickUntilItsTokenIsGone) {
  Loop loop;
  int ticks = 0;
  std::shared_ptr<void> other =
      loop.each_tick([] { FAIL() << "its token was dropped by the other job"; });
  std::shared_ptr<void> token;
  token = loop.each_tick([&] {
    if (++ticks == 2) {
      token.reset();
      loop.stop();
    }
  });
  other.reset();
  loop.run();
  EXPECT_EQ(ticks, 2);
}

Task<void> wait_for_reading(Stream stream, int& gone) {
  struct Mark {
    int& gone;
    ~Mark() { gone++; }
  } mark{gone};
  char room[1];
  co_await stream.read(room);
}
Task<void> wait_for_writing(Stream stream, int& gone) {
  struct Mark {
    int& gone;
    ~Mark() { gone++; }
  } mark{gone};
  const std::string much(8 << 20, 'x');
  co_await stream.write_all(much);
}
Task<void> wait_for_relaying(Stream one, Stream other, int& gone) {
  struct Mark {
    int& gone;
    ~Mark() { gone++; }
  } mark{gone};
  RelayCounts counts;
  co_await relay(one, other, counts, 1h);
}
Task<void> wait_in_combination(Loop& loop, Stream stream, int& gone) {
  co_await when_any(with_deadline(loop, 1h, wait_for_reading(std::move(stream), gone)),
                    sleep_for(loop, 1h));
}

TEST(Loop, DestroyedWithLiveTasksItDestroysThemWhereverTheyWait) {
  int gone = 0;
  {
    Loop loop;
    auto [a, b] = unix_pair(loop);
    auto [c, d] = unix_pair(loop);
    auto [e, f] = unix_pair(loop);
    auto [g, h] = unix_pair(loop);
    auto [i, j] = unix_pair(loop);
    loop.spawn(wait_for_reading(std::move(a), gone));
    loop.spawn(wait_for_writing(std::move(i), gone));
    loop.spawn(wait_for_relaying(std::move(c), std::move(e), gone));
    loop.spawn(wait_in_combination(loop, std::move(g), gone));
    loop.spawn(sleep_for(loop, 1h));
    run(loop, sleep_for(loop, 1ms));
    EXPECT_EQ(loop.spawned(), 5u);
    loop.post([held = std::make_shared<Stream>(std::move(h))] {});
    EXPECT_EQ(gone, 0);
  }
  EXPECT_EQ(gone, 4);
}

Task<void> destroy_others(std::vector<Task<void>>& others, Stream& stream) {
  char room[1];
  co_await stream.read(room);
  others.clear();
}

TEST(Loop, ATaskMayDestroyOthersThatTheSameBatchWouldHaveWoken) {
  Loop loop;
  int gone = 0;
  std::vector<Task<void>> others;
  std::vector<Stream> far;
  auto [here, there] = unix_pair(loop);
  loop.spawn(then_stop(loop, destroy_others(others, here)));
  for (int i = 0; i < 20; i++) {
    auto [one, other] = unix_pair(loop);
    far.push_back(std::move(other));
    others.push_back(wait_for_reading(std::move(one), gone));
    others.back().start({});
  }
  loop.spawn(write_and_end(there, "x"));
  for (Stream& stream : far) loop.spawn(write_and_end(stream, "x"));
  loop.run();
  EXPECT_EQ(gone, 20);
}

TEST(AsioInside, HandlersPostedByATaskOfOursRunSoon) {
  Loop loop;
  loop.spawn(sleep_for(loop, 1h));
  loop.post([&] { boost::asio::post(loop.io(), [&] { loop.stop(); }); });
  loop.run();
}

TEST(AsioInside, HandlersPostedByOtherThreadsWakeTheLoop) {
  Loop loop;
  constexpr int count = 500;
  int handled = 0;
  std::thread other([&] {
    for (int i = 0; i < count; i++) {
      boost::asio::post(loop.io(), [&] {
        if (++handled == count) loop.stop();
      });
    }
  });
  loop.run();
  other.join();
  EXPECT_EQ(handled, count);
}

TEST(AsioInside, TimersFireAndTheirCancellationIsDelivered) {
  Loop loop;
  boost::asio::steady_timer never(loop.io(), 1h), soon(loop.io(), 1ms);
  bool cancelled = false;
  never.async_wait([&](boost::system::error_code error) {
    cancelled = error == boost::asio::error::operation_aborted;
    loop.stop();
  });
  soon.async_wait([&](boost::system::error_code) {
    loop.post([&] { never.cancel(); });  // outside Asio's own handlers
  });
  loop.run();
  EXPECT_TRUE(cancelled);
}

TEST(AsioInside, SignalsAreDelivered) {
  Loop loop;
  boost::asio::signal_set signals(loop.io(), SIGUSR2);
  int caught = 0;
  signals.async_wait([&](boost::system::error_code, int number) {
    caught = number;
    loop.stop();
  });
  loop.post([] { raise(SIGUSR2); });
  loop.run();
  EXPECT_EQ(caught, SIGUSR2);
}

TEST(AsioInside, HandlersThatNeverRanMayHoldStreams) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  auto held = std::make_shared<Stream>(std::move(here));
  boost::asio::post(loop.io(), [held] { FAIL(); });
}

}  // namespace
}  // namespace sallyport::net
