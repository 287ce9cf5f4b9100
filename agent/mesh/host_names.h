// Host names as Istio compares them (istio-api.md 2.1): short names, wildcards, what a Host header
// names. Pure.
#pragma once
#include <array>
#include <string>
#include <string_view>

#include "agent/mesh/snapshot.h"

namespace sallyport::mesh {

std::string lower(std::string_view text);  // ASCII

// A name without a dot becomes `<name>.<namespace>.svc.<domain>`; `*` and names with a dot stay.
// Lower case.
std::string expand_short_name(std::string_view host, std::string_view namespace_name,
                              std::string_view domain);

inline bool is_wildcard(std::string_view host) { return host.starts_with('*'); }

// Room for a Host header's name: longer ones are no host name (RFC 1035: 253) and match nothing.
using HostRoom = std::array<char, 256>;

// The key under which a HostTable knows `authority`: without port, brackets and trailing dot, lower
// case. Views `authority` or `room`. Empty when there is none.
std::string_view host_key(std::string_view authority, HostRoom& room);

// Adds a host (`*...` goes to the suffixes). False, and nothing changed, when it is taken.
template <class T>
bool add_host(HostTable<T>& table, std::string_view host, T value) {
  if (!is_wildcard(host))
    return table.exact.try_emplace(std::string(host), std::move(value)).second;
  const auto suffix = host.substr(1);
  if (!suffix.empty() && suffix.front() != '.') table.partial = true;
  return table.suffix.try_emplace(std::string(suffix), std::move(value)).second;
}

}  // namespace sallyport::mesh
