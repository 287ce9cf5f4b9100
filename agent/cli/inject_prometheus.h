// `inject`'s part in merging metrics: Prometheus is pointed at the status port, which gives out the
// proxy's metrics and the application's, and the sidecar is told where the latter are
// (istio/istio:pkg/kube/inject/webhook.go, applyPrometheusMerge). Pure.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/core/error.h"

namespace sallyport::cli {

struct PrometheusMerge {
  std::map<std::string, std::string> annotations;  // the pod's from now on; empty: nothing changes
  std::string app_metrics;  // ISTIO_PROMETHEUS_ANNOTATIONS; empty: the pod says nothing
};

// `enabled`: meshConfig.enablePrometheusMerge, over which prometheus.istio.io/merge-metrics of
// `annotations` goes. Nothing without a status port, where the pod says prometheus.io/scrape
// "false", or names the status port itself. Annotations count as Prometheus sees them: all but
// letters and digits is '_', so a variant of a name that is there takes our value under its own
// name. Error: a port that can't be scraped.
Result<PrometheusMerge> merge_prometheus(const std::map<std::string, std::string>& annotations,
                                         bool enabled, uint16_t status_port);

}  // namespace sallyport::cli
