#include "agent/cli/mesh_config.h"

#include <algorithm>
#include <set>

#include "agent/observe/log_filter.h"
#include "agent/observe/metric_plan.h"

namespace sallyport::cli {
namespace {

observe::LogSettings settings_of(const mesh::AccessLogger& logger) {
  return {.path = logger.path,
          .format = logger.format,
          .json = logger.json,
          .omit_empty = logger.omit_empty_values,
          .filter = logger.filter,
          .client = logger.client,
          .server = logger.server};
}

Result<observe::LogFormat> format_of(const observe::LogSettings& settings) {
  return settings.json ? observe::LogFormat::parse_json(settings.format, settings.omit_empty)
                       : observe::LogFormat::parse(settings.format, settings.omit_empty);
}

// Of an operator that is always absent.
std::string never_known(const std::string& name, const observe::LogSettings& settings) {
  const std::string absent = settings.omit_empty ? "left out"
                             : settings.json     ? "logged as null or \"-\""
                                                 : "logged as \"-\"";
  return name + " has no value in this proxy: it is " + absent;
}

// What is wrong with a format, `about` filled in.
void check_format(const observe::LogSettings& settings, istio::Finding about,
                  std::vector<istio::Finding>& out) {
  const auto format = format_of(settings);
  if (!format) {
    about.severity = istio::Severity::error;
    about.reason = format.error().context;
    out.push_back(std::move(about));
    return;
  }
  about.severity = istio::Severity::warning;
  for (const auto& name : format->never_known()) {
    about.reason = never_known(name, settings);
    out.push_back(about);
  }
}

istio::Finding about_mesh(const std::string& file, int line, std::string field) {
  istio::Finding out;
  out.file = file;
  out.line = line;
  out.kind = "MeshConfig";
  out.field = std::move(field);
  return out;
}

// Empty: it can be read.
std::string filter_problem(const std::string& expression) {
  if (expression.empty()) return {};
  const auto filter = observe::LogFilter::parse(expression);
  if (filter) return {};
  return filter.error().context + "; without a filter that can be read everything is logged";
}

}  // namespace

std::vector<observe::LogSettings> log_settings(const mesh::AccessLogging& logging) {
  std::vector<observe::LogSettings> out;
  for (const auto& logger : logging.loggers) out.push_back(settings_of(logger));
  return out;
}

std::vector<istio::Finding> log_format_findings(const istio::MeshConfig& mesh,
                                                const std::string& file) {
  std::vector<istio::Finding> out;
  check_format({.format = mesh.access_log_format,
                .json = mesh.access_log_encoding == istio::LogEncoding::json},
               about_mesh(file, mesh.access_log_format_line, "accessLogFormat"), out);
  for (std::size_t i = 0; i < mesh.extension_providers.size(); i++) {
    const auto& provider = mesh.extension_providers[i];
    if (!provider.has_format) continue;
    const auto field = "extensionProviders[" + std::to_string(i) + "].envoyFileAccessLog.logFormat";
    check_format({.format = provider.format,
                  .json = provider.json,
                  .omit_empty = provider.omit_empty_values},
                 about_mesh(file, provider.format_line, field), out);
  }
  return out;
}

std::vector<istio::Finding> log_filter_findings(const istio::Telemetry& telemetry) {
  std::vector<istio::Finding> out;
  const auto& ref = *telemetry.metadata.ref;
  for (std::size_t i = 0; i < telemetry.access_logging.size(); i++) {
    const auto& entry = telemetry.access_logging[i];
    auto problem = filter_problem(entry.filter);
    if (problem.empty()) continue;
    istio::Finding found;
    found.file = ref.file;
    found.line = entry.filter_line;
    found.kind = ref.kind;
    found.namespace_name = ref.namespace_name;
    found.name = ref.name;
    found.field = "spec.accessLogging[" + std::to_string(i) + "].filter.expression";
    found.reason = std::move(problem);
    out.push_back(std::move(found));
  }
  return out;
}

std::vector<istio::Finding> metric_tag_findings(const istio::Telemetry& telemetry) {
  std::vector<istio::Finding> out;
  const auto& ref = *telemetry.metadata.ref;
  for (std::size_t i = 0; i < telemetry.metrics.size(); i++) {
    const auto& overrides = telemetry.metrics[i].overrides;
    for (std::size_t j = 0; j < overrides.size(); j++) {
      for (const auto& tag : overrides[j].tags) {
        auto problem = tag.remove ? std::string() : observe::tag_problem(tag.expression);
        if (problem.empty()) continue;
        istio::Finding found;
        found.file = ref.file;
        found.line = telemetry.metrics[i].line;
        found.kind = ref.kind;
        found.namespace_name = ref.namespace_name;
        found.name = ref.name;
        found.field = "spec.metrics[" + std::to_string(i) + "].overrides[" + std::to_string(j) +
                      "].tagOverrides." + tag.name + ".value";
        found.reason = std::move(problem) + "; the label stays as it is";
        out.push_back(std::move(found));
      }
    }
  }
  return out;
}

std::vector<std::string> log_warnings(const mesh::AccessLogging& logging) {
  std::vector<std::string> out;
  for (const auto& logger : logging.loggers) {
    const std::string name =
        logger.provider.empty() ? "accessLogFormat" : "access log provider " + logger.provider;
    const auto settings = settings_of(logger);
    const auto format = format_of(settings);
    if (!format) continue;  // the mesh config with it was refused
    for (const auto& absent : format->never_known())
      out.push_back(name + ": " + never_known(absent, settings));
    const auto problem = filter_problem(logger.filter);
    if (problem.empty()) continue;
    out.push_back(logger.filter_from->text() + ": " + logger.filter_field + ": " + problem);
  }
  return out;
}

std::vector<std::string> metric_warnings(const mesh::StandardMetricsConfig& metrics) {
  std::set<std::string> out;  // one tag may be of every metric
  for (const auto* side : {&metrics.client, &metrics.server}) {
    for (const auto& metric : side->metrics) {
      for (const auto& tag : metric.tags) {
        const auto problem = tag.remove ? std::string() : observe::tag_problem(tag.expression);
        if (!problem.empty())
          out.insert(tag.from + ".value: " + problem + "; the label stays as it is");
      }
    }
  }
  return {out.begin(), out.end()};
}

istio::MeshConfigResult check_mesh_config(std::string_view text, const std::string& file) {
  auto result = istio::decode_mesh_config(text, file);
  if (first_error(result.findings)) return result;  // it may be of the format, too
  for (auto& finding : log_format_findings(result.config, file)) {
    result.findings.push_back(std::move(finding));
  }
  return result;
}

const istio::Finding* first_error(const std::vector<istio::Finding>& findings) {
  const auto at = std::find_if(findings.begin(), findings.end(), [](const auto& finding) {
    return finding.severity == istio::Severity::error;
  });
  return at == findings.end() ? nullptr : &*at;
}

}  // namespace sallyport::cli
