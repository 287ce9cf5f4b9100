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

#include "agent/core/address.h"
#include "agent/core/boxed.h"
#include "agent/istio/gateway.h"
#include "agent/istio/load_policies.h"
#include "agent/istio/metadata.h"
#include "agent/istio/providers.h"
#include "agent/istio/security.h"
#include "agent/istio/telemetry.h"
#include "agent/istio/virtual_service.h"
#include "agent/istio/workloads.h"

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
  std::string address;                                      // IP, FQDN, unix://...
  boost::container::flat_map<std::string, uint16_t> ports;  // by port name
  Labels labels;
  std::string network, locality, service_account;
  uint32_t weight = 0;
  int line = 0;
};

// A WorkloadEntry of its own, for the workloadSelectors of its namespace.
struct Workload {
  Metadata metadata;
  WorkloadEntry entry;  // its labels with the metadata's over them
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
  // status.addresses, by host: what Istio's controller has given hosts that name none.
  std::vector<std::pair<std::string, IpAddress>> status_addresses;
};

// Whether Istio gives its hosts an address of their own where it names none.
bool gets_an_address(const ServiceEntry& entry);

enum class TlsMode : uint8_t { disable, simple, mutual, istio_mutual };

struct ClientTls {
  TlsMode mode = TlsMode::disable;
  std::string client_certificate, private_key, ca_certificates, ca_crl, credential_name, sni;
  std::vector<std::string> subject_alt_names;
  std::optional<bool> insecure_skip_verify;
  int line = 0;
};

struct PortPolicy {
  uint16_t port = 0;
  Boxed<LoadBalancer> load_balancer;
  Boxed<ConnectionPool> connection_pool;
  Boxed<OutlierDetection> outlier_detection;
  Boxed<ClientTls> tls;
  int line = 0;
};

struct TrafficPolicy {
  Boxed<LoadBalancer> load_balancer;
  Boxed<ConnectionPool> connection_pool;
  Boxed<OutlierDetection> outlier_detection;
  Boxed<ClientTls> tls;
  Boxed<RetryBudget> retry_budget;
  std::optional<ProxyProtocol> proxy_protocol;  // what connections begin with; never of a port
  std::vector<PortPolicy> port_level_settings;
  int line = 0;
};

struct Subset {
  std::string name;
  Labels labels;  // of the endpoints that are in it
  Boxed<TrafficPolicy> traffic_policy;
  int line = 0;
};

struct DestinationRule {
  Metadata metadata;
  std::string host;  // as written; short names are expanded in mesh/
  Boxed<TrafficPolicy> traffic_policy;
  std::vector<Subset> subsets;
  std::vector<std::string> export_to;
  std::optional<Labels> workload_selector;  // matchLabels
};

// A Kubernetes Service: known so that its names and addresses route as Istio's do.
struct Service {
  Metadata metadata;
  std::vector<ServicePort> ports;  // protocol from appProtocol, else from the name; upper case
  std::vector<std::string> cluster_ips;  // empty or "None": headless
  bool publish_not_ready = false;        // publishNotReadyAddresses
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

using Resource = std::variant<ServiceEntry, DestinationRule, VirtualService, Workload, Service,
                              Secret, ConfigMap, PeerAuthentication, AuthorizationPolicy, Sidecar,
                              Pod, EndpointSlice, WorkloadGroup, Gateway, Telemetry>;

inline const Metadata& metadata_of(const Resource& resource) {
  return std::visit([](const auto& r) -> const Metadata& { return r.metadata; }, resource);
}

enum class OutboundMode : uint8_t { registry_only, allow_any };
enum class LogEncoding : uint8_t { text, json };
enum class PathNormalization : uint8_t { none, base, merge_slashes, decode_and_merge_slashes };

// What a gateway makes of the client's X-Forwarded-Client-Cert (Envoy's
// forward_client_cert_details).
enum class ForwardClientCert : uint8_t {
  undefined,  // not set, or so written: sanitize_set
  sanitize,
  forward_only,
  append_forward,
  sanitize_set,
  always_forward_only
};

// What stands between the clients and a gateway.
struct GatewayTopology {
  uint32_t trusted_proxies = 0;  // numTrustedProxies
  ForwardClientCert forward_client_cert = ForwardClientCert::undefined;
  bool proxy_protocol = false;  // each connection begins with a PROXY protocol header
  bool operator==(const GatewayTopology&) const = default;
};

struct ProxyConfig {  // meshConfig.defaultConfig and PROXY_CONFIG, as far as read
  std::optional<int> concurrency;
  std::chrono::milliseconds drain_duration{45'000}, termination_drain_duration{5'000};
  uint16_t status_port = 15020;
  std::map<std::string, std::string> proxy_metadata;
  GatewayTopology gateway_topology;
};

// meshConfig.tlsDefaults (all TLS but Istio's own mutual TLS) and meshMTLS. Empty lists: our
// defaults.
struct TlsDefaults {
  bool only_tls_1_3 = false;  // minProtocolVersion: TLSV1_3
  std::vector<std::string> cipher_suites, ecdh_curves;
  bool operator==(const TlsDefaults&) const = default;
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
  std::vector<ExtensionProvider> extension_providers;  // as given: see find_provider
  DefaultProviders default_providers;
  std::string root_namespace = "istio-system";
  std::string trust_domain = "cluster.local";
  std::vector<std::string> trust_domain_aliases;
  bool enable_auto_mtls = true;
  bool inbound_to_localhost = false;             // inboundTrafficPolicy LOCALHOST; else PASSTHROUGH
  std::string cluster_domain = "cluster.local";  // from --domain, not a mesh config field
  uint16_t proxy_listen_port = 15001, proxy_inbound_listen_port = 15006;
  Boxed<HttpRetry> default_retries;  // defaultHttpRetryPolicy; none: Istio's own
  PathNormalization path_normalization = PathNormalization::base;
  Boxed<TcpKeepalive> tcp_keepalive;
  Boxed<LocalityLb> locality;
  Boxed<DefaultTrafficPolicy> default_traffic_policy;
  std::vector<std::string> default_destination_rule_export_to, default_service_export_to,
      default_virtual_service_export_to;
  std::shared_ptr<const TlsDefaults> tls_defaults;  // null: not set
  std::shared_ptr<const TlsDefaults> mesh_mtls;     // meshMTLS: of Istio's own mutual TLS, inbound
  ProxyConfig default_config;
};

// What becomes of UDP that the sidecar can't take part in (--udp-policy; Istio lets it pass by).
enum class UdpPolicy : uint8_t { off, log, enforce };

// What this proxy is: decides which resources it sees.
struct Proxy {
  enum class Type : uint8_t { sidecar, router };  // router: a gateway's
  Type type = Type::sidecar;
  std::string name, namespace_name = "default", service_account = "default";
  Labels labels;
  std::vector<std::string> addresses;  // the pod's own IPs
  // Of metrics: ISTIO_META_WORKLOAD_NAME and ISTIO_META_CLUSTER_ID; empty: not known.
  std::string workload_name, cluster_id;
  // ISTIO_META_INTERCEPTION_MODE is TPROXY: what arrives is taken without NAT, and the application
  // sees its clients' own addresses: with this mark (ISTIO_INBOUND_TPROXY_MARK). 0: REDIRECT.
  uint32_t tproxy_mark = 0;
  // ISTIO_META_DNS_CAPTURE: the application's DNS questions are answered here, and hosts that name
  // no address have one of their own.
  bool dns_capture = false;
  UdpPolicy udp_policy = UdpPolicy::off;
};

}  // namespace sallyport::istio
