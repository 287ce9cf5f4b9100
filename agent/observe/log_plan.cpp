#include "agent/observe/log_plan.h"

#include <algorithm>
#include <charconv>

#include "agent/istio/json.h"

namespace sallyport::observe {

using istio::Node;

Error bad_log_format(std::string_view op, std::string_view why) {
  Error error{Fault::internal, Side::local};
  error.context = std::string(op) + " " + std::string(why);
  return error;
}

Result<LogPlan::Operator> LogPlan::read_operator(std::string_view format, std::size_t at) {
  Operator op;
  const auto rest = format.substr(at);
  const auto name_end = std::min(rest.find_first_of("%(:", 1), rest.size());
  op.name = rest.substr(1, name_end - 1);
  std::size_t end = name_end;
  if (end < rest.size() && rest[end] == '(') {  // may contain '%': START_TIME(%Y)
    const auto close = rest.find(')', end);
    if (close == rest.npos) return bad_log_format(rest, "has no closing parenthesis");
    op.argument = rest.substr(end + 1, close - end - 1);
    end = close + 1;
  }
  if (end < rest.size() && rest[end] == ':') {
    const char* const last = rest.data() + rest.size();
    const auto number = std::from_chars(rest.data() + end + 1, last, op.length);
    if (number.ec != std::errc() || op.length == 0) return bad_log_format(rest, "has a bad length");
    end = static_cast<std::size_t>(number.ptr - rest.data());
  }
  if (end >= rest.size() || rest[end] != '%')
    return bad_log_format(rest, "is not closed by '%' (a lone '%' is written as \"%%\")");
  op.whole = rest.substr(0, end + 1);
  return op;
}

void LogPlan::add_literal(std::string_view literal) {
  if (literal.empty()) return;
  if (pieces.empty() || pieces.back().op != Op::literal)
    pieces.push_back({.op = Op::literal, .at = static_cast<uint32_t>(text.size())});
  pieces.back().size += static_cast<uint32_t>(literal.size());
  text.append(literal);
}

Result<void> LogPlan::add_format(std::string_view format, Shape shape) {
  const auto literal = [&](std::string_view part) {
    const bool json = shape == Shape::json_value || shape == Shape::json_part;
    json ? add_literal(json_text(part)) : add_literal(part);
  };
  std::size_t at = 0;
  while (at < format.size()) {
    const auto percent = std::min(format.find('%', at), format.size());
    literal(format.substr(at, percent - at));
    at = percent;
    if (at == format.size()) break;
    if (format.substr(at, 2) == "%%") {
      literal("%");
      at += 2;
      continue;
    }
    const auto op = read_operator(format, at);
    if (!op) return op.error();
    auto piece = piece_of(*op);
    if (!piece) return piece.error();
    piece->shape = shape;
    pieces.push_back(*piece);
    at += op->whole.size();
  }
  return {};
}

namespace {

// Writes the tree as JSON again, formats in place of its strings.
Result<void> add_value(LogPlan& plan, const Node& node);

Result<void> add_entries(LogPlan& plan, const Node& node, bool keys) {
  for (const Node::Entry& entry : node.entries) {
    if (&entry != &node.entries.front()) plan.add_literal(",");
    if (keys) plan.add_literal("\"" + json_text(entry.key) + "\":");
    if (auto added = add_value(plan, *entry.value); !added) return added;
  }
  return {};
}

Result<void> add_text(LogPlan& plan, std::string_view format) {
  if (format.starts_with('%') && !format.starts_with("%%")) {
    const auto op = LogPlan::read_operator(format, 0);
    if (!op) return op.error();
    if (op->whole.size() == format.size())
      return plan.add_format(format, LogPlan::Shape::json_value);
  }
  plan.add_literal("\"");
  if (auto added = plan.add_format(format, LogPlan::Shape::json_part); !added) return added;
  plan.add_literal("\"");
  return {};
}

Result<void> add_value(LogPlan& plan, const Node& node) {
  if (node.kind == Node::Kind::text) return add_text(plan, node.text);
  if (node.is_scalar()) return plan.add_literal(node.text), Result<void>();
  const bool keys = node.kind == Node::Kind::mapping;
  plan.add_literal(keys ? "{" : "[");
  if (auto added = add_entries(plan, node, keys); !added) return added;
  plan.add_literal(keys ? "}" : "]");
  return {};
}

}  // namespace

Result<void> LogPlan::add_json(std::string_view json) {
  const istio::Trees trees = istio::parse_json(json, 1);
  if (!trees.errors.empty())
    return bad_log_format("line " + std::to_string(trees.errors[0].line) + ":",
                          trees.errors[0].reason + "; a JSON object is wanted");
  const Node& root = *trees.roots[0];
  if (root.kind != Node::Kind::mapping)
    return bad_log_format("a JSON object is wanted,", "not " + std::string(describe(root.kind)));
  return add_value(*this, root);
}

}  // namespace sallyport::observe
