// What stands beside an operator: literals, attributes, headers, functions.
#include <algorithm>
#include <charconv>

#include "agent/core/ascii.h"
#include "agent/core/suggest.h"
#include "agent/istio/scalar.h"
#include "agent/observe/log_filter_parser.h"

namespace sallyport::observe {
namespace {

using Kind = FilterToken::Kind;
using FilterOp = FilterNode::Op;

std::optional<HeaderMap> map_named(std::string_view name) {
  if (name == "request.headers") return HeaderMap::request;
  if (name == "response.headers") return HeaderMap::response;
  if (name == "response.trailers") return HeaderMap::trailers;
  return std::nullopt;
}

}  // namespace

uint32_t FilterParser::member() {
  uint32_t out = primary();
  while (!failed()) {
    const bool is_map = type_of(out) == FilterType::headers;
    if (is_map && at_symbol("[")) {
      out = header_of(out);
    } else if (at_symbol(".")) {
      out = method(out);
    } else if (at_symbol("[")) {
      return fail(token_.column, "only a map of headers has an index");
    } else {
      break;
    }
  }
  return out;
}

uint32_t FilterParser::primary() {
  if (accept("(")) {
    const uint32_t inner = disjunction();
    expect_symbol(")");
    return inner;
  }
  if (at_symbol("[")) return list();
  if (accept("-")) return number(true);
  switch (token_.kind) {
    case Kind::integer:
    case Kind::real:
      return number(false);
    case Kind::text:
      return literal_text(take());
    case Kind::name:
      break;
    case Kind::end:
      return fail(token_.column, "the expression ends too early");
    default:
      return fail(token_.column,
                  "'" + std::string(token_.text) + "' stands where a value is wanted");
  }
  const FilterToken name = take();
  if (name.text == "true" || name.text == "false") {
    return add({.op = FilterOp::literal,
                .type = FilterType::boolean,
                .value = {.boolean = name.text == "true"}});
  }
  if (!at_symbol("(")) return path(name);
  if (name.text == "has") return presence();
  if (name.text == "duration") return duration_literal();
  return fail(name.column, "the function " + std::string(name.text) + "() is not supported");
}

uint32_t FilterParser::number(bool negative) {
  const FilterToken token = take();
  const std::string text = (negative ? "-" : "") + std::string(token.text);
  const char* const end = text.data() + text.size();
  FilterValue value;
  std::from_chars_result read{};
  if (token.kind == Kind::integer) {
    value.type = FilterType::integer;
    read = std::from_chars(text.data(), end, value.integer);
  } else if (token.kind == Kind::real) {
    value.type = FilterType::real;
    read = std::from_chars(text.data(), end, value.real);
  } else {
    return fail(token.column, "a number is wanted behind '-'");
  }
  if (read.ec != std::errc() || read.ptr != end) return fail(token.column, "is too large a number");
  return add({.op = FilterOp::literal, .type = value.type, .value = value});
}

uint32_t FilterParser::literal_text(const FilterToken& token) {
  auto text = unescaped(token);
  if (!text) {
    if (!error_) error_ = text.error();
    return fail(token.column, "");
  }
  plan_.texts.push_back(std::move(*text));
  return add({.op = FilterOp::literal,
              .type = FilterType::text,
              .left = static_cast<uint32_t>(plan_.texts.size() - 1)});
}

// duration("1.5s")
uint32_t FilterParser::duration_literal() {
  expect_symbol("(");
  const FilterToken token = take();
  const auto value = token.kind == Kind::text ? istio::duration_value(token.text) : std::nullopt;
  if (!failed() && !value)
    return fail(token.column, "is no duration such as \"1.5s\" or \"500ms\"");
  expect_symbol(")");
  if (failed()) return 0;
  return add({.op = FilterOp::literal,
              .type = FilterType::duration,
              .value = {.type = FilterType::duration, .integer = value->count()}});
}

uint32_t FilterParser::list() {
  advance();
  const auto begin = static_cast<uint32_t>(plan_.items.size());
  std::vector<uint32_t> items;
  while (!failed() && !at_symbol("]")) {
    const auto column = token_.column;
    const uint32_t item = unary();
    if (!failed() && plan_.nodes[item].op != FilterOp::literal)
      return fail(column, "in a list only literals are supported");
    items.push_back(item);
    if (!accept(",")) break;
  }
  expect_symbol("]");
  plan_.items.insert(plan_.items.end(), items.begin(), items.end());
  return add({.op = FilterOp::list,
              .type = FilterType::list,
              .left = begin,
              .right = static_cast<uint32_t>(items.size())});
}

// "response.code": two names, which stand for an attribute or a map.
uint32_t FilterParser::path(const FilterToken& first) {
  std::string name(first.text);
  if (accept(".") && token_.kind == Kind::name) name += '.' + std::string(take().text);
  if (const auto map = map_named(name))
    return add({.op = FilterOp::headers, .type = FilterType::headers, .headers = *map});
  const auto attribute = find_attribute(name);
  if (!attribute) {
    return fail(first.column, istio::quoted(name) + " is not a known attribute" +
                                  did_you_mean(name, attribute_names()));
  }
  want_for(*attribute, plan_.needs);
  return add({.op = FilterOp::attribute, .type = attribute->type, .attribute = *attribute});
}

void FilterParser::want(HeaderMap map, const std::string& name) {
  if (name.starts_with(':')) return;
  auto& names = map == HeaderMap::request    ? plan_.needs.request_headers
                : map == HeaderMap::response ? plan_.needs.response_headers
                                             : plan_.needs.trailers;
  names.push_back(name);
}

uint32_t FilterParser::header_key(uint32_t map, const FilterToken& key, std::string name) {
  name = ascii::lower_case(name);
  const auto headers = plan_.nodes[map].headers;
  if (name.empty()) return fail(key.column, "names no header");
  const bool pseudo = name.starts_with(':');
  const bool known = headers == HeaderMap::request && (name == ":path" || name == ":method" ||
                                                       name == ":authority" || name == ":scheme");
  if (pseudo && !known) return fail(key.column, istio::quoted(name) + " is not supported");
  want(headers, name);
  plan_.texts.push_back(std::move(name));
  return add({.op = FilterOp::header,
              .type = FilterType::text,
              .right = static_cast<uint32_t>(plan_.texts.size() - 1),
              .headers = headers});
}

// request.headers["x-test"]
uint32_t FilterParser::header_of(uint32_t map) {
  advance();
  const FilterToken key = take();
  if (key.kind != Kind::text) return fail(key.column, "a header's name in quotes is wanted");
  auto name = unescaped(key);
  if (!name) return fail(key.column, "has an escape that is not supported");
  const uint32_t out = header_key(map, key, std::move(*name));
  expect_symbol("]");
  return out;
}

// Behind has: an attribute or request.headers.name, as CEL's macro takes them.
uint32_t FilterParser::presence() {
  expect_symbol("(");
  const FilterToken first = take();
  if (first.kind != Kind::name) return fail(first.column, "has() wants an attribute");
  uint32_t of = path(first);
  if (!failed() && type_of(of) == FilterType::headers && accept(".")) {
    const FilterToken key = take();
    if (key.kind != Kind::name) return fail(key.column, "a header's name is wanted");
    of = header_key(of, key, std::string(key.text));
  }
  if (at_symbol("["))
    return fail(token_.column, "has() takes no index: write 'name' in request.headers");
  expect_symbol(")");
  if (failed()) return 0;
  if (type_of(of) == FilterType::headers)
    return fail(first.column, "has() wants one of the headers");
  return add_condition(FilterOp::has, of, 0);
}

// receiver.startsWith("..."), or request.headers.name
uint32_t FilterParser::method(uint32_t receiver) {
  static constexpr std::pair<std::string_view, FilterOp> methods[] = {
      {"startsWith", FilterOp::starts_with},
      {"endsWith", FilterOp::ends_with},
      {"contains", FilterOp::contains},
      {"matches", FilterOp::matches}};
  advance();
  const FilterToken name = take();
  if (failed()) return 0;
  if (name.kind != Kind::name) return fail(name.column, "a name is wanted behind '.'");
  if (!at_symbol("(")) {
    if (type_of(receiver) == FilterType::headers)
      return header_key(receiver, name, std::string(name.text));
    return fail(name.column, istio::quoted(name.text) + " is not a known attribute");
  }
  const auto* const found = std::find_if(std::begin(methods), std::end(methods),
                                         [&](const auto& one) { return one.first == name.text; });
  if (found == std::end(methods))
    return fail(name.column, "the function " + std::string(name.text) + "() is not supported");
  advance();
  const auto column = token_.column;
  const uint32_t argument = disjunction();
  expect_symbol(")");
  if (failed()) return 0;
  if (type_of(receiver) != FilterType::text || type_of(argument) != FilterType::text)
    return fail(name.column, std::string(name.text) + "() is for strings");
  if (found->second != FilterOp::matches) return add_condition(found->second, receiver, argument);
  if (plan_.nodes[argument].op != FilterOp::literal)
    return fail(column, "matches() wants a literal pattern");
  const std::string& pattern = plan_.texts[plan_.nodes[argument].left];
  if (const auto problem = istio::regex_problem(pattern)) return fail(column, *problem);
  plan_.regexes.emplace_back(pattern);
  return add_condition(FilterOp::matches, receiver,
                       static_cast<uint32_t>(plan_.regexes.size() - 1));
}

}  // namespace sallyport::observe
