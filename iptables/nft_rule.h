// A rule of ours, written for iptables, as nft reads it: in the words and the order of Istio's
// native rules (istio-nftables). Pure.
#pragma once
#include <optional>
#include <string>

namespace sallyport::rules {

// ISTIO_OUTPUT_DNS → istio-output-dns, PREROUTING → prerouting.
std::string nft_chain(const std::string& chain);

// "-p tcp -m tcp --dport 15008 -j RETURN" → "tcp dport 15008 counter return". nullopt: it has
// something that no rule of ours has.
std::optional<std::string> nft_rule(const std::string& specification);

}  // namespace sallyport::rules
