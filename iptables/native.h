// apply(), remove() and verify() with nft instead of iptables. Internal to the module; under the
// namespace's lock.
#pragma once
#include "iptables/rules.h"
#include "iptables/steps.h"

namespace sallyport::rules {

// As apply(). Rules of ours in iptables go when nft's are there.
Result<Applied> apply_native(const Options& options, OnDrift on_drift);

// True: there were some.
Result<bool> remove_native(Undo& undo);

// As verify().
Result<std::string> verify_native(const Options& options);

}  // namespace sallyport::rules
