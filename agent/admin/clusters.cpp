#include "agent/admin/clusters.h"

#include <algorithm>
#include <map>

#include "agent/admin/config_dump.h"
#include "agent/admin/json.h"

namespace sallyport::admin {
namespace {

using ClusterInfo = upstream::Upstreams::ClusterInfo;
using EndpointInfo = upstream::Upstreams::EndpointInfo;

void add(ClusterInfo& sum, const ClusterInfo& one) {
  if (sum.problem.empty()) sum.problem = one.problem;
  for (const EndpointInfo& endpoint : one.endpoints) {
    const auto known =
        std::find_if(sum.endpoints.begin(), sum.endpoints.end(),
                     [&](const EndpointInfo& other) { return other.address == endpoint.address; });
    if (known == sum.endpoints.end()) {
      sum.endpoints.push_back(endpoint);
    } else {
      known->active += endpoint.active;
      known->idle += endpoint.idle;
      // Each worker ejects for itself: one that does is shown.
      if (known->state == "healthy") known->state = endpoint.state;
    }
  }
}

ClusterInfo unused(const mesh::Cluster& cluster) {
  ClusterInfo out{cluster.name, {}, {}};
  for (const mesh::Endpoint& endpoint : cluster.endpoints) {
    if (!endpoint.by_name()) out.endpoints.push_back({endpoint.address(), "healthy", 0, 0});
  }
  if (cluster.refused) out.problem = cluster.refused->context;
  return out;
}

uint32_t threshold(std::optional<uint32_t> configured) {
  return configured.value_or(0) != 0 ? *configured : UINT32_MAX;
}

void thresholds_text(std::string& out, const std::string& name, std::string_view priority,
                     const mesh::Cluster* cluster) {
  const auto line = [&](std::string_view what, std::optional<uint32_t> value) {
    out += name + "::" + std::string(priority) + "::" + std::string(what) +
           "::" + std::to_string(threshold(value)) + "\n";
  };
  const std::optional<uint32_t> unset;
  line("max_connections", cluster ? cluster->max_connections : unset);
  line("max_pending_requests", cluster ? cluster->max_pending_requests : unset);
  line("max_requests", cluster && cluster->load ? cluster->load->max_requests : unset);
  line("max_retries", cluster ? cluster->max_retries : unset);
}

void endpoint_text(std::string& out, const std::string& name, const EndpointInfo& endpoint) {
  const std::string head = name + "::" + endpoint.address.text() + "::";
  out += head + "cx_active::" + std::to_string(endpoint.active + endpoint.idle) + "\n";
  out += head + "rq_active::" + std::to_string(endpoint.active) + "\n";
  out += head + "health_flags::" + endpoint.state + "\n";
  out += head + "priority::" + std::to_string(endpoint.priority) + "\n";
}

const mesh::Cluster* find(const mesh::Snapshot& snapshot, const std::string& name) {
  const auto at = snapshot.clusters.find(name);
  return at == snapshot.clusters.end() ? nullptr : at->second.get();
}

}  // namespace

ClusterInfos merged(const mesh::Snapshot& snapshot, const ClusterInfos& infos) {
  std::map<std::string, ClusterInfo> by_name;
  for (const ClusterInfo& info : infos) {
    auto [at, made] = by_name.try_emplace(info.name, ClusterInfo{info.name, {}, {}});
    add(at->second, info);
  }
  for (const auto& [name, cluster] : snapshot.clusters)
    by_name.try_emplace(std::string(name), unused(*cluster));
  ClusterInfos out;
  for (auto& [name, info] : by_name) out.push_back(std::move(info));
  return out;
}

std::string clusters_text(const mesh::Snapshot& snapshot, const ClusterInfos& infos) {
  std::string out;
  for (const ClusterInfo& info : infos) {
    const mesh::Cluster* cluster = find(snapshot, info.name);
    out += info.name + "::observability_name::" + info.name + "\n";
    thresholds_text(out, info.name, "default_priority", cluster);
    thresholds_text(out, info.name, "high_priority", nullptr);
    out += info.name + "::added_via_api::true\n";
    if (!info.problem.empty()) out += info.name + "::problem::" + info.problem + "\n";
    for (const EndpointInfo& endpoint : info.endpoints) endpoint_text(out, info.name, endpoint);
  }
  return out;
}

std::string clusters_json(const ClusterInfos& infos) {
  JsonWriter json;
  const auto stat = [&json](std::string_view name, std::size_t value) {
    json.object([&] {
      json.field("type", "GAUGE");
      json.field("name", name);
      json.field("value", std::to_string(value));
    });
  };
  const auto host = [&](const EndpointInfo& endpoint) {
    dump_address(json, "address", endpoint.address);
    json.array("stats", [&] {
      stat("cx_active", endpoint.active + endpoint.idle);
      stat("rq_active", endpoint.active);
    });
    json.object("health_status", [&] {
      if (endpoint.state.find("failed_outlier_check") != endpoint.state.npos) {
        json.field("failed_outlier_check", true);
      }
      json.field("eds_health_status", "HEALTHY");
    });
  };
  json.object([&] {
    json.array("cluster_statuses", [&] {
      for (const ClusterInfo& info : infos) {
        json.object([&] {
          json.field("name", info.name);
          json.field("observability_name", info.name);
          json.field("added_via_api", true);
          if (!info.problem.empty()) json.field("problem", info.problem);
          json.array("host_statuses", [&] {
            for (const EndpointInfo& endpoint : info.endpoints) {
              json.object([&] { host(endpoint); });
            }
          });
        });
      }
    });
  });
  return json.take();
}

}  // namespace sallyport::admin
