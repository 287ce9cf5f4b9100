// Whether the rules act: a connection as the proxy would make it is sent on its way, and looked for
// at the capture ports. What istio-iptables does as --run-validation; it needs no capability where
// the caller is the proxy's user.
#pragma once
#include <chrono>

#include "iptables/rules.h"

namespace sallyport::rules {

struct ProbeOptions {
  uint16_t port = 15002;  // --iptables-probe-port: dialled, listened on by nobody
  std::chrono::milliseconds timeout{5'000};  // --probe-timeout, of both families
};

IpAddress probed_v4();  // 127.0.0.6: within options.loopback_v4 nothing can be told

// Dials 127.0.0.6 (::6 where IPv6 has rules to be asked for) at options.port, as the first of the
// proxy's uids, which rule 3a sends to the inbound side, and listens at the capture ports
// meanwhile. Errors: a capture port that can't be listened at (the agent runs), an answer from
// elsewhere, or none in time; each names the family. Blocks.
Result<void> probe_capture(const Options& rules, const ProbeOptions& options);

}  // namespace sallyport::rules
