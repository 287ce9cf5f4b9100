// Happy eyeballs: which address of a name a connection comes about with.
#include "agent/net/dial.h"

#include "tests/support/full_listener.h"
#include "tests/support/sockets.h"
#include "tests/unit/net/support.h"

namespace sallyport::net {
namespace {

using Turn = Dialling::Turn;
using test::FullListener;
using test::TestSocket;

SocketAddress refusing() {
  const auto gone = TestSocket::listening();
  return gone.local();
}

Task<void> dial_into(Dialling& dialling, std::vector<Turn>& turns) {
  do {
    turns.push_back(co_await dialling.step());
  } while (turns.back() == Turn::next);
}

struct Outcome {
  std::vector<Turn> turns;
  SocketAddress used;
  std::string failure;
  std::vector<SocketAddress> failed;
};
Outcome dialled(std::vector<SocketAddress> addresses, std::chrono::milliseconds timeout = 10s) {
  Loop loop;
  Dialling dialling(loop, std::move(addresses), timeout);
  Outcome out;
  run(loop, dial_into(dialling, out.turns));
  const Stream stream = dialling.take();
  EXPECT_EQ(bool(stream), out.turns.back() == Turn::connected);
  out.used = dialling.used();
  out.failed = dialling.failed();
  if (stream) {
    EXPECT_EQ(stream.peer(), out.used);
  } else {
    out.failure = dialling.failure().context;
  }
  EXPECT_TRUE(loop.timers().empty());
  return out;
}

TEST(Dialling, TakesTheFirstAddressWhereItAnswers) {
  const auto good = TestSocket::listening(), other = TestSocket::listening("::1");
  EXPECT_EQ(dialled({good.local(), other.local()}).used, good.local());
}

TEST(Dialling, GoesOnAtOnceWhenAnAddressRefuses) {
  const auto good = TestSocket::listening("::1");
  const auto outcome = dialled({refusing(), refusing(), good.local()});
  EXPECT_EQ(outcome.used, good.local());
  EXPECT_EQ(outcome.turns, (std::vector{Turn::next, Turn::next, Turn::connected}));
}

TEST(Dialling, GoesOnWhenAnAddressNeverAnswers) {
  const FullListener silent;
  const auto good = TestSocket::listening("::1");
  EXPECT_EQ(dialled({silent.address(), good.local()}, 1h).used, good.local());
}

TEST(Dialling, OnlyWhoGaveAnErrorOrHadAllTheTimeHasFailed) {
  const FullListener silent;
  const auto good = TestSocket::listening("::1");
  const auto gone = refusing();
  EXPECT_EQ(dialled({silent.address(), gone, good.local()}, 1h).failed, std::vector{gone});
  const auto outcome = dialled({gone, silent.address()}, 50ms);
  EXPECT_EQ(outcome.turns.back(), Turn::failed);
  EXPECT_EQ(outcome.failed, std::vector{gone}) << "the second had only what was left";
}

TEST(Dialling, ALateAddressIsStillTakenWhenTheLaterOnesFail) {
  const FullListener silent;
  const auto outcome = dialled({silent.address(), refusing()}, 400ms);
  EXPECT_EQ(outcome.turns.back(), Turn::failed);
  EXPECT_NE(outcome.failure.find("Connection refused; connect " + silent.address().text() +
                                 ": timed out"),
            std::string::npos)
      << outcome.failure;
}

TEST(Dialling, TheTimeCoversAllAddresses) {
  const FullListener a, b;
  const auto outcome = dialled({a.address(), b.address()}, 20ms);
  EXPECT_EQ(outcome.turns, std::vector{Turn::failed}) << "the second's turn never came";
}

TEST(Dialling, FailsWithTheReasonOfEveryAddress) {
  const auto a = refusing(), b = refusing();
  EXPECT_EQ(dialled({a, b}).failure, "connect " + a.text() + ": Connection refused; connect " +
                                         b.text() + ": Connection refused");
}

TEST(Dialling, DestroyedWhileAttemptsAreUnderWayItLeavesNothingBehind) {
  const FullListener a, b;
  Loop loop;
  {
    Dialling dialling(loop, {a.address(), b.address()}, 1h);
    auto task = dialling.step();
    task.start({});
    EXPECT_FALSE(task.done());
  }
  EXPECT_TRUE(loop.timers().empty());
}

}  // namespace
}  // namespace sallyport::net
