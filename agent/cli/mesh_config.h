// A MeshConfig as a proxy judges it: its fields and its access log format.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "agent/istio/decode.h"
#include "agent/observe/access_log.h"

namespace sallyport::cli {

observe::LogSettings log_settings(const istio::MeshConfig& mesh);

// Of accessLogFormat: the error that keeps a proxy from using it, or a warning for each operator
// that is always absent here. `file` is put into each.
std::vector<istio::Finding> log_format_findings(const istio::MeshConfig& mesh,
                                                const std::string& file);

// As istio::decode_mesh_config, and with log_format_findings.
istio::MeshConfigResult check_mesh_config(std::string_view text, const std::string& file);

// Null: no error among them.
const istio::Finding* first_error(const std::vector<istio::Finding>& findings);

}  // namespace sallyport::cli
