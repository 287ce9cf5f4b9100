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

void check(const StringMatch& match, Fields& fields, MatchOf of) {
  if (of == MatchOf::origin && match.value.empty()) {
    return fields.error("", "'' is not a valid match type for CORS allow origins");
  }
  if (match.kind == StringMatch::Kind::prefix && match.value.empty() && of != MatchOf::uri) {
    fields.error("prefix", "prefix string match should not be empty");
  }
  if (match.kind != StringMatch::Kind::regex) return;
  if (of == MatchOf::without_header && match.value == "*") return;
  if (auto problem = regex_problem(match.value)) fields.error("regex", *problem);
}

std::optional<StringMatch> string_match(Fields& match, std::string_view name, MatchOf of) {
  std::optional<StringMatch> out;
  match.object(name, [&](Fields& fields) { out = decode_string_match(fields, of); });
  return out;
}

// Pseudo headers and claims of a JWT are matched like headers.
void check_header_name(Fields& fields, std::string_view name) {
  constexpr std::string_view pseudo[] = {":method", ":scheme", ":authority", ":path", ":status"};
  const bool known = std::find(std::begin(pseudo), std::end(pseudo), name) != std::end(pseudo);
  if (known || is_claim(name) || is_token(name)) return;
  fields.error(name, "header name " + quoted(name) + " is not a valid header name");
}

// A map from names to matches; `headers`: the names are those of headers.
StringMatches string_matches(Fields& match, std::string_view name, MatchOf of, bool headers) {
  StringMatches out;
  match.object(name, [&](Fields& map) {
    for (const auto& entry : match.find(name)->entries) {
      if (headers) check_header_name(map, entry.key);
      if (map.is_null(entry.key)) {
        map.find(entry.key);
        map.error(entry.key, "header match cannot be null");
        continue;
      }
      auto one = string_match(map, entry.key, of);
      if (one) out.emplace(headers ? lower_case(entry.key) : entry.key, std::move(*one));
    }
  });
  return out;
}

}  // namespace

StringMatch decode_string_match(Fields& fields, MatchOf of) {
  StringMatch match;
  int given = 0;
  for (const Form& form : forms) {
    if (!fields.has(form.field)) continue;
    match = {form.kind, fields.text(form.field)};
    given++;
  }
  if (given > 1) fields.error("", "only one of exact, prefix or regex can be set");
  check(match, fields, of);
  return match;
}

HttpMatch decode_http_match(Fields& fields) {
  HttpMatch match;
  match.line = fields.line();
  match.name = fields.text("name");
  match.uri = string_match(fields, "uri", MatchOf::uri);
  match.scheme = string_match(fields, "scheme", MatchOf::text);
  match.method = string_match(fields, "method", MatchOf::text);
  match.authority = string_match(fields, "authority", MatchOf::text);
  match.headers = string_matches(fields, "headers", MatchOf::text, true);
  match.without_headers = string_matches(fields, "withoutHeaders", MatchOf::without_header, true);
  match.query_params = string_matches(fields, "queryParams", MatchOf::text, false);
  match.ignore_uri_case = fields.boolean("ignoreUriCase").value_or(false);
  decode_client_match(match, fields);
  if (!match.source_namespace.empty() && !is_dns_label(match.source_namespace)) {
    fields.error("sourceNamespace",
                 "sourceNamespace match " + quoted(match.source_namespace) + " is invalid");
  }
  fields.ignore({"statPrefix"});
  return match;
}

}  // namespace sallyport::istio
