#include "agent/istio/names.h"

#include <set>

#include "agent/core/address.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_wildcard_label(std::string_view label) {
  if (!label.starts_with('*')) return is_dns_label(label);
  label.remove_prefix(1);
  if (label.size() > 63) return false;
  for (const char c : label) {
    if (!is_alphanumeric(c) && c != '-') return false;
  }
  return label.empty() || is_alphanumeric(label.back());
}

Problem bad_label(std::string_view domain, std::string_view label) {
  return "domain name " + quoted(domain) + " invalid (label " + quoted(label) + " invalid)";
}

Problem labels_problem(std::string_view domain, std::string_view labels) {
  std::string_view last;
  for (std::size_t at = 0; at <= labels.size();) {
    const std::size_t dot = std::min(labels.find('.', at), labels.size());
    const std::string_view label = labels.substr(at, dot - at);
    const bool root = label.empty() && dot == labels.size() && at > 0;
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
  if (!domain.starts_with('*')) return labels_problem(domain, domain);
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

Problem subnet_problem(std::string_view address) {
  if (address.find('/') != std::string_view::npos) {
    if (Cidr::parse(address)) return std::nullopt;
    return quoted(address) + " is not a valid CIDR block";
  }
  if (IpAddress::parse(address)) return std::nullopt;
  return quoted(address) + " is not a valid IP address";
}

Problem export_to_problem(const std::vector<std::string>& entries, std::string_view what) {
  std::set<std::string_view> seen;
  for (const std::string& entry : entries) {
    if (entry != "." && entry != "*" && entry != "~" && !is_dns_label(entry)) {
      return "only .,*,~, or a valid DNS 1123 label is allowed as exportTo entry, not " +
             quoted(entry);
    }
    if (!seen.insert(entry).second) return "duplicate entries in exportTo: " + quoted(entry);
  }
  if (entries.size() > 1 && seen.contains("~")) {
    return "cannot export " + std::string(what) + " to no one (~) and someone";
  }
  if (entries.size() > 1 && seen.contains("*")) {
    return "cannot export " + std::string(what) + " to everyone (*) and someone else";
  }
  return std::nullopt;
}

std::string upper_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
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
