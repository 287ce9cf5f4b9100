#include "agent/mesh/locality.h"

#include <algorithm>
#include <cmath>

namespace sallyport::mesh {
namespace {

constexpr std::string_view region_label = "topology.kubernetes.io/region",
                           zone_label = "topology.kubernetes.io/zone",
                           subzone_label = "topology.istio.io/subzone",
                           network_label = "topology.istio.io/network";

std::string_view take_part(std::string_view& text) {
  const auto end = std::min(text.find('/'), text.size());
  const auto part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

std::string_view value_of(const istio::Labels& labels, std::string_view name) {
  const auto at = labels.find(name);
  return at == labels.end() ? std::string_view() : std::string_view(at->second);
}

// Istio's labels of what is known otherwise, so that failoverPriority can name them.
void add_topology(istio::Labels& labels, const std::string& locality, const std::string& network) {
  const auto parts = Locality::parse(locality);
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) labels.try_emplace(std::string(name), value);
  };
  add(region_label, parts.region);
  add(zone_label, parts.zone);
  add(subzone_label, parts.subzone);
  add(network_label, network);
}

// LbPriority of istio/istio:pilot/pkg/networking/util: 0 same subzone, 1 same zone, 2 same region,
// 3 elsewhere.
uint32_t distance(const Locality& a, const Locality& b) {
  if (a.region != b.region) return 3;
  if (a.zone != b.zone) return 2;
  return a.subzone == b.subzone ? 0 : 1;
}
constexpr uint32_t elsewhere = 3, last = 4, distances = 5;

}  // namespace

Locality Locality::parse(std::string_view text) {
  Locality out;
  out.region = take_part(text);
  out.zone = take_part(text);
  out.subzone = text;
  return out;
}

std::string locality_of(const istio::Labels& labels) {
  std::string out;
  for (const std::string_view name : {"topology.istio.io/locality", "istio-locality"}) {
    if (out.empty()) out = value_of(labels, name);
  }
  if (out.find('/') == out.npos) std::replace(out.begin(), out.end(), '.', '/');
  return out;
}

bool matches(const Locality& locality, std::string_view pattern) {
  const auto wanted = Locality::parse(pattern);
  return (wanted.region == "*" || wanted.region == locality.region) &&
         (wanted.zone.empty() || wanted.zone == "*" || wanted.zone == locality.zone) &&
         (wanted.subzone.empty() || wanted.subzone == "*" || wanted.subzone == locality.subzone);
}

LocalityPlan::LocalityPlan(const istio::LocalityLb* of_rule, const istio::MeshConfig& mesh,
                           const istio::Proxy& proxy, bool outlier_detection)
    : here_(locality_of(proxy.labels)), outlier_detection_(outlier_detection) {
  static const istio::LocalityLb by_default;
  setting_ = of_rule ? of_rule : mesh.locality ? &*mesh.locality : &by_default;
  if (!setting_->enabled.value_or(true)) setting_ = nullptr;
  if (!setting_ || setting_->failover_priority.empty()) return;
  labels_ = proxy.labels;
  add_topology(labels_, here_, std::string(value_of(proxy.labels, network_label)));
}

bool LocalityPlan::failing_over() const {
  return setting_ && outlier_detection_ && setting_->distribute.empty();
}

// The first label in which proxy and endpoint differ: the earlier, the worse.
uint32_t LocalityPlan::level_of(const istio::WorkloadEntry& workload,
                                const std::string& locality) const {
  if (!failing_over() || setting_->failover_priority.empty()) return 0;
  istio::Labels labels = workload.labels;
  add_topology(labels, locality, workload.network);
  const auto& names = setting_->failover_priority;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string_view whole = names[i];
    const auto equals = whole.find('=');
    const auto name = whole.substr(0, equals);
    const auto wanted = equals == whole.npos ? value_of(labels_, name) : whole.substr(equals + 1);
    if (wanted != value_of(labels, name)) return static_cast<uint32_t>(names.size() - i);
  }
  return 0;
}

void LocalityPlan::place(const istio::WorkloadEntry& workload, Endpoint& endpoint) {
  endpoint.locality = workload.locality.empty() ? locality_of(workload.labels) : workload.locality;
  if (!setting_) return;
  const GroupKey key{level_of(workload, endpoint.locality), endpoint.locality};
  endpoint.group = groups_.try_emplace(key, static_cast<uint16_t>(groups_.size())).first->second;
}

void LocalityPlan::finish(Cluster& out) {
  if (!setting_ || groups_.empty()) return;
  for (const auto& shares : setting_->distribute) {
    if (!here_.empty() && matches(Locality::parse(here_), shares.from)) {
      return distribute(shares, out);
    }
  }
  if (failing_over()) fail_over(out);
}

// Each target's percentage is shared by the localities that it names, by their weights; the first
// target that names a locality has it, and what none names is left out.
void LocalityPlan::distribute(const istio::LocalityDistribute& shares, Cluster& out) {
  std::vector<LocalityGroup> groups(groups_.size());
  std::vector<uint64_t> weights(groups_.size());
  for (const auto& [key, index] : groups_) groups[index].locality = key.second;
  for (const auto& endpoint : out.endpoints) weights[endpoint.group] += endpoint.weight;
  for (const auto& [pattern, percent] : shares.to) {
    std::vector<std::size_t> members;
    uint64_t sum = 0;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      if (groups[i].weight != 0 || !matches(Locality::parse(groups[i].locality), pattern)) continue;
      members.push_back(i);
      sum += weights[i];
    }
    for (const auto i : members) {
      const double share = double(percent) * double(weights[i]) / double(sum);
      groups[i].weight = static_cast<uint32_t>(std::ceil(share));
    }
  }
  std::erase_if(out.endpoints, [&](const auto& one) { return groups[one.group].weight == 0; });
  if (!out.load) out.load.emplace();
  out.load->groups = std::move(groups);
}

void LocalityPlan::fail_over(Cluster& out) {
  const auto here = Locality::parse(here_);
  // Labels alone decide where no regions are named beside them.
  const bool by_locality =
      !here_.empty() && (setting_->failover_priority.empty() || !setting_->failover.empty());
  std::vector<LocalityGroup> groups(groups_.size());
  std::map<uint32_t, uint32_t> priorities;  // without gaps in the end
  for (const auto& [key, index] : groups_) {
    const auto there = Locality::parse(key.second);
    uint32_t far = by_locality ? distance(here, there) : 0;
    const auto named = std::find_if(setting_->failover.begin(), setting_->failover.end(),
                                    [&](const auto& one) { return one.from == here.region; });
    const bool to_another = named != setting_->failover.end() && named->to != there.region;
    if (far == elsewhere && to_another) far = last;
    groups[index] = {key.second, key.first * distances + far, 0};
    priorities.emplace(groups[index].priority, 0);
  }
  if (priorities.size() < 2) return;
  uint32_t next = 0;
  for (auto& [priority, dense] : priorities) dense = next++;
  for (auto& group : groups) group.priority = priorities[group.priority];
  if (!out.load) out.load.emplace();
  out.load->groups = std::move(groups);
}

}  // namespace sallyport::mesh
