// Asks the kernel (sock_diag, unprivileged) whether a socket of this network namespace still has a
// process behind it, and whose it is. Costs four system calls; for rare questions.
//
// Threading: any thread; keeps nothing.
#pragma once
#include <cstdint>
#include <optional>

#include "agent/core/address.h"

namespace sallyport::net {

enum class SocketOwner : uint8_t {
  process,  // somebody has it open
  nobody,   // closed, or not there
  unknown,  // the kernel could not be asked
};

// The socket that is bound to `local` and connected to `remote`.
SocketOwner owner_of(const SocketAddress& local, const SocketAddress& remote);

struct SocketFacts {
  uint32_t inode = 0;  // as /proc/PID/fd shows it: socket:[inode]
  uint32_t user = 0;
};
// `protocol`: IPPROTO_TCP or IPPROTO_UDP. nullopt: it is nobody's, or the kernel could not be
// asked.
std::optional<SocketFacts> facts_of(uint8_t protocol, const SocketAddress& local,
                                    const SocketAddress& remote);

// Whether there is such a connection, that nobody has accepted yet or that has ended a short time
// ago (TIME_WAIT) included. False where the kernel could not be asked.
bool has_connection(const SocketAddress& local, const SocketAddress& remote);

}  // namespace sallyport::net
