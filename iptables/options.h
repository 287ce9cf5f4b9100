// The options after checking: what the plan is written from. Pure.
#pragma once
#include "iptables/rules.h"

namespace sallyport::rules {

// Of TPROXY's rules: the mark of the proxy's calls to its own pod, Istio's constant.
inline constexpr uint32_t outbound_mark = 1338;

struct CheckedOptions {
  Options options;
  bool all_inbound = false;  // -b "*"; otherwise the list:
  std::vector<uint16_t> inbound_ports{};
  bool all_outbound = false;  // -i "*"; otherwise the list:
  std::vector<Cidr> outbound_cidrs{};
};

// Errors name the flag.
Result<CheckedOptions> check(const Options& options);
Error bad_option(std::string_view flag, std::string_view reason);

}  // namespace sallyport::rules
