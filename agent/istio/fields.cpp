#include "agent/istio/fields.h"

#include "agent/core/suggest.h"
#include "agent/istio/base64.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

// "subjectAltNames" as "subject_alt_names".
std::string snake_case(std::string_view camel) {
  std::string snake;
  for (const char c : camel) {
    if (c >= 'A' && c <= 'Z') {
      snake += '_';
      snake += static_cast<char>(c | 0x20);
    } else {
      snake += c;
    }
  }
  return snake;
}

bool is_text(const Node& node) { return node.kind == Node::Kind::text; }

}  // namespace

Fields::Fields(const Node& node, std::string path, Report& report, Unknown unknown)
    : node_(node), path_(std::move(path)), report_(report), unknown_(unknown) {
  if (node.kind != Node::Kind::mapping && node.kind != Node::Kind::null) {
    error("", "expected an object, found " + std::string(describe(node.kind)));
  }
}

std::string Fields::path_of(std::string_view name) const {
  if (name.empty() || path_.empty()) return path_ + std::string(name);
  return path_ + '.' + std::string(name);
}

int Fields::line_of(std::string_view name) const {
  const std::string snake = snake_case(name);
  if (node_.kind == Node::Kind::mapping) {
    for (const Node::Entry& entry : node_.entries) {
      if (entry.key == name || entry.key == snake) return entry.line;
    }
  }
  return node_.line;
}

void Fields::error(std::string_view name, std::string reason) {
  report_.error(line_of(name), path_of(name), std::move(reason));
}

void Fields::warn(std::string_view name, std::string reason) {
  report_.warn(line_of(name), path_of(name), std::move(reason));
}

const Node* Fields::find(std::string_view name) {
  const std::string snake = snake_case(name);
  const Node* camel_node = node_.find(name);
  const Node* snake_node = snake == name ? nullptr : node_.find(snake);
  if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
    known_.emplace_back(name);
    if (snake != name) known_.push_back(snake);
    if (camel_node && snake_node) error(name, "given twice, also as " + quoted(snake));
  }
  const Node* node = camel_node ? camel_node : snake_node;
  return node && node->kind != Node::Kind::null ? node : nullptr;
}

bool Fields::is_null(std::string_view name) const {
  const Node* node = node_.find(name);
  return node && node->kind == Node::Kind::null;
}

bool Fields::expect(std::string_view name, const Node& node, bool fits, std::string_view wanted) {
  if (fits) return true;
  std::string reason =
      "expected " + std::string(wanted) + ", found " + std::string(describe(node.kind));
  if (wanted == "a string" && node.kind == Node::Kind::boolean) {
    reason += " (YAML reads a bare yes, no, on, off, y, n as one: put it in quotes)";
  } else if (wanted == "a string" && node.is_scalar()) {
    reason += " (put it in quotes)";
  }
  report_.error(node.line, path_of(name), std::move(reason));
  return false;
}

std::string Fields::text(std::string_view name) {
  const Node* node = find(name);
  if (!node || !expect(name, *node, is_text(*node), "a string")) return {};
  return node->text;
}

std::vector<std::string> Fields::texts(std::string_view name) {
  std::vector<std::string> out;
  const Node* node = find(name);
  if (!node || !expect(name, *node, node->kind == Node::Kind::sequence, "a list of strings")) {
    return out;
  }
  for (const Node::Entry& entry : node->entries) {
    const std::string item = std::string(name) + '[' + std::to_string(out.size()) + ']';
    const bool fits = expect(item, *entry.value, is_text(*entry.value), "a string");
    out.push_back(fits ? entry.value->text : std::string());
  }
  return out;
}

Labels Fields::labels(std::string_view name) {
  const Node* node = find(name);
  if (!node || !expect(name, *node, node->kind == Node::Kind::mapping, "an object")) return {};
  std::vector<Labels::value_type> out;  // sorted once: a hostile document has very many
  for (const Node::Entry& entry : node->entries) {
    if (entry.value->kind == Node::Kind::null) {
      out.emplace_back(entry.key, "");  // as Kubernetes' JSON decoder does
    } else if (expect(std::string(name) + '.' + entry.key, *entry.value, is_text(*entry.value),
                      "a string")) {
      out.emplace_back(entry.key, entry.value->text);
    }
  }
  return Labels(out.begin(), out.end());
}

std::optional<int64_t> Fields::integer(std::string_view name, int64_t min, int64_t max) {
  const Node* node = find(name);
  if (!node) return std::nullopt;
  const bool number = node->kind == Node::Kind::integer || node->kind == Node::Kind::real;
  if (!expect(name, *node, number, "a whole number")) return std::nullopt;
  const auto value = integer_value(node->text);
  if (value && *value >= min && *value <= max) return value;
  error(name, node->text.substr(0, 40) + " is not a whole number from " + std::to_string(min) +
                  " to " + std::to_string(max));
  return std::nullopt;
}

uint16_t Fields::port(std::string_view name) {
  const auto value = integer(name, INT64_MIN, INT64_MAX);
  if (!value) return 0;
  if (const auto problem = port_problem(*value)) {
    error(name, *problem);
    return 0;
  }
  return static_cast<uint16_t>(*value);
}

uint16_t Fields::optional_port(std::string_view name) {
  const Node* node = find(name);
  const bool zero = node && node->kind == Node::Kind::integer && integer_value(node->text) == 0;
  return zero ? 0 : port(name);
}

std::optional<double> Fields::real(std::string_view name, double min, double max) {
  const Node* node = find(name);
  if (!node) return std::nullopt;
  const bool number = node->kind == Node::Kind::integer || node->kind == Node::Kind::real;
  if (!expect(name, *node, number, "a number")) return std::nullopt;
  const auto value = real_value(node->text);
  if (value && *value >= min && *value <= max) return value;
  std::ostringstream range;
  range << node->text.substr(0, 40) << " is not a number from " << min << " to " << max;
  error(name, range.str());
  return std::nullopt;
}

std::string Fields::bytes(std::string_view name) {
  auto decoded = decode_base64(text(name));
  if (!decoded) error(name, "is not base64");
  return decoded.value_or(std::string());
}

std::optional<bool> Fields::boolean(std::string_view name) {
  const Node* node = find(name);
  if (!node || !expect(name, *node, node->kind == Node::Kind::boolean, "a boolean")) {
    return std::nullopt;
  }
  return boolean_value(node->text);
}

std::optional<std::chrono::milliseconds> Fields::duration(std::string_view name,
                                                          std::chrono::milliseconds min) {
  using std::chrono::milliseconds;
  const Node* node = find(name);
  if (!node || !expect(name, *node, is_text(*node), "a duration such as 5s, 500ms or 1h10m")) {
    return std::nullopt;
  }
  const auto value = duration_value(node->text);
  if (!value) {
    error(name, quoted(node->text) + " is no duration (5s, 500ms, 1h10m; at most 100 years)");
    return std::nullopt;
  }
  const auto whole = std::chrono::duration_cast<milliseconds>(*value);
  if (*value < min) {
    error(name, "duration must be greater than " + std::to_string(min.count()) + "ms");
  } else if (whole != *value) {
    error(name, "only durations to ms precision are supported");
  }
  return whole;
}

std::optional<int> Fields::choice(std::string_view name, std::span<const Choice> choices) {
  const Node* node = find(name);
  if (!node) return std::nullopt;
  const bool number = node->kind == Node::Kind::integer;
  if (!expect(name, *node, number || is_text(*node), "one of Istio's names")) return std::nullopt;
  const auto value = number ? integer_value(node->text) : std::nullopt;
  std::string names;
  for (const Choice& candidate : choices) {
    if (number ? value == candidate.value : candidate.name == node->text) return candidate.value;
    names += (names.empty() ? "" : ", ") + std::string(candidate.name);
  }
  error(name, "unsupported value " + quoted(node->text) + ", supported: " + names);
  return std::nullopt;
}

bool Fields::object(std::string_view name, const std::function<void(Fields&)>& read,
                    Unknown unknown) {
  const Node* node = find(name);
  if (!node || !expect(name, *node, node->kind == Node::Kind::mapping, "an object")) return false;
  Fields fields(*node, path_of(name), report_, unknown);
  read(fields);
  fields.finish();
  return true;
}

void Fields::each(std::string_view name, const std::function<void(Fields&)>& read,
                  Unknown unknown) {
  const Node* node = find(name);
  if (!node || !expect(name, *node, node->kind == Node::Kind::sequence, "a list")) return;
  std::size_t index = 0;
  for (const Node::Entry& entry : node->entries) {
    const std::string item = std::string(name) + '[' + std::to_string(index++) + ']';
    if (!expect(item, *entry.value, entry.value->kind == Node::Kind::mapping, "an object"))
      continue;
    Fields fields(*entry.value, path_of(item), report_, unknown);
    read(fields);
    fields.finish();
  }
}

void Fields::ignore(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) find(name);
}

void Fields::unsupported(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (find(name)) warn(name, "not supported yet, has no effect");
  }
}

void Fields::finish() {
  constexpr std::size_t asked_most = 16;  // more unknown ones than that are no typing mistakes
  std::size_t asked = 0;
  if (unknown_ == Unknown::ignore || node_.kind != Node::Kind::mapping) return;
  for (const Node::Entry& entry : node_.entries) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    std::string field = path_of(one_line(entry.key.substr(0, 100)));
    const std::string hint = asked++ < asked_most ? did_you_mean(entry.key, known_) : std::string();
    if (unknown_ == Unknown::refuse) {
      report_.unknown_field(entry.line, std::move(field), "unknown field" + hint);
    } else {
      report_.warn(entry.line, std::move(field), "unknown field, has no effect" + hint);
    }
  }
}

}  // namespace sallyport::istio
