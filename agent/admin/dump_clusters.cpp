#include <algorithm>

#include "agent/admin/config_dump.h"
#include "agent/admin/json.h"
#include "agent/mesh/locality.h"

namespace sallyport::admin {
namespace {

// The endpoints of Kubernetes' Services come by EDS in Istio; a ServiceEntry's stand in the
// cluster.
std::string_view type_of(const mesh::Cluster& cluster) {
  switch (cluster.discovery) {
    case mesh::Discovery::original_dst:
      return "ORIGINAL_DST";
    case mesh::Discovery::strict_dns:
      return "STRICT_DNS";
    case mesh::Discovery::logical_dns:
      return "LOGICAL_DNS";
    case mesh::Discovery::dynamic_dns:
      return "DYNAMIC_DNS";
    case mesh::Discovery::static_:
      break;
  }
  return cluster.service && cluster.service->kind == "Service" ? "EDS" : "STATIC";
}

std::string_view policy_of(const mesh::Cluster& cluster) {
  if (cluster.discovery == mesh::Discovery::original_dst) return "CLUSTER_PROVIDED";
  if (cluster.load && cluster.load->hash) {
    const bool maglev = cluster.load->hash->table == mesh::HashPolicy::Table::maglev;
    return maglev ? "MAGLEV" : "RING_HASH";
  }
  switch (cluster.balancing) {
    case mesh::Balancing::round_robin:
      return "ROUND_ROBIN";
    case mesh::Balancing::random:
      return "RANDOM";
    case mesh::Balancing::least_request:
      break;
  }
  return "LEAST_REQUEST";
}

// Those of one locality and priority, as Envoy groups them.
void dump_locality(JsonWriter& json, const mesh::Cluster& cluster, const mesh::Endpoint& first) {
  if (!first.locality.empty()) {
    json.object("locality", [&] {
      const auto parts = mesh::Locality::parse(first.locality);
      json.field("region", parts.region);
      if (!parts.zone.empty()) json.field("zone", parts.zone);
      if (!parts.subzone.empty()) json.field("sub_zone", parts.subzone);
    });
  }
  if (!cluster.load || first.group >= cluster.load->groups.size()) return;
  const auto& group = cluster.load->groups[first.group];
  if (group.weight != 0) json.field("load_balancing_weight", group.weight);
  if (group.priority != 0) json.field("priority", group.priority);
}

void dump_outlier_detection(JsonWriter& json, const mesh::Cluster& cluster) {
  if (!cluster.load || !cluster.load->outlier) return;
  const auto& outlier = *cluster.load->outlier;
  json.object("outlier_detection", [&] {
    json.field("consecutive_5xx", outlier.consecutive_5xx);
    json.field("interval", seconds_text(outlier.interval));
    json.field("base_ejection_time", seconds_text(outlier.base_ejection_time));
    json.field("max_ejection_percent", outlier.max_ejection_percent);
    json.field("consecutive_gateway_failure", outlier.consecutive_gateway);
    if (!outlier.split_local_origin) return;
    json.field("split_external_local_origin_errors", true);
    json.field("consecutive_local_origin_failure", outlier.consecutive_local_origin);
  });
}

bool same_group(const mesh::Endpoint& a, const mesh::Endpoint& b) {
  return a.group == b.group && a.locality == b.locality;
}

// What tells an endpoint that takes Istio's mutual TLS from one that doesn't.
void dump_tls_match(JsonWriter& json, std::string_view name) {
  json.object(name, [&] {
    json.object("filter_metadata", [&] {
      json.object("envoy.transport_socket_match", [&] { json.field("tlsMode", "istio"); });
    });
  });
}

void dump_group(JsonWriter& json, const mesh::Cluster& cluster, const mesh::Endpoint& first) {
  dump_locality(json, cluster, first);
  json.array("lb_endpoints", [&] {
    for (const mesh::Endpoint& endpoint : cluster.endpoints) {
      if (!same_group(endpoint, first)) continue;
      json.object([&] {
        json.object("endpoint", [&] {
          if (endpoint.by_name()) {
            dump_address(json, "address", endpoint.host, endpoint.port);
          } else {
            dump_address(json, "address", endpoint.address());
          }
        });
        if (endpoint.mesh_tls) dump_tls_match(json, "metadata");
        json.field("load_balancing_weight", endpoint.weight);
      });
    }
  });
}

void dump_endpoints(JsonWriter& json, const mesh::Cluster& cluster) {
  if (cluster.endpoints.empty()) return;
  std::vector<const mesh::Endpoint*> firsts;  // of each group
  for (const auto& endpoint : cluster.endpoints) {
    const auto same = [&](const auto* first) { return same_group(*first, endpoint); };
    if (std::none_of(firsts.begin(), firsts.end(), same)) firsts.push_back(&endpoint);
  }
  json.object("load_assignment", [&] {
    json.field("cluster_name", cluster.name);
    json.array("endpoints", [&] {
      for (const auto* first : firsts) json.object([&] { dump_group(json, cluster, *first); });
    });
  });
}

void dump_validation(JsonWriter& json, const mesh::TlsOrigination& tls) {
  json.object("combined_validation_context", [&] {
    json.object("default_validation_context", [&] {
      if (tls.skip_verify) json.field("trust_chain_verification", "ACCEPT_UNTRUSTED");
      if (tls.names.empty()) return;
      json.array("match_subject_alt_names", [&] {
        for (const auto& name : tls.names) {
          json.object([&] { json.field("exact", name); });
        }
      });
    });
    if (tls.roots.empty()) return;
    json.object("validation_context_sds_secret_config", [&] { json.field("name", tls.roots); });
  });
}

// A transport_socket with what `inside` writes; inside of the PROXY protocol's, where there is one.
template <class Inside>
void dump_socket(JsonWriter& json, const mesh::Cluster& cluster, Inside inside) {
  if (cluster.proxy_protocol == mesh::ProxyProtocol::none) {
    return json.object("transport_socket", inside);
  }
  json.object("transport_socket", [&] {
    json.field("name", "envoy.transport_sockets.upstream_proxy_protocol");
    json.object("typed_config", [&] {
      json.field("@type",
                 "type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3."
                 "ProxyProtocolUpstreamTransport");
      json.object("config", [&] {  // V1 is the default, which Envoy's dumps leave out
        if (cluster.proxy_protocol == mesh::ProxyProtocol::v2) json.field("version", "V2");
      });
      json.object("transport_socket", inside);
    });
  });
}

void dump_tls_context(JsonWriter& json, const mesh::TlsOrigination& tls) {
  json.field("name", "envoy.transport_sockets.tls");
  json.object("typed_config", [&] {
    json.field("@type",
               "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext");
    json.object("common_tls_context", [&] {
      if (!tls.certificate.empty()) {
        json.array("tls_certificate_sds_secret_configs",
                   [&] { json.object([&] { json.field("name", tls.certificate); }); });
      }
      dump_validation(json, tls);
      if (tls.mode == mesh::Originate::istio_mutual) {
        json.array("alpn_protocols", [&] { json.value("istio"); });
      }
    });
    if (!tls.sni.empty()) json.field("sni", tls.sni);
  });
}

void dump_raw_buffer(JsonWriter& json, std::string_view name) {
  json.field("name", name);
  json.object("typed_config", [&] {
    json.field("@type",
               "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer");
  });
}

// As istiod has it: by each endpoint's metadata where auto mTLS decides.
void dump_transport(JsonWriter& json, const mesh::Cluster& cluster) {
  const auto& tls = cluster.tls;
  const auto with_tls = [&] { dump_tls_context(json, tls); };
  if (tls.mode == mesh::Originate::none) {
    if (cluster.proxy_protocol == mesh::ProxyProtocol::none) return;
    return dump_socket(json, cluster, [&] { dump_raw_buffer(json, "raw_buffer"); });
  }
  if (!tls.automatic) return dump_socket(json, cluster, with_tls);
  json.array("transport_socket_matches", [&] {
    json.object([&] {
      json.field("name", "tlsMode-istio");
      json.object("match", [&] { json.field("tlsMode", "istio"); });
      dump_socket(json, cluster, with_tls);
    });
    json.object([&] {
      json.field("name", "tlsMode-disabled");
      json.object("match", [] {});
      dump_socket(json, cluster,
                  [&] { dump_raw_buffer(json, "envoy.transport_sockets.raw_buffer"); });
    });
  });
}

void dump_thresholds(JsonWriter& json, const mesh::Cluster& cluster) {
  const uint32_t max_requests = cluster.load ? cluster.load->max_requests : 0;
  const bool any = cluster.max_connections || cluster.max_pending_requests || cluster.max_retries ||
                   max_requests != 0;
  if (!any) return;
  json.object("circuit_breakers", [&] {
    json.array("thresholds", [&] {
      json.object([&] {
        if (cluster.max_connections) json.field("max_connections", *cluster.max_connections);
        if (cluster.max_pending_requests) {
          json.field("max_pending_requests", *cluster.max_pending_requests);
        }
        if (max_requests != 0) json.field("max_requests", max_requests);
        if (cluster.max_retries) json.field("max_retries", *cluster.max_retries);
      });
    });
  });
}

void dump_cluster(JsonWriter& json, const mesh::Cluster& cluster) {
  json.object("cluster", [&] {
    json.field("@type", "type.googleapis.com/envoy.config.cluster.v3.Cluster");
    json.field("name", cluster.name);
    json.field("type", type_of(cluster));
    json.field("connect_timeout", seconds_text(cluster.connect_timeout));
    json.field("lb_policy", policy_of(cluster));
    dump_thresholds(json, cluster);
    dump_outlier_detection(json, cluster);
    dump_cluster_options(json, cluster);
    dump_endpoints(json, cluster);
    dump_transport(json, cluster);
    dump_origin(json, cluster.rule);
    if (cluster.service) json.field("service", cluster.service->text());
    if (cluster.refused) json.field("refused", cluster.refused->context);
  });
}

}  // namespace

void dump_clusters(JsonWriter& json, const mesh::Snapshot& snapshot) {
  std::vector<mesh::ClusterPtr> all;
  for (const auto& [name, cluster] : snapshot.clusters) all.push_back(cluster);
  for (const auto& own :
       {snapshot.passthrough, snapshot.black_hole, snapshot.inbound_passthrough}) {
    if (own && !snapshot.clusters.contains(own->name)) all.push_back(own);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a->name < b->name; });
  json.object([&] {
    json.field("@type", "type.googleapis.com/envoy.admin.v3.ClustersConfigDump");
    json.field("version_info", std::to_string(snapshot.version));
    json.array("dynamic_active_clusters", [&] {
      for (const auto& cluster : all) {
        json.object([&] {
          json.field("version_info", std::to_string(snapshot.version));
          dump_cluster(json, *cluster);
        });
      }
    });
  });
}

}  // namespace sallyport::admin
