#include <algorithm>
#include <tuple>

#include "agent/cli/proxy_config_view.h"
#include "agent/cli/table.h"

namespace sallyport::cli {
namespace {

constexpr std::size_t listener_padding = 1;
constexpr std::string_view http_filter = "envoy.filters.network.http_connection_manager";
constexpr std::string_view tcp_filter = "envoy.filters.network.tcp_proxy";
constexpr std::string_view black_hole = "BlackHoleCluster";

std::vector<const Json*> chains_of(const Json* listener) {
  auto chains = elements(member(listener, "filter_chains"));
  if (const auto* rest = member(listener, "default_filter_chain")) chains.push_back(rest);
  return chains;
}

std::string cluster_of(const Json* filter) {
  return text_of(member(filter, "typed_config.cluster"));
}

std::string type_of(const Json* listener) {
  bool http = false, tcp = false;
  for (const auto* chain : chains_of(listener)) {
    for (const auto* filter : elements(member(chain, "filters"))) {
      const auto name = text_of(member(filter, "name"));
      http |= name == http_filter;
      tcp |= name == tcp_filter && cluster_of(filter).find(black_hole) == std::string::npos;
    }
  }
  return http && tcp ? "HTTP+TCP" : http ? "HTTP" : tcp ? "TCP" : "UNKNOWN";
}

std::string joined(const std::vector<std::string>& all, std::string_view separator) {
  std::string out;
  for (const auto& one : all) {
    if (&one != &all.front()) out += separator;
    out += one;
  }
  return out;
}

// istioctl's words for the lists of protocols that Istio makes.
std::string protocols_text(const std::vector<std::string>& protocols) {
  static const std::pair<std::string, const char*> known[] = {
      {"http/1.0,http/1.1,h2c,istio-http/1.0,istio-http/1.1,istio-h2", "HTTP TLS"},
      {"istio,istio-http/1.0,istio-http/1.1,istio-h2", "Istio HTTP Plain"},
      {"istio-peer-exchange,istio", "TCP TLS"},
      {"http/1.0,http/1.1,h2c", "HTTP"},
  };
  const auto all = joined(protocols, ",");
  for (const auto& [list, word] : known) {
    if (all == list) return std::string("App: ") + word;
  }
  return "App: " + all;
}

std::string match_text(const Json* match) {
  std::vector<std::string> parts;
  const auto names = texts_of(member(match, "server_names"));
  if (!names.empty()) parts.push_back("SNI: " + joined(names, ","));
  const auto transport = text_of(member(match, "transport_protocol"));
  if (!transport.empty()) parts.push_back("Trans: " + transport);
  const auto protocols = texts_of(member(match, "application_protocols"));
  if (!protocols.empty()) parts.push_back(protocols_text(protocols));
  const auto* port = member(match, "destination_port");
  const std::string port_text = port ? ":" + text_of(port) : "";
  std::vector<std::string> blocks;
  for (const auto* block : elements(member(match, "prefix_ranges"))) {
    const auto* length = member(block, "prefix_len");
    blocks.push_back(text_of(member(block, "address_prefix")) + "/" +
                     (length ? text_of(length) : "0"));
  }
  if (!blocks.empty()) {
    parts.push_back("Addr: " + joined(blocks, ",") + port_text);
  } else if (port) {
    parts.push_back("Addr: *" + port_text);
  }
  return parts.empty() ? "ALL" : joined(parts, "; ");
}

// Of a route that matches everything and goes to one cluster: that one; else nothing.
std::string only_cluster(const Json* config) {
  const auto hosts = elements(member(config, "virtual_hosts"));
  if (hosts.size() != 1 || joined(texts_of(member(hosts[0], "domains")), "/") != "*") return {};
  const auto routes = elements(member(hosts[0], "routes"));
  if (routes.size() != 1 || text_of(member(routes[0], "match.prefix")) != "/") return {};
  const auto cluster = text_of(member(routes[0], "route.cluster"));
  const bool speaks_for_itself = cluster.empty() || cluster.find("Cluster") != cluster.npos;
  return speaks_for_itself ? cluster : "Cluster: " + cluster;
}

std::string inline_route(const Json* config) {
  if (auto cluster = only_cluster(config); !cluster.empty()) return cluster;
  std::vector<std::string> hosts;
  for (const auto* host : elements(member(config, "virtual_hosts"))) {
    std::vector<std::string> routes;
    for (const auto* route : elements(member(host, "routes"))) {
      routes.push_back(describe_path(member(route, "match")));
    }
    const auto domains = joined(texts_of(member(host, "domains")), "/");
    hosts.push_back((domains == "*" ? "" : domains + " ") + joined(routes, ", "));
  }
  return "Inline Route: " + joined(hosts, "; ");
}

std::string destination_text(const Json* chain) {
  if (member(chain, "refused")) return "Closed";
  for (const auto* filter : elements(member(chain, "filters"))) {
    const auto name = text_of(member(filter, "name"));
    if (name == http_filter) {
      if (const auto* config = member(filter, "typed_config.route_config")) {
        return inline_route(config);
      }
      const auto route = text_of(member(filter, "typed_config.rds.route_config_name"));
      return route.empty() ? "HTTP" : "Route: " + route;
    }
    if (name != tcp_filter) continue;
    const auto cluster = cluster_of(filter);
    // istioctl's word for what was sent to the proxy's own port.
    const bool own_port = member(chain, "filter_chain_match.destination_port") != nullptr;
    if (own_port && cluster.find(black_hole) != cluster.npos) continue;
    return cluster.find("Cluster") != cluster.npos ? cluster : "Cluster: " + cluster;
  }
  return "Non-HTTP/Non-TCP";
}

struct ListenerRow {
  const Json* listener;
  std::string address, type;
  int port;
};

std::vector<ListenerRow> listener_rows(const Json* listeners) {
  std::vector<ListenerRow> rows;
  const auto add = [&rows](const Json* listener) {
    if (!listener) return;
    const auto* at = member(listener, "address.socket_address");
    const auto* path = member(listener, "address.pipe.path");
    rows.push_back({listener, text_of(path ? path : member(at, "address")), type_of(listener),
                    std::atoi(text_of(member(at, "port_value")).c_str())});
  };
  for (const auto* one : elements(member(listeners, "dynamic_listeners"))) {
    add(member(one, "active_state.listener"));
  }
  for (const auto* one : elements(member(listeners, "static_listeners"))) {
    add(member(one, "listener"));
  }
  return rows;
}

bool is_asked_for(const ListenerRow& row, const ProxyConfigQuery& query) {
  return (query.address.empty() || equal_ignoring_case(row.address, query.address)) &&
         (query.port == 0 || row.port == query.port) &&
         (query.type.empty() || equal_ignoring_case(row.type, query.type));
}

void add_rows(Table& table, const ListenerRow& row, const ProxyConfigQuery& query) {
  std::vector<std::string> head = {row.address, std::to_string(row.port)};
  if (query.typed_names)
    head.insert(head.begin(), "listener/" + text_of(member(row.listener, "name")));
  if (!query.verbose) {
    head.push_back(row.type);
    table.add(std::move(head));
    return;
  }
  std::vector<std::pair<std::string, std::string>> matches;  // destination, match
  for (const auto* chain : chains_of(row.listener)) {
    matches.emplace_back(destination_text(chain), match_text(member(chain, "filter_chain_match")));
  }
  std::stable_sort(matches.begin(), matches.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [destination, match] : matches) {
    auto cells = head;
    cells.insert(cells.end(), {match, destination});
    table.add(std::move(cells));
  }
}

// Below the table, so that the columns stay istioctl's.
std::string closed_chains(const std::vector<ListenerRow>& rows) {
  std::string out;
  for (const auto& row : rows) {
    for (const auto* chain : chains_of(row.listener)) {
      const auto why = text_of(member(chain, "refused"));
      if (!why.empty()) out += "\n" + text_of(member(chain, "name")) + " is closed: " + why;
    }
  }
  return out.empty() ? out : out + "\n";
}

}  // namespace

Result<std::string> view_listeners(const Json* dump, const ProxyConfigQuery& query) {
  const auto listeners = section(dump, "ListenersConfigDump");
  if (!listeners) return listeners.error();
  auto rows = listener_rows(*listeners);
  std::erase_if(rows, [&](const ListenerRow& row) { return !is_asked_for(row, query); });
  if (query.output != Output::table) {
    std::vector<const Json*> shown;
    for (const auto& row : rows) shown.push_back(row.listener);
    return print_list(shown, query.output, Names::camel_case);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const ListenerRow& a, const ListenerRow& b) {
    return std::tie(a.port, a.address, a.type) < std::tie(b.port, b.address, b.type);
  });
  Table table(listener_padding);
  std::vector<std::string> titles = {"ADDRESSES", "PORT"};
  if (query.typed_names) titles.insert(titles.begin(), "NAME");
  if (query.verbose) {
    titles.insert(titles.end(), {"MATCH", "DESTINATION"});
  } else {
    titles.push_back("TYPE");
  }
  table.add(std::move(titles));
  for (const auto& row : rows) add_rows(table, row, query);
  return table.text() + closed_chains(rows);
}

}  // namespace sallyport::cli
