// What a cluster has beyond endpoints, TLS and limits, under the names of Envoy's cluster.
#include <cmath>

#include "agent/admin/config_dump.h"
#include "agent/admin/json.h"

namespace sallyport::admin {
namespace {

constexpr std::string_view http_options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

void dump_keepalive(JsonWriter& json, const mesh::LoadPolicy& load) {
  if (!load.keepalive) return;
  const auto& keepalive = *load.keepalive;
  json.object("upstream_connection_options", [&] {
    json.object("tcp_keepalive", [&] {
      if (keepalive.probes != 0) json.field("keepalive_probes", keepalive.probes);
      if (keepalive.time.count()) json.field("keepalive_time", keepalive.time.count());
      if (keepalive.interval.count()) json.field("keepalive_interval", keepalive.interval.count());
    });
  });
}

void dump_slow_start(JsonWriter& json, const mesh::WarmupPolicy& warmup) {
  json.object("slow_start_config", [&] {
    json.field("slow_start_window", seconds_text(warmup.duration));
    json.object("aggression", [&] { json.field("default_value", warmup.aggression); });
    json.object("min_weight_percent",
                [&] { json.field("value", std::lround(warmup.minimum * 100)); });
  });
}

void dump_balancing(JsonWriter& json, const mesh::Cluster& cluster) {
  if (!cluster.load) return;
  const auto& load = *cluster.load;
  if (load.hash) {
    const bool ring = load.hash->table == mesh::HashPolicy::Table::ring;
    json.object(ring ? "ring_hash_lb_config" : "maglev_lb_config", [&] {
      // UInt64Value: a text in protobuf's JSON.
      json.field(ring ? "minimum_ring_size" : "table_size", std::to_string(load.hash->table_size));
    });
  } else if (load.warmup && cluster.balancing != mesh::Balancing::random) {
    const bool turns = cluster.balancing == mesh::Balancing::round_robin;
    json.object(turns ? "round_robin_lb_config" : "least_request_lb_config",
                [&] { dump_slow_start(json, *load.warmup); });
  }
}

// As Istio has it: idle times of both kinds, the limits of a connection, and where the SNI comes
// from.
void dump_protocol_options(JsonWriter& json, const mesh::Cluster& cluster) {
  const auto longest =
      cluster.load ? cluster.load->max_connection_duration : std::chrono::milliseconds(0);
  json.object("typed_extension_protocol_options", [&] {
    json.object(http_options, [&] {
      json.field("@type", "type.googleapis.com/" + std::string(http_options));
      json.object("common_http_protocol_options", [&] {
        json.field("idle_timeout", seconds_text(cluster.http_idle));
        if (longest.count()) json.field("max_connection_duration", seconds_text(longest));
        if (cluster.max_requests_per_connection) {
          json.field("max_requests_per_connection", *cluster.max_requests_per_connection);
        }
      });
      if (!cluster.tls.auto_sni && !cluster.tls.auto_san) return;
      json.object("upstream_http_protocol_options", [&] {
        json.field("auto_sni", cluster.tls.auto_sni);
        json.field("auto_san_validation", cluster.tls.auto_san);
      });
    });
  });
}

}  // namespace

void dump_cluster_options(JsonWriter& json, const mesh::Cluster& cluster) {
  dump_balancing(json, cluster);
  if (cluster.load) dump_keepalive(json, *cluster.load);
  dump_protocol_options(json, cluster);
}

}  // namespace sallyport::admin
