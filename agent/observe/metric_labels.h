// The labels of Istio's standard metrics: their names, order and values are those of Istio's stats
// filter (github.com/istio/proxy, istio_stats). There is no metadata exchange here: a peer is known
// by its certificate, and of a destination by what its Pod or WorkloadEntry says. Pure; asked for a
// new combination only.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "agent/mesh/cluster.h"
#include "agent/observe/access_record.h"
#include "agent/observe/metric_plan.h"

namespace sallyport::observe {

// First URI SANs of both certificates of a TLS connection; empty: there is none.
struct Principals {
  std::string peer, own;
  bool operator==(const Principals&) const = default;
};

// Who reports.
struct Reporter {
  mesh::WorkloadFacts workload;
  std::string cluster_id, cluster_domain;  // "Kubernetes", "cluster.local"
  bool gateway = false;
};

// What a record does not say of where it went.
struct Destination {
  const mesh::ClusterPtr& cluster;         // null: answered without one, or it is not there
  const Principals* principals = nullptr;  // of the client's connection at the destination, of the
                                           // upstream's at the source; null: not TLS
};

struct MetricLabel {
  std::string_view name;  // of a constant, or of the plan
  std::string value;
};
using MetricLabels = std::vector<MetricLabel>;

MetricLabels labels_of(const Reporter& reporter, const AccessRecord& record,
                       const Destination& destination);
// What stands for all records of one reporter and protocol that found no room for their own.
void overflow(MetricLabels& labels);
// As Prometheus' text has them, with what `tags` change; `values` are those of their expressions.
std::string text_of(const MetricLabels& labels, const std::vector<MetricPlan::Tag>& tags,
                    const std::vector<std::string>& values);

// Whether labels_of() looks at what the client called the host: of what no service declares.
bool names_host(const Reporter& reporter, const AccessRecord& record,
                const Destination& destination);

}  // namespace sallyport::observe
