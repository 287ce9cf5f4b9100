// A pod template that brings a container of the sidecar's own name: Istio's "Customizing
// injection". The template's container lies below, the user's fields above, as a strategic merge:
// maps field by field; env, volumeMounts and ports item by item (by name, mountPath,
// containerPort); other lists and scalars are the user's. Image "auto" stands for the template's.
//
// For injector.cpp; include in .cpp files only (yaml-cpp).
#pragma once
#include <yaml-cpp/yaml.h>

#include <string>

namespace sallyport::cli {

class YamlEdit;

struct BadMerge {  // thrown
  int line;
  std::string reason;
};

// Puts into `own` what only `from_template`, a JSON object, has. Throws BadMerge: an alias or a
// written null, which can't be edited.
void merge_container(YamlEdit& edit, const YAML::Node& own, const std::string& from_template);

}  // namespace sallyport::cli
