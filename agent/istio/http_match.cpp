// HTTPMatchRequest and StringMatch, with Istio's validation of them.
#include "agent/istio/http_fields.h"
#include "agent/istio/kinds.h"
#include "agent/istio/names.h"
#include "agent/istio/regex.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

struct Form {
  std::string_view field;
  StringMatch::Kind kind;
};
constexpr Form forms[] = {{"exact", StringMatch::Kind::exact},
                          {"prefix", StringMatch::Kind::prefix},
                          {"regex", StringMatch::Kind::regex}};

void check(const StringMatch& match, Fields& fields) {
  if (match.kind == StringMatch::Kind::prefix && match.value.empty()) {
    fields.error("prefix", "prefix string match should not be empty");
  }
  if (match.kind != StringMatch::Kind::regex) return;
  if (match.value == "*") return;  // In headers and queryParams Istio takes it for presence.
  if (auto problem = regex_problem(match.value)) fields.error("regex", *problem);
}

std::optional<StringMatch> string_match(Fields& match, std::string_view name) {
  std::optional<StringMatch> out;
  match.object(name, [&](Fields& fields) { out = decode_string_match(fields); });
  return out;
}

// A map from names to matches; `names` says what a name may be.
StringMatches string_matches(Fields& match, std::string_view name, bool headers) {
  StringMatches out;
  match.object(name, [&](Fields& map) {
    for (const auto& entry : match.find(name)->entries) {
      if (headers) check_header_name(map, entry.key);
      if (map.is_null(entry.key)) {
        map.find(entry.key);
        map.error(entry.key, "header match cannot be null");
        continue;
      }
      auto one = string_match(map, entry.key);
      if (one) out.emplace(headers ? lower_case(entry.key) : entry.key, std::move(*one));
    }
  });
  return out;
}

void refuse_regex(Fields& fields, std::string_view name, const std::optional<StringMatch>& match) {
  if (!match || match->kind != StringMatch::Kind::regex) return;
  fields.error(name, std::string(name) + " match does not support regex match for delegating");
}
void refuse_regex(Fields& fields, std::string_view name, const StringMatches& matches) {
  for (const auto& [key, match] : matches) refuse_regex(fields, name, match);
}

}  // namespace

StringMatch decode_string_match(Fields& fields) {
  StringMatch match;
  int given = 0;
  for (const Form& form : forms) {
    if (!fields.has(form.field)) continue;
    match = {form.kind, fields.text(form.field)};
    given++;
  }
  if (given > 1) fields.error("", "only one of exact, prefix or regex can be set");
  check(match, fields);
  return match;
}

HttpMatch decode_http_match(Fields& fields, bool delegating) {
  HttpMatch match;
  match.line = fields.line();
  match.name = fields.text("name");
  match.uri = string_match(fields, "uri");
  match.scheme = string_match(fields, "scheme");
  match.method = string_match(fields, "method");
  match.authority = string_match(fields, "authority");
  match.headers = string_matches(fields, "headers", true);
  match.without_headers = string_matches(fields, "withoutHeaders", true);
  match.query_params = string_matches(fields, "queryParams", false);
  match.ignore_uri_case = fields.boolean("ignoreUriCase").value_or(false);
  decode_client_match(match, fields);
  fields.ignore({"statPrefix"});
  if (!delegating) return match;
  refuse_regex(fields, "uri", match.uri);
  refuse_regex(fields, "scheme", match.scheme);
  refuse_regex(fields, "method", match.method);
  refuse_regex(fields, "authority", match.authority);
  refuse_regex(fields, "headers", match.headers);
  refuse_regex(fields, "withoutHeaders", match.without_headers);
  refuse_regex(fields, "queryParams", match.query_params);
  return match;
}

}  // namespace sallyport::istio
