#include "agent/cli/inject_merge.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "agent/cli/yaml_edit.h"

namespace sallyport::cli {
namespace {

using Entries = std::vector<std::pair<std::string, YamlEdit::Value>>;

std::string indented(const std::string& lines) {
  std::string out;
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = std::min(lines.find('\n', at), lines.size() - 1) + 1;
    out += "  " + lines.substr(at, end - at);
    at = end;
  }
  return out;
}

YamlEdit::Value value_of(const YAML::Node& node) {
  const std::string flow = flow_of(node);
  if (node.size() == 0 || node.IsScalar()) return {flow, ""};
  return {flow, node.IsMap() ? indented(block_of(node)) : block_of(node)};
}

// By which field the items of a container's list are the same; null: the list is one value.
const char* merge_key(const std::string& list) {
  if (list == "env") return "name";
  if (list == "volumeMounts") return "mountPath";
  if (list == "ports") return "containerPort";
  return nullptr;
}

bool has_item(const YAML::Node& list, const char* key, const std::string& value) {
  for (const auto& item : list) {
    if (item.IsMap() && item[key] && item[key].IsScalar() && item[key].Scalar() == value)
      return true;
  }
  return false;
}

void merge_list(YamlEdit& edit, const YAML::Node& own, const YAML::Node& base, const char* key) {
  std::vector<YamlEdit::Value> missing;
  for (const auto& item : base)
    if (!has_item(own, key, item[key].Scalar())) missing.push_back({flow_of(item), block_of(item)});
  if (!missing.empty()) edit.add_items(own, missing);
}

// An alias's mark is where its anchor stands: to edit there would change the other place, too.
void expect_no_alias(const YAML::Node& map, const std::string& key) {
  for (const auto& entry : map) {
    if (!entry.first.IsScalar() || entry.first.Scalar() != key) continue;
    const YAML::Mark at = entry.first.Mark();
    if (entry.second.Mark().pos < at.pos)
      throw BadMerge{at.line + 1, key + ": an alias can't be edited"};
  }
}

void merge_map(YamlEdit& edit, const YAML::Node& own, const YAML::Node& base, bool is_container) {
  Entries missing;
  std::vector<std::string> common;
  for (const auto& entry : base) {
    const std::string key = entry.first.Scalar();
    if (own[key].IsDefined()) {
      common.push_back(key);
    } else {
      missing.emplace_back(key, value_of(entry.second));
    }
  }
  edit.add_entries(own, missing);
  for (const std::string& key : common) {
    const YAML::Node mine = own[key], theirs = base[key];
    expect_no_alias(own, key);
    const bool is_auto =
        is_container && key == "image" && mine.IsScalar() && mine.Scalar() == "auto";
    bool done = true;
    if (mine.IsNull()) {
      done = edit.put(own, key, value_of(theirs));
    } else if (is_auto) {
      done = edit.replace(own, key, key, flow_of(theirs));
    } else if (mine.IsMap() && theirs.IsMap()) {
      merge_map(edit, mine, theirs, false);
    } else if (const char* by = is_container ? merge_key(key) : nullptr; by && mine.IsSequence()) {
      merge_list(edit, mine, theirs, by);
    }
    if (!done) throw BadMerge{own.Mark().line + 1, key + ": can't be edited as it is laid out"};
  }
}

}  // namespace

void merge_container(YamlEdit& edit, const YAML::Node& own, const std::string& from_template) {
  merge_map(edit, own, YAML::Load(from_template), true);
}

}  // namespace sallyport::cli
