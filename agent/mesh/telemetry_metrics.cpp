#include "agent/mesh/telemetry_metrics.h"

#include <algorithm>

#include "agent/mesh/compile.h"
#include "agent/mesh/known_services.h"
#include "agent/mesh/telemetry_scope.h"

namespace sallyport::mesh {
namespace {

using istio::IstioMetric;
using istio::Telemetry;
using istio::WorkloadMode;
using MetricProviders = std::vector<std::string>;

constexpr std::string_view prometheus_kind = "prometheus";

std::string metrics_field(const Telemetry& telemetry, const istio::Metrics& entry) {
  return "spec.metrics[" + std::to_string(&entry - telemetry.metrics.data()) + "]";
}

bool is_of_grpc_messages(IstioMetric metric) {
  return metric == IstioMetric::grpc_request_messages ||
         metric == IstioMetric::grpc_response_messages;
}

// "Telemetry default/t (rules.yaml:21): spec.metrics[0].overrides[0]"
std::string override_text(const Telemetry& telemetry, const istio::Metrics& entry,
                          std::size_t index) {
  return text_at(telemetry.metadata.ref, entry.line) + ": " + metrics_field(telemetry, entry) +
         ".overrides[" + std::to_string(index) + "]";
}

class MetricsCompiler {
public:
  MetricsCompiler(const CompileInput& input, std::vector<istio::Finding>& findings)
      : input_(input), findings_(findings) {
    const auto& given = input.mesh.default_providers.metrics;
    defaults_ = given.empty() ? MetricProviders{std::string(prometheus_kind)} : given;
  }
  std::shared_ptr<const StandardMetricsConfig> run();

private:
  bool is_prometheus(const std::string& name) const;
  bool names_prometheus(const MetricProviders& names) const;
  void check(const Telemetry& telemetry, const istio::Metrics& entry);
  void check_override(const Telemetry& telemetry, const istio::Metrics& entry, std::size_t index);
  // `from`: of the override, as MetricTag has it.
  void apply(const istio::MetricsOverride& override, const std::string& from);
  void apply(const istio::MetricsOverride& override, const std::string& from, MetricsOfSide& side);
  void warn(const Telemetry& telemetry, const istio::Metrics& entry, const std::string& field,
            std::string reason);

  const CompileInput& input_;
  std::vector<istio::Finding>& findings_;
  MetricProviders defaults_;
  StandardMetricsConfig out_;
};

void MetricsCompiler::warn(const Telemetry& telemetry, const istio::Metrics& entry,
                           const std::string& field, std::string reason) {
  findings_.push_back(finding(istio::Severity::warning, telemetry.metadata,
                              metrics_field(telemetry, entry) + field, std::move(reason),
                              entry.line));
}

bool MetricsCompiler::is_prometheus(const std::string& name) const {
  const auto* provider = istio::find_provider(input_.mesh.extension_providers, name);
  return provider && provider->kind == prometheus_kind;
}

bool MetricsCompiler::names_prometheus(const MetricProviders& names) const {
  return std::any_of(names.begin(), names.end(),
                     [this](const std::string& name) { return is_prometheus(name); });
}

void MetricsCompiler::check_override(const Telemetry& telemetry, const istio::Metrics& entry,
                                     std::size_t index) {
  const auto& override = entry.overrides[index];
  const auto field = ".overrides[" + std::to_string(index) + "].match";
  if (!override.custom_metric.empty()) {
    warn(telemetry, entry, field + ".customMetric",
         "has no effect: there are Istio's standard metrics only");
  } else if (is_of_grpc_messages(override.metric)) {
    warn(telemetry, entry, field + ".metric",
         "has no effect: gRPC is carried as bytes, so that its messages are not counted");
  }
}

void MetricsCompiler::check(const Telemetry& telemetry, const istio::Metrics& entry) {
  for (std::size_t i = 0; i < entry.providers.size(); i++) {
    if (is_prometheus(entry.providers[i])) continue;
    const auto* provider =
        istio::find_provider(input_.mesh.extension_providers, entry.providers[i]);
    const std::string quoted = "\"" + entry.providers[i] + "\"";
    warn(telemetry, entry, ".providers[" + std::to_string(i) + "].name",
         provider ? "provider " + quoted + " is of kind " + provider->kind +
                        ", and metrics are for prometheus only: nothing is reported to it"
                  : "no provider " + quoted + " is among meshConfig.extensionProviders");
  }
  for (std::size_t i = 0; i < entry.overrides.size(); i++) check_override(telemetry, entry, i);
}

void MetricsCompiler::apply(const istio::MetricsOverride& override, const std::string& from,
                            MetricsOfSide& side) {
  const bool of_all = override.custom_metric.empty() && override.metric == IstioMetric::all;
  if (of_all && override.disabled.value_or(false)) {
    side.enabled = false;
    return;
  }
  // What a wider scope turned off is on again, whatever is said of it (as istiod has it).
  side.enabled = true;
  if (!override.custom_metric.empty()) return;
  for (std::size_t i = 1; i < istio_metrics; i++) {
    if (!of_all && i != static_cast<std::size_t>(override.metric)) continue;
    auto& metric = side.metrics[i];
    if (override.disabled) metric.disabled = *override.disabled;
    for (const auto& tag : override.tags) {
      MetricTag made{tag.name, tag.remove, tag.expression, from + ".tagOverrides." + tag.name};
      const auto at =
          std::lower_bound(metric.tags.begin(), metric.tags.end(), made,
                           [](const MetricTag& a, const MetricTag& b) { return a.name < b.name; });
      if (at != metric.tags.end() && at->name == made.name)
        *at = std::move(made);
      else
        metric.tags.insert(at, std::move(made));
    }
  }
}

void MetricsCompiler::apply(const istio::MetricsOverride& override, const std::string& from) {
  if (override.mode != WorkloadMode::server) apply(override, from, out_.client);
  if (override.mode != WorkloadMode::client) apply(override, from, out_.server);
}

std::shared_ptr<const StandardMetricsConfig> MetricsCompiler::run() {
  // Its scope's conflicts are told by access_logging().
  std::vector<istio::Finding> told;
  const auto telemetries = applicable_telemetries(input_, told);
  MetricProviders in_scope = defaults_;
  for (const auto* telemetry : telemetries) {
    for (const auto& entry : telemetry->metrics) {
      check(*telemetry, entry);
      if (!entry.providers.empty()) in_scope = entry.providers;
    }
  }
  if (!names_prometheus(in_scope)) return std::make_shared<const StandardMetricsConfig>(out_);
  out_.client.enabled = out_.server.enabled = true;
  MetricProviders parents = defaults_;
  for (const auto* telemetry : telemetries) {
    for (const auto& entry : telemetry->metrics) {
      if (!entry.providers.empty()) parents = entry.providers;
      if (!names_prometheus(parents)) continue;
      if (entry.reporting_interval) out_.reporting_interval = *entry.reporting_interval;
      for (std::size_t i = 0; i < entry.overrides.size(); i++)
        apply(entry.overrides[i], override_text(*telemetry, entry, i));
    }
  }
  return std::make_shared<const StandardMetricsConfig>(std::move(out_));
}

}  // namespace

std::shared_ptr<const StandardMetricsConfig> standard_metrics(
    const CompileInput& input, std::vector<istio::Finding>& findings) {
  return MetricsCompiler(input, findings).run();
}

}  // namespace sallyport::mesh
