#include "iptables/policy_route.h"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "iptables/hints.h"
#include "iptables/netlink.h"

namespace sallyport::rules {
namespace {

constexpr uint8_t our_protocol = 83;        // of those that the kernel leaves to programs
constexpr PolicyRule istios = {1337, 133};  // whose rules have no protocol of their own

uint8_t number_of(Family family) { return family == Family::v4 ? AF_INET : AF_INET6; }

std::string text_of(const PolicyRule& rule) {
  char text[64];
  std::snprintf(text, sizeof text, "ip rule fwmark 0x%x lookup %u", rule.mark, rule.table);
  return text;
}
std::string route_text(uint32_t table) {
  return "ip route local default dev lo table " + std::to_string(table);
}

Error routing_error(Family family, const std::string& what, int number) {
  Error error{
      .fault = number == EPERM ? Fault::denied : Fault::internal,
      .context = (family == Family::v6 ? "-6: " : "") + what + ": " + std::strerror(number)};
  if (number == EPERM) error.context += capability_hint;
  if (number == EAFNOSUPPORT || number == EOPNOTSUPP)
    error.context += ". Hint: TPROXY needs a kernel with policy routing (IP_MULTIPLE_TABLES)";
  return error;
}

struct Attributes {
  const nlattr* of[64] = {};
  uint32_t number(int type, uint32_t otherwise) const {
    return of[type] != nullptr ? mnl_attr_get_u32(of[type]) : otherwise;
  }
};

template <class Header>
Attributes attributes_of(const nlmsghdr& message) {
  Attributes out;
  mnl_attr_parse(
      &message, sizeof(Header),
      [](const nlattr* attribute, void* to) {
        const auto type = mnl_attr_get_type(attribute);
        if (type < std::size(static_cast<Attributes*>(to)->of))
          static_cast<Attributes*>(to)->of[type] = attribute;
        return MNL_CB_OK;
      },
      &out);
  return out;
}

void keep_rule(const nlmsghdr& message, PolicyRoutes& to) {
  const auto& header = *static_cast<const fib_rule_hdr*>(mnl_nlmsg_get_payload(&message));
  const auto all = attributes_of<fib_rule_hdr>(message);
  if (header.action != FR_ACT_TO_TBL || all.of[FRA_FWMARK] == nullptr) return;
  const PolicyRule rule{all.number(FRA_FWMARK, 0), all.number(FRA_TABLE, header.table)};
  const bool marked_ours =
      all.of[FRA_PROTOCOL] != nullptr && mnl_attr_get_u8(all.of[FRA_PROTOCOL]) == our_protocol;
  if (marked_ours || rule == istios) to.rules.push_back(rule);
}

void keep_route(const nlmsghdr& message, PolicyRoutes& to) {
  const auto& header = *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
  const auto all = attributes_of<rtmsg>(message);
  const uint32_t table = all.number(RTA_TABLE, header.rtm_table);
  const bool is_default = header.rtm_dst_len == 0 && header.rtm_type == RTN_LOCAL &&
                          all.number(RTA_OIF, 0) == loopback_index;
  if (is_default && (header.rtm_protocol == our_protocol || table == istios.table))
    to.tables.push_back(table);
}

int change_rule(Family family, const PolicyRule& rule, bool add) {
  RouteRequest request(add ? RTM_NEWRULE : RTM_DELRULE, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
  auto& header =
      *static_cast<fib_rule_hdr*>(mnl_nlmsg_put_extra_header(request.header, sizeof(fib_rule_hdr)));
  header.family = number_of(family);
  header.action = FR_ACT_TO_TBL;
  header.table = RT_TABLE_UNSPEC;
  mnl_attr_put_u32(request.header, FRA_TABLE, rule.table);
  mnl_attr_put_u32(request.header, FRA_FWMARK, rule.mark);
  if (add) mnl_attr_put_u8(request.header, FRA_PROTOCOL, our_protocol);
  return change_routing(request);
}

int change_route(Family family, uint32_t table, bool add) {
  RouteRequest request(add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
  auto& header = *static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(request.header, sizeof(rtmsg)));
  header.rtm_family = number_of(family);
  header.rtm_table = RT_TABLE_UNSPEC;
  header.rtm_protocol = add ? our_protocol : RTPROT_UNSPEC;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  if (family == Family::v4) header.rtm_scope = add ? RT_SCOPE_HOST : RT_SCOPE_NOWHERE;  // any
  header.rtm_type = RTN_LOCAL;
  mnl_attr_put_u32(request.header, RTA_TABLE, table);
  mnl_attr_put_u32(request.header, RTA_OIF, loopback_index);
  return change_routing(request);
}

template <class T>
std::vector<T> missing_in(const std::vector<T>& one, std::vector<T> other) {
  std::vector<T> out;
  for (const T& item : one) {
    const auto at = std::find(other.begin(), other.end(), item);
    if (at == other.end())
      out.push_back(item);
    else
      other.erase(at);
  }
  return out;
}

}  // namespace

PolicyRoutes joined(PolicyRoutes one, const PolicyRoutes& other) {
  for (const auto& rule : missing_in(other.rules, one.rules)) one.rules.push_back(rule);
  for (const uint32_t table : missing_in(other.tables, one.tables)) one.tables.push_back(table);
  return one;
}

PolicyRoutes planned_routes(const Options& options) {
  if (options.interception != Interception::tproxy) return {};
  return {{{options.tproxy_mark, options.tproxy_route_table}}, {options.tproxy_route_table}};
}

Result<PolicyRoutes> read_policy_routes(Family family) {
  PolicyRoutes out;
  RouteRequest rules(RTM_GETRULE, 0);
  auto& rule_header =
      *static_cast<fib_rule_hdr*>(mnl_nlmsg_put_extra_header(rules.header, sizeof(fib_rule_hdr)));
  rule_header.family = number_of(family);
  const int failed_rules =
      list_routing(rules, [&](const nlmsghdr& message) { keep_rule(message, out); });
  // A kernel without policy routing has none.
  if (failed_rules == EAFNOSUPPORT || failed_rules == EOPNOTSUPP) return out;
  if (failed_rules != 0) return routing_error(family, "reading ip rules", failed_rules);
  RouteRequest routes(RTM_GETROUTE, 0);
  auto& header = *static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(routes.header, sizeof(rtmsg)));
  header.rtm_family = number_of(family);
  const int failed_routes =
      list_routing(routes, [&](const nlmsghdr& message) { keep_route(message, out); });
  if (failed_routes != 0) return routing_error(family, "reading ip routes", failed_routes);
  return out;
}

Result<void> change_policy_routes(Family family, const PolicyRoutes& from, const PolicyRoutes& to) {
  for (const uint32_t table : missing_in(to.tables, from.tables)) {
    const int number = change_route(family, table, true);
    if (number == EEXIST)
      return Error{.context = "table " + std::to_string(table) +
                              " has a default route of somebody else's; choose another with "
                              "--istio-inbound-tproxy-route-table"};
    if (number != 0) return routing_error(family, route_text(table), number);
  }
  for (const auto& rule : missing_in(to.rules, from.rules)) {
    if (const int number = change_rule(family, rule, true); number != 0 && number != EEXIST)
      return routing_error(family, text_of(rule), number);
  }
  for (const auto& rule : missing_in(from.rules, to.rules)) {
    if (const int number = change_rule(family, rule, false); number != 0 && number != ENOENT)
      return routing_error(family, "removing " + text_of(rule), number);
  }
  for (const uint32_t table : missing_in(from.tables, to.tables)) {
    if (const int number = change_route(family, table, false); number != 0 && number != ESRCH)
      return routing_error(family, "removing " + route_text(table), number);
  }
  return {};
}

std::optional<std::string> difference(const PolicyRoutes& found, const PolicyRoutes& wanted) {
  for (const auto& rule : missing_in(wanted.rules, found.rules))
    return text_of(rule) + " is missing";
  for (const uint32_t table : missing_in(wanted.tables, found.tables))
    return route_text(table) + " is missing";
  for (const auto& rule : missing_in(found.rules, wanted.rules))
    return text_of(rule) + " does not belong there";
  for (const uint32_t table : missing_in(found.tables, wanted.tables))
    return route_text(table) + " does not belong there";
  return {};
}

}  // namespace sallyport::rules
