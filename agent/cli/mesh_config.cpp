#include "agent/cli/mesh_config.h"

#include <algorithm>

namespace sallyport::cli {

observe::LogSettings log_settings(const istio::MeshConfig& mesh) {
  return {.path = mesh.access_log_file,
          .format = mesh.access_log_format,
          .json = mesh.access_log_encoding == istio::LogEncoding::json};
}

std::vector<istio::Finding> log_format_findings(const istio::MeshConfig& mesh,
                                                const std::string& file) {
  std::vector<istio::Finding> out;
  const auto add = [&](istio::Severity severity, std::string reason) {
    out.push_back({.severity = severity,
                   .file = file,
                   .line = mesh.access_log_format_line,
                   .kind = "MeshConfig",
                   .field = "accessLogFormat",
                   .reason = std::move(reason)});
  };
  const auto settings = log_settings(mesh);
  const auto format = settings.json ? observe::LogFormat::parse_json(settings.format)
                                    : observe::LogFormat::parse(settings.format);
  if (!format) {
    add(istio::Severity::error, format.error().context);
    return out;
  }
  for (const auto& name : format->never_known()) {
    add(istio::Severity::warning, name + " has no value in this proxy: it is logged as " +
                                      (settings.json ? "null or \"-\"" : "\"-\""));
  }
  return out;
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
