// --udp-policy of a sidecar: the kernel's side, and as whom it is read.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/core/error.h"
#include "agent/istio/resources.h"
#include "iptables/queue/udp_policy.h"

namespace sallyport::cli {

// "off", "log" or "enforce"; nothing else.
std::optional<istio::UdpPolicy> udp_policy_of(const std::string& text);

// What waits for a verdict waits from now on; unset: the policy is off, or this is a gateway.
// REQUIRES: no other thread runs.
//
// As root, and with REDIRECT, the process goes on as `user` (PROXY_UID; 0: it stays what it is),
// with the capability NET_ADMIN (and
// NET_BIND_SERVICE, if it has that): by that user the rules know its connections, which those of
// root would not be. Errors, Fault::internal: as UdpPolicy::open's; it may not become that user.
Result<std::optional<rules::UdpPolicy::Kernel>> open_udp_policy(const istio::Proxy& proxy,
                                                                uint32_t user);

}  // namespace sallyport::cli
