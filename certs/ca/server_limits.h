// What a client of the CA's server may cost before it has shown who it is, and how many may come.
#pragma once
#include <chrono>
#include <cstddef>

namespace sallyport::limits {

// From the end of the handshake to the end of the first call that succeeds. A client calls at once;
// the rest is for a machine that starts hundreds of pods.
inline constexpr auto grpc_first_call = std::chrono::seconds(10);
// Calls on a connection of which none has succeeded yet
inline constexpr std::size_t grpc_first_calls = 16;
// A handshake or a call under way is not cut off for a newcomer before it had that long.
inline constexpr auto grpc_grace = std::chrono::seconds(2);
// Of one address; a NAT may stand before a cluster of many pods.
inline constexpr std::size_t ca_connections_per_address = 128;
// How often the log says that connections were closed for newer ones.
inline constexpr auto ca_crowd_report = std::chrono::minutes(1);

}  // namespace sallyport::limits
