// Tasks and their combinations: values, order, and that destroying one cancels it wherever it
// stands.
#include "agent/net/task.h"

#include <gtest/gtest.h>

#include "agent/net/combine.h"
#include "tests/unit/net/support.h"

namespace sallyport::net {
namespace {

// Says that the frame which holds it has been destroyed.
struct Mark {
  int& gone;
  ~Mark() { gone++; }
};

Task<int> number(int value) { co_return value; }
Task<int> number_after(Loop& loop, std::chrono::milliseconds time, int value) {
  co_await sleep_for(loop, time);
  co_return value;
}
Task<void> for_ever(Stream& stream, int& gone) {
  const Mark mark{gone};
  char room[1];
  co_await stream.read(room);
}
Task<void> note(std::vector<int>& order, int value) {
  order.push_back(value);
  co_return;
}

Task<int> sum_of(int count) {
  int sum = 0;
  for (int i = 0; i < count; i++) sum += co_await number(1);
  co_return sum;
}

TEST(Task, AwaitingAMillionThatEndAtOnceNeedsNoStack) {
  auto task = sum_of(1'000'000);
  EXPECT_FALSE(task.start({}));
  EXPECT_EQ(task.take(), 1'000'000);
}

TEST(Task, RunsNothingUntilItIsAwaited) {
  std::vector<int> order;
  { auto never = note(order, 1); }
  EXPECT_TRUE(order.empty());
}

Task<std::unique_ptr<int>> owned(int value) { co_return std::make_unique<int>(value); }
Task<void> take_owned(int& into) { into = *co_await owned(7); }

TEST(Task, HandsOverWhatCannotBeCopied) {
  int value = 0;
  auto task = take_owned(value);
  task.start({});
  EXPECT_EQ(value, 7);
}

TEST(Task, FramesAreRecycledByTheThreadThatUsesThem) {
  void* const first = FrameCache::take(200);
  FrameCache::give(first, 200);
#if !defined(__SANITIZE_ADDRESS__)
  void* const second = FrameCache::take(195);
  EXPECT_EQ(first, second) << "to malloc they are of one size";
  FrameCache::give(second, 195);
#endif
  void* const large = FrameCache::take(1 << 20);
  FrameCache::give(large, 1 << 20);
}

Task<void> race_of_three(Loop& loop, Stream& silent, int& gone, std::size_t& winner, int& value) {
  auto result = co_await when_any(for_ever(silent, gone), number_after(loop, 1ms, 42),
                                  for_ever(silent, gone));
  EXPECT_EQ(gone, 2) << "losers are destroyed before the awaiter goes on";
  winner = result.index();
  value = std::get<1>(result);
}

TEST(WhenAny, TheFirstToEndWinsAndTheLosersAreDestroyed) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  int gone = 0, value = 0;
  std::size_t winner = 9;
  run(loop, race_of_three(loop, here, gone, winner, value));
  EXPECT_EQ(winner, 1u);
  EXPECT_EQ(value, 42);
}

Task<void> at_once(std::vector<int>& order, std::size_t& winner) {
  const auto result = co_await when_any(number(1), note(order, 2));
  winner = result.index();
}

TEST(WhenAny, ATaskThatEndsAtOnceWinsWithoutTheLaterOnesBeingStarted) {
  std::vector<int> order;
  std::size_t winner = 9;
  auto task = at_once(order, winner);
  EXPECT_FALSE(task.start({}));
  EXPECT_EQ(winner, 0u);
  EXPECT_TRUE(order.empty());
}

Task<void> any_of_two(Loop& loop, Stream& silent, int& gone) {
  co_await when_any(for_ever(silent, gone), number_after(loop, 1h, 1));
}

TEST(WhenAny, DestroyedWhileItWaitsItDestroysAllOfThem) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  int gone = 0;
  {
    auto task = any_of_two(loop, here, gone);
    EXPECT_TRUE(task.start({}));
  }
  EXPECT_EQ(gone, 1);
  EXPECT_TRUE(loop.timers().empty());
}

Task<void> race_again_and_again(Loop& loop, Stream& here, Stream& there, int& wins) {
  for (int i = 0; i < 100; i++) {
    char room[1];
    int gone = 0;
    const auto result = co_await when_any(for_ever(here, gone), number_after(loop, 0ms, i));
    wins += static_cast<int>(result.index());
    EXPECT_TRUE(co_await there.write_all("x"));
    EXPECT_EQ(co_await here.read(room), 1) << "the loser has left the socket to us";
  }
}

TEST(WhenAny, ALoserLeavesItsSocketFitForUse) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  int wins = 0;
  run(loop, race_again_and_again(loop, here, there, wins));
  EXPECT_EQ(wins, 100);
}

Task<void> with_both_deadlines(Loop& loop, Stream& silent, int& gone) {
  const auto late = co_await with_deadline(loop, 1ms, for_ever(silent, gone));
  EXPECT_FALSE(late.has_value());
  EXPECT_EQ(gone, 1);
  const auto in_time = co_await with_deadline(loop, 1h, number_after(loop, 1ms, 5));
  EXPECT_EQ(in_time, 5);
  const auto at_once = co_await with_deadline(loop, 1h, number(6));
  EXPECT_EQ(at_once, 6);
  EXPECT_TRUE(loop.timers().empty()) << "nothing is left behind";
}

TEST(WithDeadline, GivesTheValueInTimeAndDestroysTheTaskOtherwise) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  int gone = 0;
  run(loop, with_both_deadlines(loop, here, gone));
}

TEST(WithDeadline, DestroyedWhileItWaitsItLeavesNoTimer) {
  Loop loop;
  auto [here, there] = unix_pair(loop);
  int gone = 0;
  {
    auto task = with_deadline(loop, 1h, for_ever(here, gone));
    EXPECT_TRUE(task.start({}));
    EXPECT_FALSE(loop.timers().empty());
  }
  EXPECT_EQ(gone, 1);
  EXPECT_TRUE(loop.timers().empty());
}

Task<void> sleep_and_note(Loop& loop, std::chrono::milliseconds time, std::vector<int>& order,
                          int value) {
  co_await sleep_for(loop, time);
  order.push_back(value);
}
Task<void> both_then_three(Loop& loop, std::chrono::milliseconds a, std::chrono::milliseconds b,
                           std::vector<int>& order) {
  co_await when_both(sleep_and_note(loop, a, order, 1), sleep_and_note(loop, b, order, 2));
  order.push_back(3);
}

TEST(WhenBoth, WaitsForTheSlowerOneWhicheverItIs) {
  Loop loop;
  std::vector<int> order;
  run(loop, both_then_three(loop, 1ms, 20ms, order));
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
  order.clear();
  run(loop, both_then_three(loop, 20ms, 1ms, order));
  EXPECT_EQ(order, (std::vector{2, 1, 3}));
}

}  // namespace
}  // namespace sallyport::net
