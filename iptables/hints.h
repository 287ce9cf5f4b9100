// What to do about a failure of iptables, told from what it printed. Pure.
#pragma once
#include <string>
#include <string_view>

namespace sallyport::rules {

inline constexpr std::string_view capability_hint =
    ". Hint: run as root with the capabilities NET_ADMIN and NET_RAW over this network namespace "
    "(in a pod: "
    "securityContext.runAsUser 0 and capabilities.add [NET_ADMIN, NET_RAW] of the init container)";
inline constexpr std::string_view program_hint =
    ". Hint: install the iptables package, version 1.8 or newer";
inline constexpr std::string_view module_hint =
    ". Hint: the kernel lacks a module, and a container can't load it; load on the node: nf_nat "
    "xt_REDIRECT xt_owner "
    "xt_conntrack xt_tcpudp xt_comment, and nft_compat nft_chain_nat (nft) or iptable_nat and, for "
    "IPv6, ip6table_nat "
    "(legacy); for TPROXY also xt_TPROXY nf_tproxy_ipv4 nf_tproxy_ipv6 xt_mark xt_connmark and, "
    "legacy, iptable_mangle ip6table_mangle";
inline constexpr std::string_view lock_hint =
    ". Hint: another program holds the lock of xtables; run again when it is done";
inline constexpr std::string_view lock_file_hint =
    ". Hint: the lock file of xtables can't be written; set XTABLES_LOCKFILE to a path that can be";

inline constexpr std::string_view native_module_hint =
    ". Hint: the kernel lacks a module, and a container can't load it; load on the node: nf_tables "
    "nft_chain_nat nft_redir nft_ct; for connections that are held nft_socket, for TPROXY "
    "nft_tproxy, for --udp-policy nft_queue nft_reject_inet";

// One of the above, or nothing; by what iptables printed, or nft.
std::string_view hint_for(std::string_view errors);
std::string_view native_hint_for(std::string_view errors);

}  // namespace sallyport::rules
