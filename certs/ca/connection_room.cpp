#include "certs/ca/connection_room.h"

#include <algorithm>
#include <tuple>

#include "agent/core/limits.h"
#include "certs/ca/server_limits.h"

namespace sallyport::ca {

Room room_for(const std::string& ip, std::span<const HeldConnection> held, SteadyTime now) {
  const auto same = std::count_if(held.begin(), held.end(),
                                  [&](const HeldConnection& one) { return one.ip == ip; });
  const bool own_full = static_cast<std::size_t>(same) >= limits::ca_connections_per_address;
  if (!own_full && held.size() < limits::ca_connections) return {};
  const HeldConnection* chosen = nullptr;
  for (const HeldConnection& one : held) {
    if (own_full && one.ip != ip) continue;
    if (one.busy && now - one.since < limits::grpc_grace) continue;
    if (!chosen || std::tie(one.proven, one.since) < std::tie(chosen->proven, chosen->since))
      chosen = &one;
  }
  if (!chosen) return {Room::Verdict::refuse_newcomer};
  return {Room::Verdict::close, chosen->number};
}

}  // namespace sallyport::ca
