// Operators, from the weakest to the strongest.
#include "agent/observe/log_filter_parser.h"

#include <algorithm>

#include "agent/core/ascii.h"
#include "agent/core/limits.h"
#include "agent/istio/scalar.h"

namespace sallyport::observe {
namespace {

using FilterOp = FilterNode::Op;

bool is_numeric(FilterType type) { return type == FilterType::integer || type == FilterType::real; }
bool is_value(FilterType type) { return type != FilterType::headers && type != FilterType::list; }
bool comparable(FilterType a, FilterType b) {
  return is_value(a) && (a == b || (is_numeric(a) && is_numeric(b)));
}

}  // namespace

std::string_view word_for(FilterType type) {
  switch (type) {
    case FilterType::boolean:
      return "a boolean";
    case FilterType::integer:
    case FilterType::real:
      return "a number";
    case FilterType::text:
      return "a string";
    case FilterType::duration:
      return "a duration";
    case FilterType::headers:
      return "a map";
    default:
      return "a list";
  }
}

uint32_t FilterParser::fail(std::size_t column, std::string_view why) {
  if (!error_) error_ = bad_filter(column, why);
  token_ = {.kind = FilterToken::Kind::end, .column = column};  // nothing more is read
  return 0;
}

void FilterParser::advance() {
  if (failed()) return;
  auto next = lexer_.next();
  if (next) {
    token_ = *next;
  } else {
    error_ = next.error();
    token_ = {};
  }
}

FilterToken FilterParser::take() {
  const FilterToken taken = token_;
  advance();
  return taken;
}

bool FilterParser::accept(std::string_view symbol) {
  if (!at_symbol(symbol)) return false;
  advance();
  return true;
}

void FilterParser::expect_symbol(std::string_view symbol) {
  if (!accept(symbol)) fail(token_.column, "'" + std::string(symbol) + "' is missing");
}

uint32_t FilterParser::add(FilterNode node) {
  if (plan_.nodes.size() >= limits::log_filter_nodes)
    return fail(token_.column, "the expression has too many parts");
  plan_.nodes.push_back(std::move(node));
  return static_cast<uint32_t>(plan_.nodes.size() - 1);
}

uint32_t FilterParser::add_condition(FilterOp op, uint32_t left, uint32_t right) {
  return add({.op = op, .type = FilterType::boolean, .left = left, .right = right});
}

void FilterParser::want_boolean(uint32_t node, std::size_t column) {
  if (!failed() && type_of(node) != FilterType::boolean)
    fail(column, "is " + std::string(word_for(type_of(node))) + ", and a condition is wanted");
}

uint32_t FilterParser::disjunction() {
  auto column = token_.column;
  uint32_t left = conjunction();
  while (at_symbol("||")) {
    want_boolean(left, column);
    advance();
    column = token_.column;
    const uint32_t right = conjunction();
    want_boolean(right, column);
    left = add_condition(FilterOp::disjunction, left, right);
  }
  return left;
}

uint32_t FilterParser::conjunction() {
  auto column = token_.column;
  uint32_t left = relation();
  while (at_symbol("&&")) {
    want_boolean(left, column);
    advance();
    column = token_.column;
    const uint32_t right = relation();
    want_boolean(right, column);
    left = add_condition(FilterOp::conjunction, left, right);
  }
  return left;
}

uint32_t FilterParser::compare(FilterOp op, uint32_t left, uint32_t right, std::size_t column) {
  if (failed()) return 0;
  const auto a = type_of(left), b = type_of(right);
  if (!comparable(a, b))
    return fail(column, std::string(word_for(a)) + " is compared with " + std::string(word_for(b)));
  const bool ordered = op != FilterOp::equal && op != FilterOp::unequal;
  if (ordered && a == FilterType::boolean) return fail(column, "booleans have no order");
  return add_condition(op, left, right);
}

uint32_t FilterParser::contained(uint32_t left, uint32_t right, std::size_t column) {
  if (failed()) return 0;
  const FilterNode in = plan_.nodes[right];
  if (in.type == FilterType::headers) {
    // A name that is not known beforehand would have every header kept.
    if (plan_.nodes[left].op != FilterOp::literal || type_of(left) != FilterType::text)
      return fail(column, "in a map only a literal string is looked for");
    std::string& name = plan_.texts[plan_.nodes[left].left];
    name = ascii::lower_case(name);
    want(in.headers, name);
    return add({.op = FilterOp::in_headers,
                .type = FilterType::boolean,
                .left = plan_.nodes[left].left,
                .headers = in.headers});
  }
  if (in.type != FilterType::list) return fail(column, "'in' wants a list or a map of headers");
  for (uint32_t i = 0; i < in.right; i++) {
    const auto type = type_of(plan_.items[in.left + i]);
    if (!comparable(type_of(left), type))
      return fail(column, std::string(word_for(type_of(left))) + " is looked for in a list with " +
                              std::string(word_for(type)));
  }
  return add_condition(FilterOp::in_list, left, right);
}

uint32_t FilterParser::relation() {
  static constexpr std::pair<std::string_view, FilterOp> operators[] = {
      {"==", FilterOp::equal},  {"!=", FilterOp::unequal},
      {"<", FilterOp::less},    {"<=", FilterOp::less_or_equal},
      {">", FilterOp::greater}, {">=", FilterOp::greater_or_equal}};
  uint32_t left = unary();
  for (;;) {
    const auto column = token_.column;
    if (token_.kind == FilterToken::Kind::name && token_.text == "in") {
      advance();
      left = contained(left, unary(), column);
      continue;
    }
    const auto* const found = std::find_if(std::begin(operators), std::end(operators),
                                           [&](const auto& one) { return at_symbol(one.first); });
    if (found == std::end(operators)) return left;
    advance();
    const uint32_t right = unary();
    left = compare(found->second, left, right, column);
  }
}

// Guards what calls itself.
uint32_t FilterParser::unary() {
  if (depth_ >= limits::log_filter_depth)
    return fail(token_.column, "the expression is nested too deeply");
  ++depth_;
  const uint32_t out = at_symbol("!") ? negated() : member();
  --depth_;
  return out;
}

uint32_t FilterParser::negated() {
  advance();
  const auto column = token_.column;
  const uint32_t inner = unary();
  want_boolean(inner, column);
  return add_condition(FilterOp::negation, inner, 0);
}

void FilterParser::check_end() {
  if (!failed() && token_.kind != FilterToken::Kind::end)
    fail(token_.column, istio::quoted(token_.text) + " is not expected here");
}

Result<FilterPlan> FilterParser::run() {
  advance();
  plan_.root = disjunction();
  check_end();
  want_boolean(plan_.root, 1);
  if (error_) return std::move(*error_);
  return std::move(plan_);
}

Result<FilterPlan> FilterParser::run_value() {
  advance();
  const bool as_text = token_.kind == FilterToken::Kind::name && token_.text == "string";
  if (as_text) {
    advance();
    expect_symbol("(");
  }
  plan_.root = disjunction();
  if (as_text) expect_symbol(")");
  check_end();
  const auto type = failed() ? FilterType::boolean : type_of(plan_.root);
  if (type == FilterType::headers || type == FilterType::list)
    fail(1, "is " + std::string(word_for(type)) + ", which is no value of a label");
  if (error_) return std::move(*error_);
  return std::move(plan_);
}

namespace {

template <class Run>
Result<FilterPlan> parse_limited(std::string_view expression, Run run) {
  if (expression.size() > limits::log_filter_bytes)
    return bad_filter(1, "is longer than " + std::to_string(limits::log_filter_bytes) + " bytes");
  FilterParser parser(expression);
  return (parser.*run)();
}

}  // namespace

Result<FilterPlan> parse_filter(std::string_view expression) {
  return parse_limited(expression, &FilterParser::run);
}

Result<FilterPlan> parse_value(std::string_view expression) {
  return parse_limited(expression, &FilterParser::run_value);
}

}  // namespace sallyport::observe
