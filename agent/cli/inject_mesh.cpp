#include "agent/cli/inject_mesh.h"

#include <yaml-cpp/yaml.h>

#include "agent/cli/yaml_edit.h"

namespace sallyport::cli {
namespace {

Error error_at(const std::string& file, const std::string& place, const YAML::Exception& error) {
  return {Fault::protocol,
          Side::local,
          false,
          file + ":" + std::to_string(error.mark.line + 1) + ": " + place + error.msg,
          {}};
}

std::string text_at(const YAML::Node& map, const char* key) {
  return map.IsDefined() && map.IsMap() && map[key] && map[key].IsScalar() ? map[key].Scalar() : "";
}

MeshSettings settings_of(const YAML::Node& mesh) {
  MeshSettings settings;
  if (!mesh.IsMap()) return settings;
  const YAML::Node config = mesh["defaultConfig"];
  if (config.IsDefined() && config.IsMap()) settings.default_config = flow_of(config);
  const auto flag = [&](const char* name, bool& value) {
    const YAML::Node given = mesh[name];
    if (given.IsDefined() && given.IsScalar()) value = given.as<bool>(value);
  };
  flag("enableAutoMtls", settings.auto_mtls);
  flag("enablePrometheusMerge", settings.prometheus_merge);
  return settings;
}

bool is_config_map(const YAML::Node& document) {
  return document.IsMap() && text_at(document, "kind") == "ConfigMap" && document["data"] &&
         !text_at(document["data"], "mesh").empty();
}

Result<MeshSettings> of_config_map(const YAML::Node& document, const std::string& file) {
  try {
    return settings_of(YAML::Load(text_at(document["data"], "mesh")));
  } catch (const YAML::Exception& error) {
    const std::string place =
        "ConfigMap " + text_at(document["metadata"], "name") + ", in the text of data.mesh: ";
    return error_at(file, place, error);
  }
}

}  // namespace

Result<std::optional<MeshSettings>> mesh_settings_among(const std::string& text,
                                                        const std::string& file) {
  try {
    for (const YAML::Node& document : YAML::LoadAll(text)) {
      if (!is_config_map(document)) continue;
      const YAML::Node metadata = document["metadata"];
      if (text_at(metadata, "name") != "istio" || text_at(metadata, "namespace") != "istio-system")
        continue;
      auto found = of_config_map(document, file);
      if (!found) return found.error();
      return std::optional(std::move(*found));
    }
  } catch (const YAML::Exception&) {
    return std::optional<MeshSettings>();  // inject() itself names what is broken
  }
  return std::optional<MeshSettings>();
}

Result<MeshSettings> mesh_settings_of_file(const std::string& text, const std::string& file) {
  try {
    for (const YAML::Node& document : YAML::LoadAll(text)) {
      if (is_config_map(document)) return of_config_map(document, file);
    }
    return settings_of(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    return error_at(file, "", error);
  }
}

}  // namespace sallyport::cli
