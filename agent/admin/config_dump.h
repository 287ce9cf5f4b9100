// The configuration in force as Envoy's /config_dump shows it, with the resources that made it in
// Istio's metadata, so that what reads Envoy's dump (istioctl proxy-config) reads ours. Pure.
//
// Secrets: certificates are public and shown; of a key never more than "[redacted]".
#pragma once
#include <string>
#include <vector>

#include "agent/istio/decode.h"
#include "agent/mesh/snapshot.h"
#include "certs/vault.h"

namespace sallyport::admin {

class JsonWriter;

// `findings`: what the newest load refused or warned about.
std::string config_dump(const mesh::Snapshot& snapshot, const certs::Vault& vault,
                        const std::vector<istio::Finding>& findings = {});

// Its parts, each one element of "configs".
void dump_bootstrap(JsonWriter& json, const mesh::Snapshot& snapshot);
void dump_clusters(JsonWriter& json, const mesh::Snapshot& snapshot);
void dump_listeners(JsonWriter& json, const mesh::Snapshot& snapshot);
void dump_routes(JsonWriter& json, const mesh::Snapshot& snapshot);
void dump_secrets(JsonWriter& json, const mesh::Snapshot& snapshot, const certs::Vault& vault);
void dump_findings(JsonWriter& json, const std::vector<istio::Finding>& findings);

// Shared by the parts.
void dump_cluster_options(JsonWriter& json, const mesh::Cluster& cluster);
void dump_inbound(JsonWriter& json, const mesh::Snapshot& snapshot);  // 15006, of dump_listeners
// One listener of a gateway, of dump_listeners; in the order of their names.
void dump_gateway(JsonWriter& json, const mesh::GatewayListener& listener);
std::vector<mesh::GatewayListenerPtr> gateway_listeners(const mesh::GatewayPorts& ports);
void dump_tcp_proxy(JsonWriter& json, const mesh::TcpRoute& route);  // a filter chain's filter
void dump_address(JsonWriter& json, std::string_view key, const std::string& host, uint16_t port);
void dump_address(JsonWriter& json, std::string_view key, const SocketAddress& address);
void dump_origin(JsonWriter& json, const ResourceRefPtr& origin);  // metadata of Istio
std::string node_id(const mesh::Snapshot& snapshot);  // "sidecar~10.0.0.1~sleep.default~..."
void dump_node_metadata(JsonWriter& json, const istio::Proxy& proxy);
std::string seconds_text(std::chrono::milliseconds time);  // "10s", "0.250s"

}  // namespace sallyport::admin
