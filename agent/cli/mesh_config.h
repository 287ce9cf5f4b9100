// A MeshConfig as a proxy judges it: its fields and its access log formats. And what a proxy logs.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "agent/istio/decode.h"
#include "agent/mesh/telemetry.h"
#include "agent/mesh/telemetry_metrics.h"
#include "agent/observe/access_log.h"

namespace sallyport::cli {

std::vector<observe::LogSettings> log_settings(const mesh::AccessLogging& logging);

// Of accessLogFormat and the formats of extensionProviders: the error that keeps a proxy from using
// it, or a warning for each operator that is always absent here. `file` is put into each.
std::vector<istio::Finding> log_format_findings(const istio::MeshConfig& mesh,
                                                const std::string& file);

// An error for each filter of its access logs that can't be read: then everything is logged.
std::vector<istio::Finding> log_filter_findings(const istio::Telemetry& telemetry);

// An error for each label of its metrics whose expression can't be used: the label stays as it is.
std::vector<istio::Finding> metric_tag_findings(const istio::Telemetry& telemetry);

// What the loggers of this proxy can't do, a line each: such filters and operators.
std::vector<std::string> log_warnings(const mesh::AccessLogging& logging);

// The same of this proxy's metrics: such expressions.
std::vector<std::string> metric_warnings(const mesh::StandardMetricsConfig& metrics);

// As istio::decode_mesh_config, and with log_format_findings.
istio::MeshConfigResult check_mesh_config(std::string_view text, const std::string& file);

// Null: no error among them.
const istio::Finding* first_error(const std::vector<istio::Finding>& findings);

}  // namespace sallyport::cli
