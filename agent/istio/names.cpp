#include "agent/istio/names.h"

#include <set>

#include "agent/core/address.h"
#include "agent/core/ascii.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_wildcard_label(std::string_view label) {
  if (!label.starts_with('*')) return is_dns_label(label);
  if (label.size() > 63) return false;
  label.remove_prefix(1);
  return label.empty() || is_dns_label(label.starts_with('-') ? label.substr(1) : label);
}

Problem bad_label(std::string_view domain, std::string_view label) {
  return "domain name " + quoted(domain) + " invalid (label " + quoted(label) + " invalid)";
}

Problem labels_problem(std::string_view domain, std::string_view labels) {
  std::string_view last;
  for (std::size_t at = 0; at <= labels.size();) {
    const std::size_t dot = std::min(labels.find('.', at), labels.size());
    const std::string_view label = labels.substr(at, dot - at);
    const bool root = label.empty() && dot == labels.size();  // "istio.io."
    if (!root && !is_dns_label(label)) return bad_label(domain, label);
    last = label;
    at = dot + 1;
  }
  if (!last.empty() && last.find_first_not_of("0123456789") == std::string_view::npos) {
    return "domain name " + quoted(domain) + " invalid (top level domain " + quoted(last) +
           " cannot be all-numeric)";
  }
  return std::nullopt;
}

// Kubernetes' qualified names: letters and digits at both ends, `-`, `_` and `.` between.
bool is_qualified(std::string_view name) {
  return !name.empty() && is_alphanumeric(name.front()) && is_alphanumeric(name.back()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

bool are_dns_labels(std::string_view name) {
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t dot = std::min(name.find('.', at), name.size());
    if (!is_dns_label(name.substr(at, dot - at))) return false;
    at = dot + 1;
  }
  return true;
}

Problem length_problem(std::string_view domain) {
  if (domain.empty()) return "empty domain name not allowed";
  if (domain.size() > 255) return "domain name " + quoted(domain) + " too long (max 255)";
  return std::nullopt;
}

}  // namespace

bool is_dns_label(std::string_view label) {
  if (label.empty() || label.size() > 63) return false;
  if (!is_alphanumeric(label.front()) || !is_alphanumeric(label.back())) return false;
  return std::all_of(label.begin(), label.end(),
                     [](char c) { return is_alphanumeric(c) || c == '-'; });
}

Problem fqdn_problem(std::string_view domain) {
  if (auto problem = length_problem(domain)) return problem;
  return labels_problem(domain, domain);
}

Problem wildcard_domain_problem(std::string_view domain) {
  if (auto problem = length_problem(domain)) return problem;
  const std::size_t dot = domain.find('.');
  const std::string_view first = domain.substr(0, dot);
  if (!is_wildcard_label(first)) return bad_label(domain, first);
  if (dot == std::string_view::npos) return std::nullopt;
  return labels_problem(domain, domain.substr(dot + 1));
}

bool is_partial_wildcard(std::string_view domain) {
  return domain.starts_with('*') && domain.size() > 1 && domain[1] != '.';
}

Problem resource_name_problem(std::string_view name) {
  const auto fits = [&] {
    if (name.empty() || name.size() > 253) return false;
    for (const char c : name) {
      if (!is_alphanumeric(c) && c != '-' && c != '.') return false;
      if (c >= 'A' && c <= 'Z') return false;
    }
    return is_alphanumeric(name.front()) && is_alphanumeric(name.back());
  };
  if (fits()) return std::nullopt;
  return "invalid value " + quoted(name) +
         ": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
         "'-' or '.', and must start and end with an alphanumeric character";
}

Problem port_problem(int64_t number) {
  if (number >= 1 && number <= 65535) return std::nullopt;
  return "port number " + std::to_string(number) + " must be in the range 1..65535";
}

Problem port_name_problem(std::string_view name) {
  if (is_dns_label(name)) return std::nullopt;
  return "invalid port name: " + (name.empty() ? "it is required" : quoted(name));
}

Problem label_problem(std::string_view key, std::string_view value) {
  const std::size_t slash = key.rfind('/');
  const bool prefixed = slash != std::string_view::npos;
  const std::string_view name = prefixed ? key.substr(slash + 1) : key;
  const bool good_prefix = !prefixed || (slash <= 253 && are_dns_labels(key.substr(0, slash)));
  if (!good_prefix || !is_qualified(name) || name.size() > 63) {
    return "invalid tag key: " + quoted(key);
  }
  if (!value.empty() && !is_qualified(value)) return "invalid tag value: " + quoted(value);
  return std::nullopt;
}

Problem subnet_problem(std::string_view address) {
  if (address.find('/') != std::string_view::npos) {
    if (Cidr::parse(address)) return std::nullopt;
    return quoted(address) + " is not a valid CIDR block";
  }
  if (IpAddress::parse(address)) return std::nullopt;
  return quoted(address) + " is not a valid IP address";
}

Problem export_to_problem(const std::vector<std::string>& entries, const Exported& of) {
  std::set<std::string_view> seen;
  for (const std::string& entry : entries) {
    const std::string_view key = entry == "." ? of.namespace_name : std::string_view(entry);
    if (entry == "~" && !of.is_service_entry) {
      return "exportTo ~ (none) is not allowed for Istio configuration objects";
    }
    if (entry != "." && entry != "*" && entry != "~" && !is_dns_label(key)) {
      return "only .,*, or a valid DNS 1123 label is allowed as exportTo entry, not " +
             quoted(entry);
    }
    if (seen.insert(key).second) continue;
    return key == of.namespace_name
               ? "duplicate entries in exportTo: . and current namespace " + std::string(key)
               : "duplicate entries in exportTo for entry " + quoted(entry);
  }
  if (of.has_selector && !entries.empty()) {
    if (!seen.contains(of.namespace_name)) {
      return "destination rule with workload selector cannot have exportTo beyond current "
             "namespace";
    }
    if (seen.size() > 1) {
      return "destination rule with workload selector cannot have multiple entries in exportTo";
    }
  }
  if (entries.size() > 1 && seen.contains("*")) {
    return "cannot have both public (*) and non-public exportTo values for a resource";
  }
  if (entries.size() > 1 && seen.contains("~")) {
    return "cannot export service entry to no one (~) and someone";
  }
  return std::nullopt;
}

bool is_generated_sni(std::string_view name) {
  if (!name.starts_with("outbound_")) return false;
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t next = std::min(name.find('_', at), name.size());
    parts.push_back(name.substr(at, next - at));
    at = next + 1;
  }
  if (parts.size() < 4) return false;
  const auto& port = parts[1];
  const auto& host = parts[3];
  return std::any_of(port.begin(), port.end(), ascii::is_digit) &&
         std::any_of(host.begin(), host.end(),
                     [&](char c) { return is_alphanumeric(c) && !ascii::is_digit(c); });
}

bool is_claim(std::string_view header) {
  constexpr std::string_view prefix = "@request.auth.claims";
  if (lower_case(header.substr(0, prefix.size())) != prefix) return false;
  header.remove_prefix(prefix.size());
  return header.size() > 1 &&
         (header.front() == '.' ||
          (header.size() > 2 && header.front() == '[' && header.back() == ']'));
}

bool gets_no_sidecars(std::string_view namespace_name) {
  return namespace_name == "kube-system" || namespace_name == "kube-public" ||
         namespace_name == "kube-node-lease" || namespace_name == "local-path-storage";
}

// IANA: https, ldaps, imaps, pop3s, smtps, amqps, and what Kubernetes and proxies use for https.
bool is_tls_number(uint16_t port) {
  constexpr uint16_t all[] = {443, 465, 636, 853, 989, 990, 993, 995, 5671, 6443, 8443, 9443};
  return std::find(std::begin(all), std::end(all), port) != std::end(all);
}

std::string upper_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

ProtocolClass protocol_class(std::string_view protocol) {
  const std::string name = upper_case(protocol);
  if (name.empty()) return ProtocolClass::detect;
  for (const std::string_view http : {"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY"}) {
    if (name == http) return ProtocolClass::http;
  }
  if (name == "HTTPS" || name == "TLS") return ProtocolClass::tls;
  for (const std::string_view tcp : {"TCP", "MONGO", "REDIS", "MYSQL"}) {
    if (name == tcp) return ProtocolClass::tcp;
  }
  return name == "UDP" ? ProtocolClass::udp : ProtocolClass::unknown;
}

}  // namespace sallyport::istio
