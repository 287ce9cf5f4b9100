// One decoder a kind. Each gets the whole document's fields (apiVersion, kind and metadata are read
// by then), reports what is wrong, and returns the resource as far as it could be read: it counts
// only if the report has no error.
#pragma once
#include "agent/istio/fields.h"
#include "agent/istio/gateway.h"
#include "agent/istio/telemetry.h"
#include "agent/istio/virtual_service.h"

namespace sallyport::istio {

ServiceEntry decode_service_entry(Metadata metadata, Fields& document);
DestinationRule decode_destination_rule(Metadata metadata, Fields& document);
Workload decode_workload_entry(Metadata metadata, Fields& document);
VirtualService decode_virtual_service(Metadata metadata, Fields& document);
Sidecar decode_sidecar(Metadata metadata, Fields& document);
WorkloadGroup decode_workload_group(Metadata metadata, Fields& document);
Pod decode_pod(Metadata metadata, Fields& document);
EndpointSlice decode_endpoint_slice(Metadata metadata, Fields& document);
Service decode_service(Metadata metadata, Fields& document);
Secret decode_secret(Metadata metadata, Fields& document);
ConfigMap decode_config_map(Metadata metadata, Fields& document);
PeerAuthentication decode_peer_authentication(Metadata metadata, Fields& document);
AuthorizationPolicy decode_authorization_policy(Metadata metadata, Fields& document);
Gateway decode_gateway(Metadata metadata, Fields& document);
Telemetry decode_telemetry(Metadata metadata, Fields& document);
std::vector<RefusedServer> readable_servers(const Node& document);  // of a refused Gateway

// Shared pieces.
TrafficPolicy decode_traffic_policy(Fields& fields);  // host level or of a subset
ClientTls decode_client_tls(Fields& fields);
ServerTls decode_server_tls(Fields& fields);
std::shared_ptr<const TlsDefaults> decode_tls_defaults(Fields& fields);
bool is_cipher_suite(std::string_view name);                  // one that Istio lets through
std::vector<std::string> decode_ecdh_curves(Fields& fields);  // `ecdhCurves`, known ones
LoadBalancer decode_load_balancer(Fields& fields);
ConnectionPool decode_connection_pool(Fields& fields);
OutlierDetection decode_outlier_detection(Fields& fields);
TcpKeepalive decode_tcp_keepalive(Fields& fields);
LocalityLb decode_locality_lb(Fields& fields);
void check_zone_aware_lb(Fields& fields);       // has no effect yet
WorkloadEntry decode_workload(Fields& fields);  // a ServiceEntry's endpoint, a WorkloadEntry's spec
// What is wrong with one whose address is a Unix path, or absent: `complain` with the field, the
// reason, and whether it refuses the resource.
using EndpointComplaint = std::function<void(std::string_view field, std::string, bool fatal)>;
void check_no_ip(const WorkloadEntry& entry, const EndpointComplaint& complain);
// Istio's validation of a whole ServiceEntry (istio-api.md 1.1).
void check_service_entry(const ServiceEntry& entry, Fields& spec);
// An entry of a policy's targetRefs.
TargetReference decode_target_reference(Fields& target);
void check_labels(Fields& fields, std::string_view name, const Labels& labels);
// `labels` or `matchLabels`: equality only. `of`: whose `labels` they are, for the warning.
Labels decode_selector(Fields& selector, std::string_view name,
                       std::string_view of = "service entry");
// Of a refused policy or Sidecar: see Refused::selector.
std::optional<Labels> protected_workloads(std::string_view kind, const Node& document);
// A rule's fields with what Istio's validation says of their values.
AuthorizationRule decode_authorization_rule(Fields& rule, const AuthorizationPolicy& policy,
                                            std::size_t index);
std::optional<Labels> sidecar_workloads(const Node& document);  // of a refused Sidecar

}  // namespace sallyport::istio
