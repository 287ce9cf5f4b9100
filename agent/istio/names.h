// What Istio's validation asks of names, ports and addresses, with its messages
// (istio/istio:pkg/config/validation/agent). Each returns what is wrong, or nothing.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/ascii.h"

namespace sallyport::istio {

using Problem = std::optional<std::string>;

bool is_dns_label(std::string_view label);      // RFC 1123, upper case allowed
Problem fqdn_problem(std::string_view domain);  // a trailing dot is allowed
Problem wildcard_domain_problem(
    std::string_view domain);  // the first label may be `*` or hold one at its start
bool is_partial_wildcard(std::string_view domain);     // "*foo.com"
Problem resource_name_problem(std::string_view name);  // Kubernetes: a lowercase RFC 1123 subdomain
Problem port_problem(int64_t number);
Problem port_name_problem(std::string_view name);
// `key: value` of a map of labels, with Kubernetes' syntax.
Problem label_problem(std::string_view key, std::string_view value);
Problem subnet_problem(std::string_view address);  // IP or CIDR
// Of an endpoint's address that is a unix socket: "unix:///run/x.sock", "unix://@abstract".
inline constexpr std::string_view unix_prefix = "unix://";

// Of what an exportTo is, and in which namespace.
struct Exported {
  std::string_view namespace_name;
  bool is_service_entry = false;  // may be exported to no one
  bool has_selector = false;      // a DestinationRule for some workloads: of its namespace only
};
Problem export_to_problem(const std::vector<std::string>& entries, const Exported& of);

// "outbound_.80_._.a.b": the SNI between the gateways of AUTO_PASSTHROUGH.
bool is_generated_sni(std::string_view name);
// Whether a header's name stands for a claim of a JWT: "@request.auth.claims.group".
bool is_claim(std::string_view header);

// Whether Istio never gives the pods of a namespace a sidecar (istio/istio:pkg/kube/inject,
// IgnoredNamespaces).
bool gets_no_sidecars(std::string_view namespace_name);

// A ServiceEntry port's protocol; empty means detection.
enum class ProtocolClass : uint8_t { detect, http, tls, tcp, udp, unknown };
ProtocolClass protocol_class(std::string_view protocol);
// Ports where servers speak TLS from the first byte.
bool is_tls_number(uint16_t port);
std::string upper_case(std::string_view text);
using ascii::lower_case;

}  // namespace sallyport::istio
