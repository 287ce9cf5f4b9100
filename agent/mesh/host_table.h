// Tables of hosts: exact, then the longest matching wildcard. Immutable once built.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace sallyport::mesh {

// Hash maps by string that can be asked with a string_view.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>()(text);
  }
};
template <class V>
using ByText = std::unordered_map<std::string, V, TextHash, std::equal_to<>>;

// Hosts of one route table: exact, then the longest matching wildcard.
template <class T>
struct HostTable {
  ByText<T> exact;       // lower case, without port and brackets
  ByText<T> suffix;      // ".example.org" for `*.example.org`; "" for `*`
  bool partial = false;  // has a suffix like "-eu.example.org", which begins inside a label
  bool empty() const { return exact.empty() && suffix.empty(); }
  // nullptr when nothing matches. `host` is lower case.
  const T* find(std::string_view host) const;
  bool operator==(const HostTable&) const = default;
};

template <class T>
const T* HostTable<T>::find(std::string_view host) const {
  if (const auto at = exact.find(host); at != exact.end()) return &at->second;
  if (suffix.empty() || host.empty()) return nullptr;
  // From the second byte: `*` stands for at least one.
  for (std::size_t i = 1; i <= host.size(); i++) {
    if (i < host.size() && host[i] != '.' && !partial) continue;
    if (const auto at = suffix.find(host.substr(i)); at != suffix.end()) return &at->second;
  }
  return nullptr;
}

}  // namespace sallyport::mesh
