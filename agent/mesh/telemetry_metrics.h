// What Telemetry says of Istio's standard metrics for this proxy: mesh, namespace and workload,
// merged as istiod does (istio-api.md 1.10; istio/istio:pilot/pkg/model/telemetry.go,
// mergeMetrics). Pure; runs on the configuration thread.
#pragma once
#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "agent/istio/decode.h"

namespace sallyport::mesh {

struct CompileInput;

inline constexpr std::size_t istio_metrics = 11;  // of istio::IstioMetric, whose `all` is unused

// A label of one metric: taken away, or set to what `expression` (CEL, not looked at here) says.
struct MetricTag {
  std::string name;
  bool remove = false;
  std::string expression;
  std::string from = {};  // the field with resource, file and line, for messages
  // Whoever moves it to another line has changed nothing.
  bool operator==(const MetricTag& other) const {
    return name == other.name && remove == other.remove && expression == other.expression;
  }
};
struct MetricSettings {
  bool disabled = false;
  std::vector<MetricTag> tags;  // by name
  bool operator==(const MetricSettings&) const = default;
};
// Of one side: the connections that the proxy makes, or those that enter the pod.
struct MetricsOfSide {
  bool enabled = false;
  std::array<MetricSettings, istio_metrics> metrics;  // by istio::IstioMetric
  bool operator==(const MetricsOfSide&) const = default;
};
struct StandardMetricsConfig {
  MetricsOfSide client, server;
  std::chrono::milliseconds reporting_interval{5'000};  // of open TCP connections; 0: at their end
  bool operator==(const StandardMetricsConfig&) const = default;
};

// Never null. Without defaultProviders.metrics the provider is prometheus, as Istio's Helm chart
// has it. `findings` gets what has no effect: providers that are not known or not Prometheus,
// custom metrics, and metrics of gRPC messages.
std::shared_ptr<const StandardMetricsConfig> standard_metrics(
    const CompileInput& input, std::vector<istio::Finding>& findings);

}  // namespace sallyport::mesh
