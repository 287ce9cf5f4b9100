// Small readers over yaml-cpp nodes for this folder's .cpp files: they throw FieldError with line
// and field, which parse_manifests turns into an Error. Include in .cpp files only.
#pragma once
#include <yaml-cpp/yaml.h>

#include <stdexcept>

#include "deploy/sandbox/manifest.h"

namespace sallyport::sandbox {

struct FieldError : std::runtime_error {
  FieldError(const YAML::Node& at, const std::string& reason)
      : std::runtime_error(reason), line(at.IsDefined() ? at.Mark().line + 1 : 0) {}
  int line;
};

// A scalar's text; `fallback` where the field is absent or null.
std::string text_of(const YAML::Node& node, const std::string& fallback = {});
bool flag_of(const YAML::Node& node, bool fallback);
int64_t number_of(const YAML::Node& node, int64_t fallback);
std::vector<std::string> list_of(const YAML::Node& node);
StringMap map_of(const YAML::Node& node);
ObjectMeta meta_of(const YAML::Node& metadata);

// spec of a Pod or of a pod template into `pod`.
void read_pod_spec(const YAML::Node& spec, Pod& pod);

}  // namespace sallyport::sandbox
