// DNS questions under way, when the rules for them change.
#pragma once
#include <string>

namespace sallyport::rules {

// NAT notes where a flow goes with its first packet: a socket that asked before goes on asking
// there, until two minutes of silence. Forgets this network namespace's UDP flows that go past the
// DNS proxy where questions are captured now, else those that lead to it, so that their next
// question goes by the rules. Returns what was done or why it could not be, a line for the user;
// empty where there were none.
std::string forget_dns_flows(bool captured);

}  // namespace sallyport::rules
