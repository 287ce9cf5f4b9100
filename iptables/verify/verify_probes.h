// `init --verify`, second half: whether connections go where the flags say. The first, whether the
// rules are those of the flags, is rules::verify().
//
// A probe is a SYN or a DNS question. One that passes by leaves the pod, to an address for
// documentation (RFC 5737, RFC 3849), inside of an excluded network, or to the DNS server. Where
// the agent listens it sees connections that end at once.
//
// Threading: blocks; the calling thread's network namespace, user and group ids.
#pragma once
#include <string>

#include "iptables/rules.h"

namespace sallyport::rules {

struct ProbeReport {
  std::string text;                  // a line each
  std::size_t sent = 0, astray = 0;  // astray: went elsewhere than the flags say
};

// Errors: options that are not valid, no CAP_NET_ADMIN, rules that can't be read. What can't be
// probed is told in the text.
Result<ProbeReport> send_probes(const Options& options);

}  // namespace sallyport::rules
