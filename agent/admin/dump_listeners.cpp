#include <algorithm>

#include "agent/admin/config_dump.h"
#include "agent/admin/dump_filter.h"
#include "agent/admin/json.h"

namespace sallyport::admin {
namespace {

// What a filter chain matches beside the listener's address.
struct Match {
  std::vector<std::string> server_names;
  const Cidr* block = nullptr;
};

void dump_match(JsonWriter& json, const Match& match) {
  json.object("filter_chain_match", [&] {
    if (match.block) {
      json.array("prefix_ranges", [&] {
        json.object([&] {
          json.field("address_prefix", match.block->network().text());
          json.field("prefix_len", match.block->prefix());
        });
      });
    }
    if (!match.server_names.empty()) {
      json.array("server_names", [&] {
        for (const auto& name : match.server_names) json.value(name);
      });
    }
  });
}

void dump_tcp_chain(JsonWriter& json, const Match& match, const mesh::TcpRoute& route) {
  const mesh::Cluster& first = route.cluster ? *route.cluster : *route.split.front().cluster;
  json.object([&] {
    dump_match(json, match);
    dump_tcp_proxy(json, route);
    dump_origin(json, first.service);
  });
}

void dump_http_chain(JsonWriter& json, const mesh::RouteTable& routes) {
  json.object([&] {
    json.object("filter_chain_match", [&] {
      json.field("transport_protocol", "raw_buffer");
      json.array("application_protocols", [&] {
        json.value("http/1.1");
        json.value("h2c");
      });
    });
    dump_filter(json, "http_connection_manager", "HttpConnectionManager",
                [&] { json.object("rds", [&] { json.field("route_config_name", routes.name); }); });
  });
}

void dump_sni_chains(JsonWriter& json, const Cidr* block,
                     const mesh::HostTable<mesh::TcpRoute>& hosts) {
  std::vector<std::pair<std::string, const mesh::TcpRoute*>> all;
  for (const auto& [host, route] : hosts.exact) all.emplace_back(host, &route);
  for (const auto& [suffix, route] : hosts.suffix) all.emplace_back("*" + suffix, &route);
  std::sort(all.begin(), all.end());
  for (const auto& [host, route] : all) dump_tcp_chain(json, {{host}, block}, *route);
}

void dump_listener(JsonWriter& json, const mesh::Snapshot& snapshot, const mesh::Listener& listener,
                   const std::string& host, uint16_t port) {
  json.object("listener", [&] {
    json.field("@type", "type.googleapis.com/envoy.config.listener.v3.Listener");
    json.field("name", listener.name);
    dump_address(json, "address", host, port);
    json.array("filter_chains", [&] {
      if (listener.http) dump_http_chain(json, *listener.http);
      dump_sni_chains(json, nullptr, listener.by_sni);
      for (const auto& cidr : listener.by_cidr) {
        dump_sni_chains(json, &cidr.block, cidr.by_sni);
        if (cidr.tcp) dump_tcp_chain(json, {{}, &cidr.block}, *cidr.tcp);
      }
      if (listener.tcp) dump_tcp_chain(json, {}, *listener.tcp);
    });
    if (!listener.tcp && snapshot.unmatched.cluster) {
      json.object("default_filter_chain", [&] {
        dump_filter(json, "tcp_proxy", "TcpProxy",
                    [&] { json.field("cluster", snapshot.unmatched.cluster->name); });
      });
    }
    json.field("traffic_direction", "OUTBOUND");
  });
}

struct Bound {
  const mesh::Listener* listener;
  std::string host;
  uint16_t port;
};

std::vector<Bound> all_of(const mesh::Snapshot& snapshot) {
  std::vector<Bound> all;
  for (const auto& [address, listener] : snapshot.by_address) {
    all.push_back({listener.get(), address.ip().text(), address.port()});
  }
  for (const auto& [port, listener] : snapshot.by_port) {
    all.push_back({listener.get(), "0.0.0.0", port});
  }
  std::sort(all.begin(), all.end(), [](const Bound& a, const Bound& b) {
    return std::tie(a.listener->name, a.host, a.port) < std::tie(b.listener->name, b.host, b.port);
  });
  if (snapshot.catch_all && snapshot.proxy.type == istio::Proxy::Type::sidecar) {
    all.push_back({snapshot.catch_all.get(), "0.0.0.0", snapshot.mesh.proxy_listen_port});
  }
  return all;
}

}  // namespace

void dump_tcp_proxy(JsonWriter& json, const mesh::TcpRoute& route) {
  const mesh::Cluster& first = route.cluster ? *route.cluster : *route.split.front().cluster;
  dump_filter(json, "tcp_proxy", "TcpProxy", [&] {
    json.field("stat_prefix", first.name);
    if (route.cluster) return json.field("cluster", route.cluster->name);
    json.object("weighted_clusters", [&] {
      json.array("clusters", [&] {
        for (const auto& one : route.split) {
          json.object([&] {
            json.field("name", one.cluster->name);
            json.field("weight", one.weight);
          });
        }
      });
    });
  });
}

void dump_listeners(JsonWriter& json, const mesh::Snapshot& snapshot) {
  const auto dump_active = [&](std::string_view name, auto listener) {
    json.object([&] {
      json.field("name", name);
      json.object("active_state", [&] {
        json.field("version_info", std::to_string(snapshot.version));
        listener();
      });
    });
  };
  json.object([&] {
    json.field("@type", "type.googleapis.com/envoy.admin.v3.ListenersConfigDump");
    json.field("version_info", std::to_string(snapshot.version));
    json.array("dynamic_listeners", [&] {
      for (const Bound& bound : all_of(snapshot)) {
        dump_active(bound.listener->name, [&] {
          dump_listener(json, snapshot, *bound.listener, bound.host, bound.port);
        });
      }
      for (const auto& listener : gateway_listeners(snapshot.gateway))
        dump_active(listener->name, [&] { dump_gateway(json, *listener); });
      if (snapshot.inbound.other && snapshot.proxy.type == istio::Proxy::Type::sidecar) {
        dump_active("virtualInbound", [&] { dump_inbound(json, snapshot); });
      }
    });
  });
}

}  // namespace sallyport::admin
