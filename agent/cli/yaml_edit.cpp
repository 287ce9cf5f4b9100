#include "agent/cli/yaml_edit.h"

#include <algorithm>
#include <cstdio>
#include <tuple>

namespace sallyport::cli {
namespace {

// "- a\n  b\n" out of "a\nb\n".
std::string as_item(const std::string& block) {
  std::string item = "- ";
  for (std::size_t i = 0; i < block.size(); ++i) {
    item += block[i];
    if (block[i] == '\n' && i + 1 < block.size()) item += "  ";
  }
  return item;
}

std::string indent(const std::string& block, std::size_t columns) {
  std::string lines;
  bool start = true;
  for (const char letter : block) {
    if (start) lines.append(columns, ' ');
    lines += letter;
    start = letter == '\n';
  }
  return lines;
}

YAML::Node key_node(const YAML::Node& map, const std::string& key) {
  for (const auto& entry : map) {
    if (entry.first.IsScalar() && entry.first.Scalar() == key) return entry.first;
  }
  return {};
}

}  // namespace

std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (const char letter : text) {
    const unsigned char byte = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\') {
      json += '\\';
      json += letter;
    } else if (letter == '\n') {
      json += "\\n";
    } else if (byte < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      json += escape;
    } else {
      json += letter;
    }
  }
  return json + '"';
}

std::string flow_of(const YAML::Node& node) {
  if (node.IsNull()) return "null";
  if (node.IsScalar()) return node.Tag() == "!" ? quoted(node.Scalar()) : node.Scalar();
  std::string text;
  for (const auto& entry : node) {
    if (!text.empty()) text += ", ";
    text +=
        node.IsMap() ? quoted(entry.first.Scalar()) + ": " + flow_of(entry.second) : flow_of(entry);
  }
  return node.IsMap() ? "{" + text + "}" : "[" + text + "]";
}

std::string block_of(const YAML::Node& node) {
  if (!node.IsMap() && !node.IsSequence()) return flow_of(node) + "\n";
  std::string text;
  for (const auto& entry : node) {
    if (node.IsSequence()) {
      const YAML::Node item = entry;
      text += item.IsMap() ? as_item(block_of(item)) : "- " + flow_of(item) + "\n";
      continue;
    }
    const YAML::Node value = entry.second;
    if (value.size() == 0 || value.IsScalar()) {
      text += entry.first.Scalar() + ": " + flow_of(value) + "\n";
    } else {
      text += entry.first.Scalar() + ":\n" + indent(block_of(value), value.IsMap() ? 2 : 0);
    }
  }
  return text;
}

YamlEdit::YamlEdit(std::string_view text) : text_(text) {
  lines_.push_back(0);
  for (std::size_t at = text.find('\n'); at != std::string_view::npos;
       at = text.find('\n', at + 1)) {
    lines_.push_back(at + 1);
  }
}

std::size_t YamlEdit::offset_of(const YAML::Mark& mark) const {
  return lines_[static_cast<std::size_t>(mark.line)] + static_cast<std::size_t>(mark.column);
}

std::string_view YamlEdit::line_at(std::size_t line) const {
  const std::size_t end = line + 1 < lines_.size() ? lines_[line + 1] : text_.size();
  return text_.substr(lines_[line], end - lines_[line]);
}

void YamlEdit::insert(std::size_t offset, std::string text) {
  insertions_.push_back({offset, insertions_.size(), std::move(text)});
}

void YamlEdit::add_entries(const YAML::Node& map,
                           const std::vector<std::pair<std::string, Value>>& entries) {
  if (entries.empty()) return;
  const std::size_t at = offset_of(map.Mark());
  const std::size_t column = static_cast<std::size_t>(map.Mark().column);
  const bool flow = text_[at] == '{';
  std::string added;
  for (const auto& [key, value] : entries) {
    if (flow) {
      added += (added.empty() ? "" : ", ") + quoted(key) + ": " + value.flow;
    } else {
      added += key + ":" + (value.block.empty() ? " " + value.flow + "\n" : "\n" + value.block);
    }
  }
  if (flow) return insert(at + 1, added + (map.size() > 0 ? ", " : ""));
  // The first key's line is already indented (or begins behind a dash): its indentation serves our
  // first line.
  insert(at, indent(added, column).substr(column) + std::string(column, ' '));
}

std::size_t YamlEdit::end_of_block_sequence(std::size_t line, std::size_t dash_column) const {
  std::size_t end = line + 1;  // behind the last line that surely belongs to it
  for (std::size_t next = line + 1; next < lines_.size(); ++next) {
    const std::string_view text = line_at(next);
    const std::size_t indent = text.find_first_not_of(" \t\r\n");
    if (indent == std::string_view::npos) continue;  // blank
    if (text[indent] == '#' && indent <= dash_column)
      continue;  // a comment of what follows, or of what went before
    if (text.starts_with("---") || text.starts_with("...")) break;
    const bool item = indent == dash_column && text[indent] == '-';
    if (indent <= dash_column && !item) break;
    end = next + 1;
  }
  return end < lines_.size() ? lines_[end] : text_.size();
}

void YamlEdit::add_to_flow(const YAML::Node& sequence, const std::string& added, Where where) {
  const std::size_t at = offset_of(sequence.Mark());
  const auto end = end_of_flow(at);
  if (added.empty()) return;
  if (where == Where::front || !end || sequence.size() == 0)
    return insert(at + 1, added + (sequence.size() > 0 ? ", " : ""));
  const std::size_t last = text_.find_last_not_of(" \t\r\n", *end - 2);
  insert(last + 1, (text_[last] == ',' ? " " : ", ") + added);
}

void YamlEdit::add_items(const YAML::Node& sequence, const std::vector<Value>& items, Where where) {
  const std::size_t at = offset_of(sequence.Mark());
  std::string added;
  if (text_[at] == '[') {
    for (const Value& item : items) added += (added.empty() ? "" : ", ") + item.flow;
    return add_to_flow(sequence, added, where);
  }
  const std::size_t column = static_cast<std::size_t>(sequence.Mark().column);
  if (where == Where::front) {
    // As in add_entries(): the first dash's own indentation serves our first line.
    for (const Value& item : items) added += indent(as_item(item.block), column);
    return insert(at, added.substr(column) + std::string(column, ' '));
  }
  const std::size_t end =
      end_of_block_sequence(static_cast<std::size_t>(sequence.Mark().line), column);
  if (end == text_.size() && !text_.ends_with('\n')) added = "\n";
  for (const Value& item : items) added += indent(as_item(item.block), column);
  insert(end, added);
}

std::optional<std::size_t> YamlEdit::end_of_quoted(std::size_t at) const {
  const char quote = text_[at];
  for (std::size_t i = at + 1; i < text_.size(); ++i) {
    if (quote == '"' && text_[i] == '\\') {
      ++i;
    } else if (text_[i] == quote) {
      if (quote == '"' || i + 1 == text_.size() || text_[i + 1] != quote) return i + 1;
      ++i;  // '' inside
    }
  }
  return std::nullopt;
}

std::optional<std::size_t> YamlEdit::end_of_flow(std::size_t at) const {
  int depth = 0;
  for (std::size_t i = at; i < text_.size(); ++i) {
    const char letter = text_[i];
    const char before = i == 0 ? '\n' : text_[i - 1];
    const bool starts = std::string_view(" \t\r\n,:[{").find(before) != std::string_view::npos;
    if ((letter == '"' || letter == '\'') && starts) {
      const auto end = end_of_quoted(i);
      if (!end) return std::nullopt;
      i = *end - 1;
    } else if (letter == '#' &&
               std::string_view(" \t\r\n").find(before) != std::string_view::npos) {
      i = std::min(text_.find('\n', i), text_.size());
    } else if (letter == '{' || letter == '[') {
      ++depth;
    } else if ((letter == '}' || letter == ']') && --depth == 0) {
      return i + 1;
    }
  }
  return std::nullopt;
}

std::optional<std::size_t> YamlEdit::end_of(const YAML::Node& node) const {
  if (node.IsNull()) return std::nullopt;  // yaml-cpp doesn't say where
  const std::size_t at = offset_of(node.Mark());
  if (at >= text_.size()) return std::nullopt;
  const char first = text_[at];
  if (std::string_view("&*!|>").find(first) != std::string_view::npos) return std::nullopt;
  if (first == '{' || first == '[') return end_of_flow(at);
  if (node.IsScalar()) {
    if (first == '"' || first == '\'') return end_of_quoted(at);
    const std::string& text = node.Scalar();
    return text_.substr(at, text.size()) == text ? std::optional(at + text.size()) : std::nullopt;
  }
  if (node.size() == 0) return std::nullopt;
  std::optional<std::size_t> end;
  for (const auto& entry : node) end = end_of(node.IsMap() ? entry.second : entry);
  return end;
}

bool YamlEdit::replace(const YAML::Node& map, const std::string& key, const std::string& new_key,
                       const std::string& flow) {
  const YAML::Node old = key_node(map, key);
  const auto key_end = end_of(old);
  const auto end = end_of(map[key]);
  if (!key_end || !end) return false;
  const std::size_t start = offset_of(old.Mark());
  const std::size_t value = text_.find_first_not_of(" \t", text_.find(':', *key_end) + 1);
  // An alias's mark is where its anchor stands.
  if (*end <= *key_end || value == std::string_view::npos ||
      std::string_view("&*!").find(text_[value]) != std::string_view::npos)
    return false;
  const std::string name = text_[start] == '"' ? quoted(new_key) : new_key;
  insertions_.push_back({start, insertions_.size(), name + ": " + flow, *end - start});
  return true;
}

bool YamlEdit::put(const YAML::Node& map, const std::string& key, const Value& value) {
  const YAML::Node present = key_node(map, key);
  if (!present.IsDefined() || present.IsNull()) {
    add_entries(map, {{key, value}});
    return true;
  }
  const std::size_t colon = text_.find(':', offset_of(present.Mark()) + key.size());
  if (colon == std::string_view::npos) return false;
  const std::size_t next = text_.find_first_not_of(" \t", colon + 1);
  if (next != std::string_view::npos && text_[next] != '\n' && text_[next] != '\r' &&
      text_[next] != '#')
    return false;
  insert(colon + 1, " " + value.flow);
  return true;
}

std::string YamlEdit::result() const {
  std::vector<Insertion> sorted = insertions_;
  std::sort(sorted.begin(), sorted.end(), [](const Insertion& a, const Insertion& b) {
    // In front of what is replaced: a replacement comes last.
    return std::tuple(a.offset, a.replaced > 0, a.order) <
           std::tuple(b.offset, b.replaced > 0, b.order);
  });
  std::string edited;
  std::size_t at = 0;
  for (const Insertion& insertion : sorted) {
    if (insertion.offset < at) continue;  // inside what is replaced
    edited += text_.substr(at, insertion.offset - at);
    edited += insertion.text;
    at = insertion.offset + insertion.replaced;
  }
  return edited += text_.substr(at);
}

std::string scalar_of(const YAML::Node& map, const char* key) {
  if (!map.IsDefined() || !map.IsMap()) return {};
  const YAML::Node value = map[key];
  return value.IsDefined() && value.IsScalar() ? value.Scalar() : std::string();
}

}  // namespace sallyport::cli
