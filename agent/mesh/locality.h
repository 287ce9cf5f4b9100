// Localities: "region/zone/subzone". Which endpoints of a service are near this proxy, and what the
// localityLbSetting of its rule (else of the mesh) makes of that: priorities for failover, weights
// for distribution (istio/istio:pilot/pkg/networking/core/loadbalancer/loadbalancer.go). Pure.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "agent/istio/resources.h"
#include "agent/mesh/cluster.h"

namespace sallyport::mesh {

struct Locality {
  std::string_view region, zone, subzone;
  // `text` must outlive it.
  static Locality parse(std::string_view text);
  bool operator==(const Locality&) const = default;
};

// Of a workload or a proxy by its labels: topology.istio.io/locality, istio-locality; a label has
// '.' where it can't have '/'. Empty: unknown.
std::string locality_of(const istio::Labels& labels);

// Whether a rule's "region/zone/*" stands for it.
bool matches(const Locality& locality, std::string_view pattern);

// Sorts the endpoints of one cluster into groups. Add each endpoint, then finish().
class LocalityPlan {
public:
  // `of_rule` replaces the mesh's setting whole; null: it has none. Failover needs outlier
  // detection. All must outlive this.
  LocalityPlan(const istio::LocalityLb* of_rule, const istio::MeshConfig& mesh,
               const istio::Proxy& proxy, bool outlier_detection);

  // Sets the endpoint's locality and group.
  void place(const istio::WorkloadEntry& workload, Endpoint& endpoint);
  // Gives `out` its groups, where there is a difference between them; drops the endpoints that a
  // distribution leaves out.
  void finish(Cluster& out);

private:
  using GroupKey = std::pair<uint32_t, std::string>;  // failoverPriority's level, locality
  uint32_t level_of(const istio::WorkloadEntry& workload, const std::string& locality) const;
  void distribute(const istio::LocalityDistribute& shares, Cluster& out);
  void fail_over(Cluster& out);
  bool failing_over() const;

  const istio::LocalityLb* setting_ = nullptr;  // null: nothing to do
  std::string here_;
  istio::Labels labels_;  // the proxy's, with those of its locality
  bool outlier_detection_;
  std::map<GroupKey, uint16_t> groups_;
};

}  // namespace sallyport::mesh
