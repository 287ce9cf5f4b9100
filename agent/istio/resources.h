// Istio's and Kubernetes' resources as types, as far as the data plane reads them. All API versions
// of a kind are one schema (istio-api.md). Defaults here are the proto's zero values; what absence
// means is decided in mesh/.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/istio/metadata.h"
#include "agent/istio/virtual_service.h"

namespace sallyport::istio {

enum class Resolution : uint8_t { none, static_, dns, dns_round_robin, dynamic_dns };
enum class Location : uint8_t { mesh_external, mesh_internal };

struct ServicePort {
  uint16_t number = 0;
  uint16_t target_port = 0;  // 0: same as number
  std::string name;
  std::string target_port_name;  // a Service's named targetPort (of the pods' containers);
                                 // target_port is 0 then
  std::string protocol;          // upper case as given; empty: detect
  int line = 0;
};

struct WorkloadEntry {
  std::string address;                    // IP, FQDN, unix://...
  std::map<std::string, uint16_t> ports;  // by port name
  Labels labels;
  std::string network, locality, service_account;
  uint32_t weight = 0;
  int line = 0;
};

struct ServiceEntry {
  Metadata metadata;
  std::vector<std::string> hosts;
  std::vector<std::string> addresses;  // IPs or CIDRs
  std::vector<ServicePort> ports;
  Location location = Location::mesh_external;
  Resolution resolution = Resolution::none;
  std::vector<WorkloadEntry> endpoints;
  std::optional<Labels> workload_selector;
  std::vector<std::string> export_to;
  std::vector<std::string> subject_alt_names;
};

enum class TlsMode : uint8_t { disable, simple, mutual, istio_mutual };

struct ClientTls {
  TlsMode mode = TlsMode::disable;
  std::string client_certificate, private_key, ca_certificates, ca_crl, credential_name, sni;
  std::vector<std::string> subject_alt_names;
  std::optional<bool> insecure_skip_verify;
  int line = 0;
};

enum class SimpleLb : uint8_t { unspecified, round_robin, random, least_request, passthrough };

struct LoadBalancer {
  SimpleLb simple = SimpleLb::unspecified;
  int line = 0;
};

struct ConnectionPool {
  std::optional<std::chrono::milliseconds> connect_timeout, tcp_idle_timeout, http_idle_timeout;
  std::optional<uint32_t> max_connections, http1_max_pending_requests, max_requests_per_connection,
      max_retries;
  int line = 0;
};

struct PortPolicy {
  uint16_t port = 0;
  std::optional<LoadBalancer> load_balancer;
  std::optional<ConnectionPool> connection_pool;
  std::optional<ClientTls> tls;
  int line = 0;
};

struct TrafficPolicy {
  std::optional<LoadBalancer> load_balancer;
  std::optional<ConnectionPool> connection_pool;
  std::optional<ClientTls> tls;
  std::vector<PortPolicy> port_level_settings;
  int line = 0;
};

struct Subset {
  std::string name;
  Labels labels;  // of the endpoints that are in it
  std::optional<TrafficPolicy> traffic_policy;
  int line = 0;
};

struct DestinationRule {
  Metadata metadata;
  std::string host;  // as written; short names are expanded in mesh/
  std::optional<TrafficPolicy> traffic_policy;
  std::vector<Subset> subsets;
  std::vector<std::string> export_to;
  std::optional<Labels> workload_selector;  // matchLabels
};

// A Kubernetes Service: known so that its names and addresses route as Istio's do.
struct Service {
  Metadata metadata;
  std::vector<ServicePort> ports;  // protocol from appProtocol, else from the name; upper case
  std::vector<std::string> cluster_ips;  // empty or "None": headless
  Labels selector;
  std::string external_name;
};

struct Secret {
  Metadata metadata;
  std::map<std::string, std::string, std::less<>> data;  // decoded bytes; never logged
};
struct ConfigMap {
  Metadata metadata;
  std::map<std::string, std::string, std::less<>> data;
};

using Resource =
    std::variant<ServiceEntry, DestinationRule, VirtualService, Service, Secret, ConfigMap>;

inline const Metadata& metadata_of(const Resource& resource) {
  return std::visit([](const auto& r) -> const Metadata& { return r.metadata; }, resource);
}

enum class OutboundMode : uint8_t { registry_only, allow_any };
enum class LogEncoding : uint8_t { text, json };

struct ProxyConfig {  // meshConfig.defaultConfig and PROXY_CONFIG, as far as read
  std::optional<int> concurrency;
  std::chrono::milliseconds drain_duration{45'000}, termination_drain_duration{5'000};
  std::map<std::string, std::string> proxy_metadata;
};

struct MeshConfig {
  OutboundMode outbound_traffic_policy = OutboundMode::allow_any;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds protocol_detection_timeout{0};  // 0: none
  std::chrono::milliseconds dns_refresh_rate{60'000};
  std::string access_log_file;    // "": off
  std::string access_log_format;  // "": Istio's default; with JSON a JSON object
  int access_log_format_line = 0;
  LogEncoding access_log_encoding = LogEncoding::text;
  std::string root_namespace = "istio-system";
  std::string trust_domain = "cluster.local";
  std::string cluster_domain = "cluster.local";  // from --domain, not a mesh config field
  uint16_t proxy_listen_port = 15001, proxy_inbound_listen_port = 15006;
  int retry_attempts = 2;  // defaultHttpRetryPolicy.attempts
  std::vector<std::string> default_destination_rule_export_to, default_service_export_to,
      default_virtual_service_export_to;
  ProxyConfig default_config;
};

// What this proxy is: decides which resources it sees.
struct Proxy {
  std::string name, namespace_name = "default", service_account = "default";
  Labels labels;
  std::vector<std::string> addresses;  // the pod's own IPs
};

}  // namespace sallyport::istio
