#include <algorithm>

#include "agent/mesh/compile.h"

namespace sallyport::mesh {
namespace {

using Pointers = std::unordered_set<const istio::Resource*>;

Pointers pointers(const Resources& all, std::size_t from, std::size_t to) {
  Pointers out;
  for (std::size_t i = from; i < to; i++) out.insert(all[i].get());
  return out;
}

bool is_workload(const istio::Resource& resource) {
  return std::holds_alternative<istio::Workload>(resource) ||
         std::holds_alternative<istio::Pod>(resource) ||
         std::holds_alternative<istio::EndpointSlice>(resource) ||
         std::holds_alternative<istio::PeerAuthentication>(resource);
}

}  // namespace

// Mostly one of ten thousand was edited: what both have at their ends is stepped over.
Changes changes_between(const Resources& before, const Resources& now) {
  const std::size_t shorter = std::min(before.size(), now.size());
  std::size_t head = 0, tail = 0;
  while (head < shorter && before[head] == now[head]) head++;
  while (tail < shorter - head && before[before.size() - 1 - tail] == now[now.size() - 1 - tail])
    tail++;
  const auto old = pointers(before, head, before.size() - tail);
  const auto fresh = pointers(now, head, now.size() - tail);
  Changes out;
  for (const auto* resource : old)
    out.workloads |= !fresh.contains(resource) && is_workload(*resource);
  for (const auto* resource : fresh) {
    if (old.contains(resource)) continue;
    out.refs.insert(istio::metadata_of(*resource).ref.get());
    out.workloads |= is_workload(*resource);
  }
  for (const auto* resource : old) {
    const bool kept = fresh.contains(resource);
    if (!kept && !out.refs.contains(istio::metadata_of(*resource).ref.get())) out.gone++;
  }
  return out;
}

}  // namespace sallyport::mesh
