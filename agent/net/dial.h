// Connects to one of the addresses of one name (RFC 8305, "happy eyeballs"): the next address is
// tried when the one before has failed or has had limits::connect_attempt_delay without an answer,
// beside those still under way; the first that answers is taken, the others are cancelled.
//
//   net::Dialling dialling(loop, addresses, 10s);
//   auto turn = co_await dialling.step();
//   while (turn == net::Dialling::Turn::next) turn = co_await dialling.step();
//
// Threading: the loop's thread. Ownership: destroying it cancels every attempt; it outlives the
// task that step() gives.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/address.h"
#include "agent/core/error.h"
#include "agent/net/stream.h"

namespace sallyport::net {

class Dialling {
public:
  enum class Turn : uint8_t {
    connected,  // take() gives the connection, used() its address
    next,       // the next step() tries next_address()
    failed,     // failure() says why; nothing is left to try
  };
  // `addresses`: at least one, in the order in which to try them. `timeout` covers all of them.
  // `source_*`: the local address to come from; unset: the kernel chooses.
  Dialling(Loop& loop, std::vector<SocketAddress> addresses, std::chrono::milliseconds timeout,
           IpAddress source_v4 = {}, IpAddress source_v6 = {});
  Dialling(const Dialling&) = delete;

  Task<Turn> step();
  Stream take() { return std::move(connected_); }
  const SocketAddress& used() const { return used_; }
  const SocketAddress& next_address() const { return addresses_[begun_]; }  // REQUIRES: Turn::next
  Error failure() const;  // of the first that failed, with what became of the others
  // Those that were tried so far.
  std::vector<SocketAddress> tried() const {
    return {addresses_.begin(), addresses_.begin() + begun_};
  }

  // Of those, the ones that ended in an error; one that is merely late is not among them, nor one
  // that was given only what was left of the time.
  const std::vector<SocketAddress>& failed() const { return failed_; }

private:
  struct Attempt {
    SocketAddress to;
    Task<Result<Stream>> task;
  };
  class Change;
  bool more() const { return static_cast<std::size_t>(begun_) < addresses_.size(); }
  void begin();
  std::optional<Turn> look();

  Loop& loop_;
  std::vector<SocketAddress> addresses_;
  IpAddress source_v4_, source_v6_;
  Loop::Clock::time_point deadline_{}, turn_ends_{};
  std::ptrdiff_t begun_ = 0;  // addresses tried so far
  std::vector<Attempt> attempts_;
  std::vector<SocketAddress> failed_;
  std::optional<Error> first_error_;
  std::string other_errors_;
  Stream connected_;
  SocketAddress used_;
};

}  // namespace sallyport::net
