#include <algorithm>
#include <map>

#include "agent/admin/config_dump.h"
#include "agent/admin/json.h"

namespace sallyport::admin {
namespace {

void dump_route(JsonWriter& json, const mesh::Route& route) {
  json.object([&] {
    json.field("name", route.name);
    json.object("match", [&] { json.field("prefix", "/"); });
    if (!route.cluster) {
      json.object("direct_response", [&] { json.field("status", route.direct_status); });
      return;
    }
    json.object("route", [&] {
      json.field("cluster", route.cluster->name);
      json.field("timeout", seconds_text(route.timeout));
      json.object("retry_policy", [&] {
        json.field("retry_on", "connect-failure,refused-stream,unavailable,cancelled");
        json.field("num_retries", route.retry.attempts);
      });
    });
  });
}

void dump_virtual_host(JsonWriter& json, const mesh::VirtualHost& host,
                       std::vector<std::string> domains) {
  std::sort(domains.begin(), domains.end());
  json.object([&] {
    json.field("name", host.name);
    json.array("domains", [&] {
      for (const auto& domain : domains) json.value(domain);
    });
    json.array("routes", [&] {
      for (const auto& route : host.routes) dump_route(json, route);
    });
    dump_origin(json, host.from);
  });
}

void dump_table(JsonWriter& json, const mesh::RouteTable& table) {
  // A virtual host has several domains; by name, so that the dump is stable.
  std::map<std::pair<std::string, const mesh::VirtualHost*>, std::vector<std::string>> hosts;
  for (const auto& [host, to] : table.hosts.exact) hosts[{to->name, to.get()}].push_back(host);
  for (const auto& [suffix, to] : table.hosts.suffix) {
    hosts[{to->name, to.get()}].push_back("*" + suffix);
  }
  json.object("route_config", [&] {
    json.field("@type", "type.googleapis.com/envoy.config.route.v3.RouteConfiguration");
    json.field("name", table.name);
    json.array("virtual_hosts", [&] {
      for (const auto& [key, domains] : hosts) dump_virtual_host(json, *key.second, domains);
      if (table.fallback) dump_virtual_host(json, *table.fallback, {"*"});
    });
  });
}

}  // namespace

void dump_routes(JsonWriter& json, const mesh::Snapshot& snapshot) {
  std::map<std::pair<std::string, const mesh::RouteTable*>, const mesh::RouteTable*> tables;
  const auto add = [&tables](const std::shared_ptr<const mesh::RouteTable>& table) {
    if (table) tables[{table->name, table.get()}] = table.get();
  };
  for (const auto& [address, listener] : snapshot.by_address) add(listener->http);
  for (const auto& [port, listener] : snapshot.by_port) add(listener->http);
  if (snapshot.catch_all) add(snapshot.catch_all->http);
  json.object([&] {
    json.field("@type", "type.googleapis.com/envoy.admin.v3.RoutesConfigDump");
    json.array("dynamic_route_configs", [&] {
      for (const auto& [key, table] : tables) {
        json.object([&, table = table] {
          json.field("version_info", std::to_string(snapshot.version));
          dump_table(json, *table);
        });
      }
    });
  });
}

}  // namespace sallyport::admin
