// What every resource has.
#pragma once
#include <boost/container/flat_map.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "agent/core/resource_ref.h"

namespace sallyport::istio {

// Flat: ten thousand resources hold several each, mostly empty.
using Labels = boost::container::flat_map<std::string, std::string, std::less<>>;

struct Metadata {
  ResourceRefPtr ref;  // kind, names, file:line; never null after decoding
  Labels labels;
  Labels annotations;
  int64_t created = 0;  // creationTimestamp, in seconds since 1970; 0: the document has none

  const std::string& name() const { return ref->name; }
  // "default" when the document gives none.
  const std::string& namespace_name() const { return ref->namespace_name; }
};

// Which of two that ask for the same comes first, as istiod has it: the older, then by name and
// namespace. A resource without a time comes after those with one; two of them are told apart by
// where they stand.
inline bool is_older(const Metadata& a, const Metadata& b) {
  if (a.created != b.created) return a.created && (!b.created || a.created < b.created);
  if (!a.created) return false;
  return a.name() != b.name() ? a.name() < b.name() : a.namespace_name() < b.namespace_name();
}

}  // namespace sallyport::istio
