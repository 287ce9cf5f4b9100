// Insertions into YAML or JSON text at the places where yaml-cpp says that nodes begin. For
// injector.cpp; include in .cpp files only (yaml-cpp).
#pragma once
#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sallyport::cli {

class YamlEdit {
public:
  explicit YamlEdit(std::string_view text);

  struct Value {  // the same in both styles; `block` may be empty: the flow form then stands in
                  // blocks too
    std::string flow, block;
  };

  // Puts `key: value` in front of the first entry of a map.
  void add_entries(const YAML::Node& map,
                   const std::vector<std::pair<std::string, Value>>& entries);

  // Puts items at the end of a sequence, or in front of its first.
  enum class Where : uint8_t { front, end };
  void add_items(const YAML::Node& sequence, const std::vector<Value>& items,
                 Where where = Where::end);

  // Gives `map` the child `key`, which is absent or empty (`key:` with nothing behind it).
  // False when something stands there that can't be edited by insertion, such as a written `null`.
  bool put(const YAML::Node& map, const std::string& key, const Value& value);

  // Puts `new_key: flow` where an entry of `map` stands; comments inside the entry go with it.
  // False when it is laid out in a way that can't be edited: anchors, aliases, tags, text over
  // several lines.
  bool replace(const YAML::Node& map, const std::string& key, const std::string& new_key,
               const std::string& flow);

  std::string result() const;

private:
  struct Insertion {
    std::size_t offset, order;
    std::string text;
    std::size_t replaced = 0;  // bytes behind `offset` that it stands for
  };
  std::size_t offset_of(const YAML::Mark& mark) const;
  std::size_t end_of_block_sequence(std::size_t line, std::size_t dash_column) const;
  std::optional<std::size_t> end_of(const YAML::Node& node) const;  // behind its last byte
  std::optional<std::size_t> end_of_flow(std::size_t at) const;
  std::optional<std::size_t> end_of_quoted(std::size_t at) const;
  void add_to_flow(const YAML::Node& sequence, const std::string& added, Where where);
  std::string_view line_at(std::size_t line) const;
  void insert(std::size_t offset, std::string text);

  std::string_view text_;
  std::vector<std::size_t> lines_;  // offset of each line
  std::vector<Insertion> insertions_;
};

// A node on one line in flow style (JSON where the node came from JSON), and as lines in block
// style. What was quoted is quoted again, what was plain stays plain: types survive.
std::string flow_of(const YAML::Node& node);
std::string block_of(const YAML::Node& node);
std::string quoted(const std::string& text);  // a JSON string
// The scalar that `map` has for `key`; empty: it has none, or is no map.
std::string scalar_of(const YAML::Node& map, const char* key);

}  // namespace sallyport::cli
