// The byte relay: both directions, ends and failures passed on, nothing held while idle.
#include "agent/net/relay.h"

#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include "agent/net/combine.h"
#include "agent/net/pipes.h"
#include "tests/unit/net/support.h"
#include "tests/unit/net/system_calls.h"

namespace sallyport::net {
namespace {

// client <-> (one | relay | other) <-> server
struct Relayed {
  Loop loop;
  Stream client, one, other, server;
  RelayCounts counts;
  RelayEnd end;
  bool over = false;

  static constexpr std::chrono::milliseconds nobody_relays{0};

  explicit Relayed(std::chrono::milliseconds idle = 1h) {
    std::tie(client, one) = tcp_pair(loop);
    std::tie(other, server) = tcp_pair(loop);
    if (idle != nobody_relays) loop.spawn(relay_it(*this, idle));
  }
  ~Relayed() { client.close(), server.close(); }
  static Task<void> relay_it(Relayed& r, std::chrono::milliseconds idle) {
    r.end = co_await relay(r.one, r.other, r.counts, idle);
    r.over = true;
    r.one.close();
    r.other.close();
  }
};

Task<void> discard_slowly(Loop& loop, Stream& stream, std::string& all) {
  char room[64 * 1024];
  for (;;) {
    const ssize_t got = co_await stream.read(room);
    if (got <= 0) co_return;
    all.append(room, static_cast<std::size_t>(got));
    if (all.size() % 7 == 0) co_await sleep_for(loop, 0ms);
  }
}

TEST(Relay, CarriesBothDirectionsAndCountsThem) {
  Relayed r;
  const std::string request = pattern(100'000), answer = pattern(300'000);
  std::string got_request, got_answer;
  r.loop.spawn(write_and_end(r.client, request));
  r.loop.spawn(write_and_end(r.server, answer));
  r.loop.spawn(read_all_into(r.server, got_request));
  r.loop.spawn(read_all_into(r.client, got_answer));
  run_all(r.loop);
  EXPECT_TRUE(got_request == request);
  EXPECT_TRUE(got_answer == answer);
  EXPECT_EQ(r.counts.from_client, request.size());
  EXPECT_EQ(r.counts.to_client, answer.size());
  EXPECT_TRUE(r.over);
  EXPECT_FALSE(r.end.error) << r.end.error->context;
}

TEST(Relay, BulkGoesBySpliceWithBackpressureAndNotAByteIsLost) {
  Relayed r;
  const std::string much = pattern(32 << 20);
  std::string got;
  system_calls = {};
  r.loop.spawn(write_and_end(r.client, much));
  r.loop.spawn(write_and_end(r.server, ""));
  r.loop.spawn(discard_slowly(r.loop, r.server, got));
  run_all(r.loop);
  EXPECT_TRUE(got == much);
  EXPECT_EQ(r.counts.from_client, much.size());
  EXPECT_GT(system_calls.splice, 0);
}

TEST(Relay, BothDirectionsInBulkAtTheSameTime) {
  Relayed r;
  const std::string much = pattern(8 << 20);
  std::string up, down;
  r.loop.spawn(write_and_end(r.client, much));
  r.loop.spawn(write_and_end(r.server, much));
  r.loop.spawn(read_all_into(r.server, up));
  r.loop.spawn(read_all_into(r.client, down));
  run_all(r.loop);
  EXPECT_TRUE(up == much);
  EXPECT_TRUE(down == much);
}

Task<void> talk_after_half_close(Relayed& r) {
  co_await write_and_end(r.client, "request");
  EXPECT_EQ(co_await read_all(r.server), "request") << "the client's end is passed on";
  EXPECT_FALSE(r.over);
  EXPECT_TRUE(co_await r.server.write_all("answer"));
  EXPECT_EQ(co_await read_exactly(r.client, 6), "answer");
  r.server.shutdown_write();
  EXPECT_EQ(co_await read_all(r.client), "");
}

TEST(Relay, AHalfCloseIsPassedOnAndTheOtherDirectionGoesOn) {
  Relayed r;
  r.loop.spawn(talk_after_half_close(r));
  run_all(r.loop);
  EXPECT_TRUE(r.over);
  EXPECT_FALSE(r.end.error);
}

uint32_t segments_received(const Stream& stream) {
  tcp_info info{};
  socklen_t size = sizeof info;
  EXPECT_EQ(getsockopt(stream.fd(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  return info.tcpi_segs_in;
}

TEST(Relay, TheLastBytesBeforeAnEndThatIsKnownTakeItAlong) {
  for (const bool upstream : {true, false}) {
    Relayed r;
    run(r.loop, sleep_for(r.loop, 1ms));
    Stream& from = upstream ? r.server : r.client;
    Stream& to = upstream ? r.client : r.server;
    const uint32_t before = segments_received(to);
    iovec bye{const_cast<char*>("bye"), 3};
    ASSERT_EQ(from.try_write({&bye, 1}).bytes, 3);
    from.shutdown_write();
    std::string got;
    run(r.loop, read_all_into(to, got));
    EXPECT_EQ(got, "bye");
    EXPECT_EQ(segments_received(to) - before, 1u);
    EXPECT_FALSE(r.over) << "the other direction goes on";
  }
}

Task<void> relay_and_reset(Relayed& r, bool& over) {
  r.end = co_await relay(r.one, r.other, r.counts, 1h);
  if (r.end.error) r.one.abort();
  r.one.close();
  r.other.close();
  over = true;
}

// Bytes that wait for their end would be lost with a reset in its place.
TEST(Relay, WhatCameBeforeAResetIsPassedOnBeforeIt) {
  Relayed r(Relayed::nobody_relays);
  r.loop.spawn(relay_and_reset(r, r.over));
  run(r.loop, sleep_for(r.loop, 1ms));
  iovec bye{const_cast<char*>("bye"), 3};
  ASSERT_EQ(r.server.try_write({&bye, 1}).bytes, 3);
  r.server.abort();
  std::string got;
  run(r.loop, read_all_into(r.client, got));
  EXPECT_EQ(got, "bye");
  EXPECT_TRUE(r.end.error);
}

TEST(Relay, WhoStartsToTalkDoesNotMatter) {
  Relayed r;
  r.loop.spawn(write_and_end(r.server, "220 ready"));
  std::string banner;
  run(r.loop, read_all_into(r.client, banner));
  EXPECT_EQ(banner, "220 ready");
}

TEST(Relay, AResetOnOneSideEndsBothAndIsBlamedOnThatSide) {
  for (const bool upstream : {true, false}) {
    Relayed r;
    run(r.loop, sleep_for(r.loop, 1ms));
    (upstream ? r.server : r.client).abort();
    run_all(r.loop);
    ASSERT_TRUE(r.end.error);
    EXPECT_EQ(r.end.error->fault, Fault::reset);
    EXPECT_EQ(r.end.error->side, upstream ? Side::upstream : Side::downstream);
  }
}

Task<void> write_in_vain(Stream& stream, std::string bytes) { co_await stream.write_all(bytes); }
Task<void> read_some_and_abort(Stream& stream) {
  co_await read_exactly(stream, 1 << 20);
  stream.abort();
}

TEST(Relay, AResetInTheMiddleOfABulkTransferEndsItWithoutASignal) {
  Relayed r;
  system_calls = {};
  r.loop.spawn(write_in_vain(r.client, pattern(32 << 20)));
  r.loop.spawn(read_some_and_abort(r.server));
  run_all(r.loop);
  EXPECT_GT(system_calls.splice, 0);
  ASSERT_TRUE(r.end.error);
  EXPECT_EQ(r.end.error->fault, Fault::reset);
  EXPECT_EQ(r.end.error->side, Side::upstream);
}

Task<void> talk_every_tick(Loop& loop, Stream& client, Stream& server, int times) {
  char room[8];
  for (int i = 0; i < times; i++) {
    co_await sleep_for(loop, Loop::tick);
    EXPECT_TRUE(co_await client.write_all("x"));
    EXPECT_EQ(co_await server.read(room), 1);
  }
}

TEST(Relay, EndsWhenNothingMovesAndNotWhileOneDirectionTalks) {
  Relayed r(4 * Loop::tick);
  run(r.loop, talk_every_tick(r.loop, r.client, r.server, 6));
  EXPECT_FALSE(r.over) << "the silent direction does not count";
  run_all(r.loop);
  ASSERT_TRUE(r.end.error);
  EXPECT_EQ(r.end.error->fault, Fault::timed_out);
}

Task<void> read_some_into(Stream& stream, std::size_t size, std::string& into) {
  into = co_await read_exactly(stream, size);
}

TEST(Relay, DestroyedInTheMiddleOfABulkTransferItLeavesNoPipeToOthers) {
  const std::string much = pattern(32 << 20);
  {
    Relayed r;
    r.loop.spawn(write_and_end(r.client, much));
    std::string first;
    run(r.loop, read_some_into(r.server, 1 << 20, first));
    EXPECT_EQ(first, much.substr(0, 1 << 20));
    EXPECT_FALSE(r.over);
  }
  std::vector<Pipe> pipes;
  for (std::size_t i = 0; i < Pipe::kept; i++) {
    pipes.push_back(Pipe::take());
    char room[1];
    EXPECT_EQ(::read(pipes.back().read_end(), room, 1), -1) << "a recycled pipe is empty";
  }
}

TEST(Relay, WithoutDescriptorsForAPipeBytesGoThroughBuffers) {
  Relayed r;
  std::vector<Pipe> all;  // those that earlier tests left
  for (std::size_t i = 0; i < Pipe::kept; i++) all.push_back(Pipe::take());
  const int next = dup(0);
  ::close(next);
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  const std::string much = pattern(4 << 20);
  std::string got;
  system_calls = {};
  r.loop.spawn(write_and_end(r.client, much));
  run(r.loop, read_all_into(r.server, got));
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(got == much);
  EXPECT_EQ(system_calls.splice, 0);
  EXPECT_GT(system_calls.pipe, 0);
}

}  // namespace
}  // namespace sallyport::net
