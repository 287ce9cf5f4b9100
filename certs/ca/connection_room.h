// Which connection of the CA's server has to go for a new one: the decision, apart from the I/O.
//
// Whoever has no credentials can hold connections for seconds only, and newcomers take the place of
// those first: nobody locks others out by holding what he does not use.
#pragma once
#include <chrono>
#include <span>
#include <string>

namespace sallyport::ca {

using SteadyTime = std::chrono::steady_clock::time_point;

struct HeldConnection {
  int number = 0;
  std::string ip;
  bool proven = false;  // a call on it has succeeded
  bool busy = true;     // in the handshake, before its first success, or with a call under way
  SteadyTime since;     // when it became what it is
};

struct Room {
  enum class Verdict : uint8_t { there_is, close, refuse_newcomer };
  Verdict verdict = Verdict::there_is;
  int number = 0;  // to be closed
};

// For a newcomer of `ip` beside those that are `held`: there is room within limits::ca_connections
// and ca_connections_per_address, or one goes (of that address, if its own number is full): the
// unproven before the proven, the oldest first; nobody who is busy for less than
// limits::grpc_grace.
Room room_for(const std::string& ip, std::span<const HeldConnection> held, SteadyTime now);

}  // namespace sallyport::ca
