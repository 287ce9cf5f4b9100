// Telemetry as YAML, with the validation of istio/istio:pkg/config/validation (ValidateTelemetry)
// and of the CRD. Whether a filter is CEL is told by who evaluates it (agent/observe/log_filter.h).
#include "agent/istio/kinds.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

using Providers = std::vector<std::string>;

constexpr Choice workload_modes[] = {{"CLIENT_AND_SERVER", 0}, {"CLIENT", 1}, {"SERVER", 2}};
constexpr Choice metric_names[] = {{"ALL_METRICS", 0},
                                   {"REQUEST_COUNT", 1},
                                   {"REQUEST_DURATION", 2},
                                   {"REQUEST_SIZE", 3},
                                   {"RESPONSE_SIZE", 4},
                                   {"TCP_OPENED_CONNECTIONS", 5},
                                   {"TCP_CLOSED_CONNECTIONS", 6},
                                   {"TCP_SENT_BYTES", 7},
                                   {"TCP_RECEIVED_BYTES", 8},
                                   {"GRPC_REQUEST_MESSAGES", 9},
                                   {"GRPC_RESPONSE_MESSAGES", 10}};
constexpr Choice tag_operations[] = {{"UPSERT", 0}, {"REMOVE", 1}};

Providers decode_provider_names(Fields& entry) {
  Providers out;
  entry.each("providers", [&](Fields& provider) {
    out.push_back(provider.text("name"));
    if (out.back().empty()) provider.error("name", "providers.name may not be empty");
  });
  return out;
}

WorkloadMode decode_workload_mode(Fields& match) {
  return static_cast<WorkloadMode>(match.choice("mode", workload_modes).value_or(0));
}

// Calls with each value's fields and its key.
void each_of_map(Fields& fields, std::string_view name,
                 const std::function<void(const std::string&, Fields&)>& read) {
  const Node* const node = fields.find(name);
  fields.object(name, [&](Fields& map) {
    for (const Node::Entry& entry : node->entries) {
      const bool given = map.object(entry.key, [&](Fields& value) { read(entry.key, value); });
      if (!given && entry.value->kind == Node::Kind::null) map.error(entry.key, "may not be null");
    }
  });
}

AccessLogging decode_access_logging(Fields& entry) {
  AccessLogging out;
  out.line = entry.line();
  entry.object("match", [&](Fields& match) { out.mode = decode_workload_mode(match); });
  out.providers = decode_provider_names(entry);
  out.disabled = entry.boolean("disabled");
  entry.object("filter", [&](Fields& filter) {
    out.filter = filter.text("expression");
    out.filter_line = filter.line_of("expression");
    if (out.filter.empty()) filter.error("expression", "must be a valid CEL expression");
  });
  return out;
}

TagOverride decode_tag_override(const std::string& name, Fields& tag) {
  TagOverride out;
  out.name = name;
  out.remove = tag.choice("operation", tag_operations).value_or(0) == 1;
  out.expression = tag.text("value");
  if (name.empty()) tag.warn("", "tagOverrides.name may not be empty");
  if (out.remove && !out.expression.empty())
    tag.error("value", "tagOverrides.value may only be set when operation is UPSERT");
  if (!out.remove && out.expression.empty())
    tag.error("value", "tagOverrides.value must be set when operation is UPSERT");
  return out;
}

void decode_metric_match(MetricsOverride& override, Fields& match) {
  override.metric = static_cast<IstioMetric>(match.choice("metric", metric_names).value_or(0));
  override.mode = decode_workload_mode(match);
  override.custom_metric = match.text("customMetric");
  if (!match.has("customMetric")) return;
  if (override.custom_metric.empty()) match.error("customMetric", "customMetric may not be empty");
  if (match.has("metric"))
    match.error("customMetric", "only one of metric, customMetric can be set");
}

MetricsOverride decode_metrics_override(Fields& fields) {
  MetricsOverride out;
  fields.object("match", [&](Fields& match) { decode_metric_match(out, match); });
  out.disabled = fields.boolean("disabled");
  each_of_map(fields, "tagOverrides", [&](const std::string& name, Fields& tag) {
    out.tags.push_back(decode_tag_override(name, tag));
  });
  return out;
}

Metrics decode_metrics(Fields& entry) {
  Metrics out;
  out.line = entry.line();
  out.providers = decode_provider_names(entry);
  entry.each("overrides",
             [&](Fields& override) { out.overrides.push_back(decode_metrics_override(override)); });
  out.reporting_interval = entry.duration("reportingInterval");
  return out;
}

TracingTag decode_tracing_tag(const std::string& name, Fields& tag) {
  struct Source {
    std::string_view field, value, missing;
    TracingTag::From from;
  };
  static constexpr Source sources[] = {
      {"literal", "value", "literal tag value may not be empty", TracingTag::From::literal},
      {"environment", "name", "environment tag name may not be empty",
       TracingTag::From::environment},
      {"header", "name", "header tag name may not be empty", TracingTag::From::header},
      {"formatter", "value", "formatter tag value may not be empty", TracingTag::From::formatter}};
  TracingTag out;
  out.name = name;
  if (name.empty()) tag.error("", "tag name may not be empty");
  int given = 0;
  for (const Source& source : sources) {
    given += tag.object(source.field, [&](Fields& fields) {
      out.from = source.from;
      out.value = fields.text(source.value);
      if (source.value == "name") out.default_value = fields.text("defaultValue");
      if (out.value.empty()) fields.error(source.value, std::string(source.missing));
    });
  }
  if (given > 1) tag.error("", "only one of literal, environment, header, formatter can be set");
  return out;
}

Tracing decode_tracing(Fields& entry) {
  Tracing out;
  out.line = entry.line();
  entry.object("match", [&](Fields& match) { out.mode = decode_workload_mode(match); });
  out.providers = decode_provider_names(entry);
  if (out.providers.size() > 1)
    entry.warn("providers", "multiple providers is not currently supported");
  out.sampling_percentage = entry.real("randomSamplingPercentage", 0, 100);
  out.disable_span_reporting = entry.boolean("disableSpanReporting");
  out.request_id_sampling = entry.boolean("useRequestIdForTraceSampling");
  out.istio_tags = entry.boolean("enableIstioTags");
  out.disable_context_propagation = entry.boolean("disableContextPropagation");
  each_of_map(entry, "customTags", [&](const std::string& name, Fields& tag) {
    out.custom_tags.push_back(decode_tracing_tag(name, tag));
  });
  return out;
}

void decode_telemetry_targets(Telemetry& telemetry, Fields& spec) {
  constexpr std::size_t targets_max = 16;  // the CRD's
  spec.object("selector", [&](Fields& selector) {
    telemetry.selector = decode_selector(selector, "matchLabels");
  });
  int given = telemetry.selector ? 1 : 0;
  const auto add = [&](Fields& target) {
    telemetry.target_refs.push_back(decode_target_reference(target));
  };
  given += spec.object("targetRef", add);
  const auto before = telemetry.target_refs.size();
  spec.each("targetRefs", add);
  const auto listed = telemetry.target_refs.size() - before;
  if (listed > 0) ++given;
  if (listed > targets_max) spec.error("targetRefs", "must have at most 16 items");
  if (given > 1) spec.error("selector", "only one of targetRefs or workloadSelector can be set");
}

void decode_spec(Telemetry& telemetry, Fields& spec) {
  decode_telemetry_targets(telemetry, spec);
  spec.each("accessLogging", [&](Fields& entry) {
    telemetry.access_logging.push_back(decode_access_logging(entry));
  });
  spec.each("metrics", [&](Fields& entry) { telemetry.metrics.push_back(decode_metrics(entry)); });
  spec.each("tracing", [&](Fields& entry) { telemetry.tracing.push_back(decode_tracing(entry)); });
  if (telemetry.tracing.size() > 1)
    spec.warn("tracing", "multiple tracing is not currently supported");
  if (!telemetry.tracing.empty()) spec.warn("tracing", "not supported yet, has no effect");
}

}  // namespace

Telemetry decode_telemetry(Metadata metadata, Fields& document) {
  Telemetry telemetry;
  telemetry.metadata = std::move(metadata);
  document.object("spec", [&](Fields& spec) { decode_spec(telemetry, spec); });
  document.ignore({"status"});
  return telemetry;
}

}  // namespace sallyport::istio
