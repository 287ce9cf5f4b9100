// What consistent hashing takes of a request or connection (istio-api.md 1.3), as Envoy's hash
// policies do. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/core/address.h"
#include "agent/http/message/head.h"
#include "agent/mesh/load_policy.h"

namespace sallyport::mesh {

// Unset: the request has nothing of that kind, and may go anywhere. `cookie`: the value of one that
// was made for it (new_cookie), or empty.
std::optional<uint64_t> request_hash(const HashPolicy& policy, const http::Head& request,
                                     const IpAddress& client, std::string_view cookie = {});

// Of opaque bytes: the client's address is all that is known of them.
std::optional<uint64_t> connection_hash(const HashPolicy& policy, const IpAddress& client);

// A value for a client that has no such cookie yet, the same for all requests of a connection;
// empty where none is to be made.
std::string new_cookie(const HashPolicy& policy, const http::Head& request,
                       const SocketAddress& client, const SocketAddress& dialled);
// The Set-Cookie field's value.
std::string set_cookie(const HashPolicy& policy, std::string_view value);

}  // namespace sallyport::mesh
