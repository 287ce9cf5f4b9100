// What nft is asked to do with our tables, and what is there of them. Needs CAP_NET_ADMIN.
#pragma once
#include "iptables/nft_plan.h"

namespace sallyport::rules {

// Whether one of our tables, or a draft of one, is there: asked of the kernel itself (nfnetlink),
// for what has no nft may have no such rules either, but must not pass over those of another.
// Errors: the kernel says neither.
Result<bool> has_native_tables();

// Our tables as nft lists them. Errors: the kernel does not say which there are; there are some,
// and no nft; it fails.
Result<NativeRules> read_native();

// `rules` as this nft would list them, by drafts that no packet passes.
Result<NativeRules> as_listed(const NativeRules& rules);

// One transaction. The error has what nft printed and, where known, a hint.
Result<void> load_native(const std::string& input);

// What native_replacement() with it brings back: our tables as they are.
Result<std::string> saved_native();

}  // namespace sallyport::rules
