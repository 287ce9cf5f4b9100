#include <algorithm>
#include <set>

#include "agent/cli/proxy_config_view.h"
#include "agent/cli/table.h"

namespace sallyport::cli {
namespace {

constexpr std::size_t domains_shown = 2;  // "a.test, *.a.test + 3 more..."

// A number sorts by its value and before every name.
std::pair<bool, int> order_of(const Json* table) {
  const auto name = text_of(member(table, "name"));
  const bool is_number =
      !name.empty() && name.size() < 6 &&
      std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
  return {!is_number, is_number ? std::atoi(name.c_str()) : 0};
}

std::vector<const Json*> tables_of(const Json* routes, const ProxyConfigQuery& query) {
  std::vector<const Json*> out;
  for (const auto* key : {"dynamic_route_configs", "static_route_configs"}) {
    for (const auto* one : elements(member(routes, key))) {
      const auto* table = member(one, "route_config");
      if (!table) continue;
      if (query.name.empty() || query.name == text_of(member(table, "name"))) out.push_back(table);
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Json* a, const Json* b) { return order_of(a) < order_of(b); });
  return out;
}

// Longer spellings of a name that is there too: "a.default.svc" beside "a.default".
std::vector<std::string> unexpanded(const std::vector<std::string>& domains) {
  const std::set<std::string> all(domains.begin(), domains.end());
  std::vector<std::string> out;
  for (const auto& domain : domains) {
    const auto is_longer_form = [&](std::string_view suffix) {
      return domain.ends_with(suffix) &&
             all.contains(domain.substr(0, domain.size() - suffix.size()));
    };
    if (!is_longer_form(".svc.cluster.local") && !is_longer_form(".svc")) out.push_back(domain);
  }
  return out;
}

std::string domains_text(const std::vector<std::string>& domains) {
  if (domains.size() == 1) return domains.front();
  std::vector<std::string> without_port;
  for (const auto& domain : domains) {
    const auto colons = std::count(domain.begin(), domain.end(), ':');
    // An IPv6 address in brackets has colons and no port.
    if (colons == 0 || (colons > 2 && domain.ends_with(']'))) without_port.push_back(domain);
  }
  without_port = unexpanded(without_port);
  std::string out;
  for (std::size_t i = 0; i < std::min(domains_shown, without_port.size()); i++) {
    out += (i > 0 ? ", " : "") + without_port[i];
  }
  if (without_port.size() <= domains_shown) return out;
  return out + " + " + std::to_string(without_port.size() - domains_shown) + " more...";
}

void add_host(Table& rows, const std::string& table, const Json* host) {
  const auto name = text_of(member(host, "name"));
  const auto domains = domains_text(texts_of(member(host, "domains")));
  const auto routes = elements(member(host, "routes"));
  for (const auto* route : routes) {
    // What ALLOW_ANY lets through is no route of anyone's: istioctl leaves it out.
    if (text_of(member(route, "route.cluster")) == "PassthroughCluster") continue;
    rows.add({table, name, domains, describe_path(member(route, "match")), managed_by(route)});
  }
  if (routes.empty()) rows.add({table, name, domains, "/*", "404"});
}

}  // namespace

Result<std::string> view_routes(const Json* dump, const ProxyConfigQuery& query) {
  const auto routes = section(dump, "RoutesConfigDump");
  if (!routes) return routes.error();
  const auto tables = tables_of(*routes, query);
  if (query.output != Output::table) {
    return print_list(tables, query.output, Names::camel_case);
  }
  Table rows(table_padding);
  if (query.verbose) {
    rows.add({"NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"});
  } else {
    rows.add({"NAME", "VIRTUAL HOSTS"});
  }
  for (const auto* table : tables) {
    const auto name = (query.typed_names ? "route/" : "") + text_of(member(table, "name"));
    const auto hosts = elements(member(table, "virtual_hosts"));
    if (!query.verbose) rows.add({name, std::to_string(hosts.size())});
    if (!query.verbose) continue;
    for (const auto* host : hosts) add_host(rows, name, host);
  }
  return rows.text();
}

}  // namespace sallyport::cli
