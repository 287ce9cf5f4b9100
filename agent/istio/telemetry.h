// Telemetry: what is logged, measured and traced of which workloads (istio-api.md 1.10).
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/istio/metadata.h"

namespace sallyport::istio {

// What a policy's targetRefs name: a Gateway API Gateway, or what only waypoints serve.
struct TargetReference {
  std::string group, kind, name;
};

// In the order of the proto. A gateway's connections count as those of a client.
enum class WorkloadMode : uint8_t { client_and_server, client, server };

struct AccessLogging {
  std::vector<std::string> providers;  // empty: those of the entry before it
  std::optional<bool> disabled;
  WorkloadMode mode = WorkloadMode::client_and_server;
  std::string filter;  // a CEL expression; empty: all is logged
  int filter_line = 0;
  int line = 0;
};

// In the order of the proto.
enum class IstioMetric : uint8_t {
  all,
  request_count,
  request_duration,
  request_size,
  response_size,
  tcp_opened_connections,
  tcp_closed_connections,
  tcp_sent_bytes,
  tcp_received_bytes,
  grpc_request_messages,
  grpc_response_messages
};

struct TagOverride {
  std::string name;
  bool remove = false;     // else set or replaced by `expression`
  std::string expression;  // CEL
};

struct MetricsOverride {
  IstioMetric metric = IstioMetric::all;
  std::string custom_metric;  // not empty: that one, whatever `metric` says
  WorkloadMode mode = WorkloadMode::client_and_server;
  std::optional<bool> disabled;
  std::vector<TagOverride> tags;
};

struct Metrics {
  std::vector<std::string> providers;
  std::vector<MetricsOverride> overrides;
  std::optional<std::chrono::milliseconds> reporting_interval;
  int line = 0;
};

struct TracingTag {
  enum class From : uint8_t { literal, environment, header, formatter };
  std::string name;
  From from = From::literal;
  std::string value;  // the literal, the format, or the name of the variable or header
  std::string default_value;
};

struct Tracing {
  std::vector<std::string> providers;
  WorkloadMode mode = WorkloadMode::client_and_server;
  std::optional<double> sampling_percentage;  // 0..100
  std::optional<bool> disable_span_reporting, request_id_sampling, istio_tags,
      disable_context_propagation;
  std::vector<TracingTag> custom_tags;
  int line = 0;
};

struct Telemetry {
  Metadata metadata;
  std::optional<Labels> selector;            // matchLabels
  std::vector<TargetReference> target_refs;  // with one of them no selector
  std::vector<AccessLogging> access_logging;
  std::vector<Metrics> metrics;
  std::vector<Tracing> tracing;
};

// Whether it is of the whole namespace (of the mesh, in the root namespace).
inline bool is_for_all(const Telemetry& telemetry) {
  return telemetry.target_refs.empty() && (!telemetry.selector || telemetry.selector->empty());
}

}  // namespace sallyport::istio
