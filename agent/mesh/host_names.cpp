#include "agent/mesh/host_names.h"

#include <algorithm>

#include "agent/core/ascii.h"
#include "agent/istio/names.h"

namespace sallyport::mesh {
namespace {

bool is_port(std::string_view text) {
  return std::all_of(text.begin(), text.end(), ascii::is_digit);
}

// "host:80" and "[2001:db8::1]:80" lose their port; a bare IPv6 address has none.
std::string_view without_port(std::string_view authority) {
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    return end == authority.npos ? authority : authority.substr(1, end - 1);
  }
  const auto colon = authority.find(':');
  if (colon == authority.npos || !is_port(authority.substr(colon + 1))) return authority;
  return authority.substr(0, colon);
}

}  // namespace

std::string lower(std::string_view text) { return ascii::lower_case(text); }

std::string expand_short_name(std::string_view host, std::string_view namespace_name,
                              std::string_view domain) {
  std::string out = lower(host);
  if (out.empty() || is_wildcard(out) || out.find_first_of(".:") != out.npos) return out;
  return out.append(".").append(namespace_name).append(".svc.").append(domain);
}

std::string_view host_key(std::string_view authority, HostRoom& room) {
  auto host = without_port(authority);
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.size() > room.size()) return {};
  if (std::none_of(host.begin(), host.end(), [](char c) { return c >= 'A' && c <= 'Z'; }))
    return host;
  std::transform(host.begin(), host.end(), room.begin(), ascii::lower);
  return {room.data(), host.size()};
}

}  // namespace sallyport::mesh
