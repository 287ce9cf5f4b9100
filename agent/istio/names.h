// What Istio's validation asks of names, ports and addresses, with its messages
// (istio/istio:pkg/config/validation/agent). Each returns what is wrong, or nothing.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
Problem subnet_problem(std::string_view address);  // IP or CIDR
Problem export_to_problem(const std::vector<std::string>& entries, std::string_view what);

// A ServiceEntry port's protocol; empty means detection.
enum class ProtocolClass : uint8_t { detect, http, tls, tcp, udp, unknown };
ProtocolClass protocol_class(std::string_view protocol);
std::string upper_case(std::string_view text);
std::string lower_case(std::string_view text);

}  // namespace sallyport::istio
