// What the injector takes from the mesh's settings: meshConfig.defaultConfig, over which a pod's
// annotation proxy.istio.io/config lies, and whether pods are in a mesh at all. Pure.
#pragma once
#include <optional>
#include <string>

#include "agent/core/error.h"

namespace sallyport::cli {

struct MeshSettings {
  std::string default_config = "{}";  // meshConfig.defaultConfig, as YAML
  bool auto_mtls = true;              // enableAutoMtls
  bool prometheus_merge = true;       // enablePrometheusMerge
};

// Of the ConfigMap `istio-system/istio` (key `mesh`) among the documents of `text`. Nothing when
// that isn't there. Error: its `mesh` is no YAML; `file` is named.
Result<std::optional<MeshSettings>> mesh_settings_among(const std::string& text,
                                                        const std::string& file);

// The same of a file that is a MeshConfig itself, or has that ConfigMap under any name and
// namespace (istioctl's --meshConfigFile).
Result<MeshSettings> mesh_settings_of_file(const std::string& text, const std::string& file);

}  // namespace sallyport::cli
