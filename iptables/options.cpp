// Reading and checking the options before any of them reaches iptables, which takes service names,
// hexadecimal numbers and ranges where Istio's flags mean plain numbers, and fails late and
// obscurely on the rest.
#include "iptables/options.h"

#include <net/if.h>

#include <algorithm>
#include <charconv>

namespace sallyport::rules {
namespace {

std::optional<uint32_t> parse_decimal(std::string_view text) {
  uint32_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failure != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

Result<void> check_ports(const std::vector<uint16_t>& ports, std::string_view flag) {
  for (const uint16_t port : ports) {
    if (port == 0) return bad_option(flag, "0 is not a port, expected 1..65535");
  }
  return {};
}

// What both the kernel takes as a name and iptables-restore reads as one word; a "+" at the end is
// iptables' wildcard.
bool is_interface_name(std::string_view name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name.front() == '-' || name == "+") return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return c > ' ' && c < 0x7f && std::string_view("/:\"'\\!").find(c) == std::string_view::npos;
  });
}

Result<void> check_interfaces(const std::vector<std::string>& names, std::string_view flag) {
  for (const auto& name : names) {
    if (!is_interface_name(name)) {
      return bad_option(flag, "\"" + name + "\" is not an interface name (at most 15 characters)");
    }
  }
  return {};
}

constexpr std::size_t most_groups = 64;  // Istio's limit

Result<void> check_tproxy(const Options& options) {
  if (options.interception != Interception::tproxy) return {};
  const uint32_t mark = options.tproxy_mark, table = options.tproxy_route_table;
  if (mark == 0 || mark == outbound_mark)
    return bad_option("--istio-inbound-tproxy-mark",
                      std::to_string(mark) + (mark == 0 ? " is the mark of all other packets"
                                                        : " marks what the sidecar sends itself"));
  // Of the tables default, main and local a local default route would be the end of all traffic.
  if (table == 0 || (table >= 253 && table <= 255))
    return bad_option("--istio-inbound-tproxy-route-table",
                      std::to_string(table) + " is a table of the system");
  return {};
}

Result<void> check_groups(const Options& options) {
  if (options.owner_groups.size() > most_groups)
    return bad_option("ISTIO_OUTBOUND_OWNER_GROUPS",
                      std::to_string(options.owner_groups.size()) + " groups, at most " +
                          std::to_string(most_groups) + " are possible");
  if (!options.owner_groups.empty() && !options.exclude_owner_groups.empty())
    return bad_option("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE",
                      "has a meaning only where ISTIO_OUTBOUND_OWNER_GROUPS is *");
  return {};
}

Result<void> check_numbers(const Options& options) {
  const std::pair<uint16_t, std::string_view> single[] = {
      {options.outbound_port, "--envoy-port"},
      {options.inbound_port, "--inbound-capture-port"},
      {options.tunnel_port, "--inbound-tunnel-port"}};
  for (const auto& [port, flag] : single) {
    if (const auto checked = check_ports({port}, flag); !checked) return checked.error();
  }
  if (options.outbound_port == options.inbound_port) {
    return bad_option("--inbound-capture-port",
                      "is the same as --envoy-port: " + std::to_string(options.inbound_port));
  }
  // Without them the proxy's own connections would come back to it for ever.
  if (options.proxy_uids.empty()) return bad_option("--proxy-uid", "at least one is needed");
  if (options.proxy_gids.empty()) return bad_option("--proxy-gid", "at least one is needed");
  const std::pair<const std::vector<uint16_t>&, std::string_view> lists[] = {
      {options.exclude_inbound_ports, "--istio-local-exclude-ports"},
      {options.outbound_ports, "--istio-outbound-ports"},
      {options.exclude_outbound_ports, "--istio-local-outbound-ports-exclude"}};
  for (const auto& [ports, flag] : lists) {
    if (const auto checked = check_ports(ports, flag); !checked) return checked.error();
  }
  if (const auto& loopback = options.loopback_v4) {
    if (!loopback->network().is_v4() || !loopback->network().is_loopback() ||
        loopback->prefix() < 8) {
      return bad_option("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR",
                        "\"" + loopback->text() + "\" is not a range within 127.0.0.0/8");
    }
  }
  return {};
}

}  // namespace

Error bad_option(std::string_view flag, std::string_view reason) {
  return {.fault = Fault::protocol, .context = std::string(flag) + ": " + std::string(reason)};
}

std::vector<std::string> split_list(std::string_view list) {
  std::vector<std::string> items;
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    if (comma > 0) items.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return items;
}

Result<std::vector<uint16_t>> parse_ports(std::string_view list, std::string_view flag) {
  std::vector<uint16_t> ports;
  for (const auto& item : split_list(list)) {
    const auto port = parse_decimal(item);
    if (!port || *port == 0 || *port > 65535) {
      return bad_option(flag, "\"" + item + "\" is not a port, expected 1..65535");
    }
    ports.push_back(static_cast<uint16_t>(*port));
  }
  return ports;
}

Result<uint32_t> parse_number(std::string_view text, std::string_view flag) {
  const auto number = parse_decimal(text);
  if (!number) return bad_option(flag, "\"" + std::string(text) + "\" is not a decimal number");
  return *number;
}

Result<std::vector<Cidr>> parse_cidrs(std::string_view list, std::string_view flag) {
  std::vector<Cidr> cidrs;
  for (const auto& item : split_list(list)) {
    const auto cidr = item.find('/') == item.npos ? std::nullopt : Cidr::parse(item);
    if (!cidr)
      return bad_option(flag, "\"" + item + "\" is not a CIDR such as 10.0.0.0/8 or fd00::/8");
    cidrs.push_back(*cidr);
  }
  return cidrs;
}

Result<std::vector<uint32_t>> parse_ids(std::string_view list, std::string_view flag) {
  std::vector<uint32_t> ids;
  for (const auto& item : split_list(list)) {
    const auto id = parse_decimal(item);
    // The highest number means "no user" to the kernel.
    if (!id || *id == UINT32_MAX) return bad_option(flag, "\"" + item + "\" is not a numeric id");
    ids.push_back(*id);
  }
  return ids;
}

Result<CheckedOptions> check(const Options& options) {
  for (const auto one : {check_numbers, check_tproxy, check_groups}) {
    if (const auto checked = one(options); !checked) return checked.error();
  }
  const auto excluded = check_interfaces(options.exclude_interfaces, "--istio-exclude-interfaces");
  if (!excluded) return excluded.error();
  const auto guests = check_interfaces(options.guest_interfaces, "--kube-virt-interfaces");
  if (!guests) return guests.error();
  CheckedOptions out{.options = options};
  out.all_inbound = options.inbound_ports == "*";
  if (!out.all_inbound) {
    auto ports = parse_ports(options.inbound_ports, "--istio-inbound-ports");
    if (!ports) return ports.error();
    out.inbound_ports = std::move(*ports);
  }
  out.all_outbound = options.outbound_cidrs == "*";
  if (!out.all_outbound) {
    auto cidrs = parse_cidrs(options.outbound_cidrs, "--istio-service-cidr");
    if (!cidrs) return cidrs.error();
    out.outbound_cidrs = std::move(*cidrs);
  }
  return out;
}

}  // namespace sallyport::rules
