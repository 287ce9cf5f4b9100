// What became of a probe as a line for the user, and which rule did it. Pure.
#pragma once
#include "iptables/verify/dial.h"
#include "iptables/verify/rule_walk.h"

namespace sallyport::rules {

bool as_expected(const Probe& probe, const Outcome& outcome);

// "passes by", "is led to 15006", "does not arrive: dropped, or not tracked"
std::string text_of(const Outcome& outcome);

// The rule that made of the probe what became of it: "nat OUTPUT rule 1: -p tcp -j ACCEPT". One
// that may have is told as such. Never empty.
std::string blame(const Probe& probe, const Outcome& outcome,
                  const std::vector<Decision>& decisions);

}  // namespace sallyport::rules
