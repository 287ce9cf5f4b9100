#include "agent/observe/metric_plan.h"

#include <algorithm>
#include <charconv>

#include "agent/core/limits.h"
#include "agent/observe/log_filter_plan.h"

namespace sallyport::observe {
namespace {

// By StandardMetric.
constexpr istio::IstioMetric istio_names[standard_metrics_count] = {
    istio::IstioMetric::request_count,          istio::IstioMetric::request_duration,
    istio::IstioMetric::request_size,           istio::IstioMetric::response_size,
    istio::IstioMetric::tcp_opened_connections, istio::IstioMetric::tcp_closed_connections,
    istio::IstioMetric::tcp_sent_bytes,         istio::IstioMetric::tcp_received_bytes};

Result<FilterPlan> parse_tag(std::string_view expression) {
  auto plan = parse_value(expression);
  if (!plan) return plan.error();
  const LogNeeds& needs = plan->needs;
  if (!needs.request_headers.empty() || !needs.response_headers.empty() ||
      !needs.trailers.empty() || needs.upstream_tls || needs.downstream_tls)
    return bad_filter(1, "asks for header fields or TLS facts, which labels of metrics can't have");
  return plan;
}

// Nothing: the expression can't be used.
std::optional<std::size_t> expression_of(MetricPlan& plan, const std::string& text) {
  const auto known = std::find(plan.texts.begin(), plan.texts.end(), text);
  if (known != plan.texts.end()) return static_cast<std::size_t>(known - plan.texts.begin());
  auto parsed = parse_tag(text);
  if (!parsed) return std::nullopt;
  plan.texts.push_back(text);
  plan.expressions.push_back(std::make_shared<const FilterPlan>(std::move(*parsed)));
  return plan.expressions.size() - 1;
}

template <class Number>
void append_number(std::string& out, Number number) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, number);
  out.append(text, end.ptr);
}

void write_tag_value(std::string& out, const FilterValue& value) {
  if (value.absent) {
    out = "unknown";
    return;
  }
  switch (value.type) {
    case FilterType::boolean:
      out = value.boolean ? "true" : "false";
      return;
    case FilterType::text:
      out = value.text.substr(0, limits::metric_label_bytes);
      return;
    case FilterType::real:
      return append_number(out, value.real);
    case FilterType::duration:
      append_number(out, static_cast<double>(value.integer) / 1e9);
      out += 's';
      return;
    default:
      return append_number(out, value.integer);
  }
}

}  // namespace

std::string tag_problem(std::string_view expression) {
  const auto plan = parse_tag(expression);
  return plan ? std::string() : plan.error().context;
}

MetricPlan compile_metrics(const mesh::MetricsOfSide& side) {
  MetricPlan out;
  out.enabled = side.enabled;
  for (std::size_t i = 0; i < standard_metrics_count; i++) {
    const auto& settings = side.metrics[static_cast<std::size_t>(istio_names[i])];
    out.disabled[i] = settings.disabled;
    for (const mesh::MetricTag& tag : settings.tags) {
      const auto value = tag.remove ? 0 : expression_of(out, tag.expression);
      if (value) out.tags[i].push_back({tag.name, tag.remove, *value});
    }
  }
  return out;
}

void evaluate_tags(const MetricPlan& plan, const AccessRecord& record,
                   std::vector<std::string>& values) {
  values.resize(plan.expressions.size());
  for (std::size_t i = 0; i < values.size(); i++) {
    FilterScratch scratch;
    values[i].clear();
    write_tag_value(values[i], value_of(*plan.expressions[i], record, scratch));
  }
}

}  // namespace sallyport::observe
