#include "deploy/sandbox/yaml_fields.h"

namespace sallyport::sandbox {

std::string text_of(const YAML::Node& node, const std::string& fallback) {
  if (!node.IsDefined() || node.IsNull()) return fallback;
  if (!node.IsScalar()) throw FieldError(node, "a text or number was expected");
  return node.Scalar();
}

bool flag_of(const YAML::Node& node, bool fallback) {
  const std::string text = text_of(node);
  if (text.empty()) return fallback;
  if (text != "true" && text != "false")
    throw FieldError(node, "true or false was expected, not " + text);
  return text == "true";
}

int64_t number_of(const YAML::Node& node, int64_t fallback) {
  if (!node.IsDefined() || node.IsNull()) return fallback;
  try {
    return node.as<int64_t>();
  } catch (const YAML::Exception&) {
    throw FieldError(node, "a number was expected");
  }
}

std::vector<std::string> list_of(const YAML::Node& node) {
  std::vector<std::string> texts;
  if (!node.IsDefined() || node.IsNull()) return texts;
  if (!node.IsSequence()) throw FieldError(node, "a list was expected");
  for (const auto& item : node) texts.push_back(text_of(item));
  return texts;
}

StringMap map_of(const YAML::Node& node) {
  StringMap map;
  if (!node.IsDefined() || node.IsNull()) return map;
  if (!node.IsMap()) throw FieldError(node, "a map was expected");
  for (const auto& entry : node) map[text_of(entry.first)] = text_of(entry.second);
  return map;
}

ObjectMeta meta_of(const YAML::Node& metadata) {
  ObjectMeta meta;
  if (!metadata.IsDefined()) return meta;
  meta.name = text_of(metadata["name"]);
  meta.namespace_name = text_of(metadata["namespace"], "default");
  meta.labels = map_of(metadata["labels"]);
  meta.annotations = map_of(metadata["annotations"]);
  return meta;
}

}  // namespace sallyport::sandbox
