#include "agent/mesh/match.h"

#include <algorithm>

#include "agent/core/ascii.h"

namespace sallyport::mesh {
namespace {

using Kind = istio::StringMatch::Kind;

bool equal(std::string_view a, std::string_view b, bool ignore_case) {
  if (!ignore_case) return a == b;
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return ascii::lower(x) == ascii::lower(y);
         });
}

struct Value {
  bool present = false;
  std::string_view text;
  std::string joined;  // of a field that came several times
  std::string_view view() const { return joined.empty() ? text : joined; }
};

// Several fields of a name count as one with commas between (RFC 9110 section 5.3).
Value field(const RequestFacts& request, std::string_view name) {
  if (name == ":authority") return {true, request.authority, {}};
  if (name == ":path") return {true, request.path, {}};
  if (name == ":method") return {true, request.method, {}};
  if (name == ":scheme") return {true, request.scheme, {}};
  Value out;
  if (!request.head) return out;
  for (std::size_t i = 0; i < request.head->count; i++) {
    const auto& one = request.head->fields[i];
    if (!http::same_name(request.head->name(one), name)) continue;
    if (!out.present) {
      out = {true, request.head->value(one), {}};
    } else {
      if (out.joined.empty()) out.joined = out.text;
      out.joined.append(",").append(request.head->value(one));
    }
  }
  return out;
}

// The first of that name; not decoded (measured).
Value query_parameter(std::string_view path, std::string_view name) {
  const auto mark = path.find('?');
  if (mark == path.npos) return {};
  auto rest = path.substr(mark + 1);
  rest = rest.substr(0, rest.find('#'));
  while (!rest.empty()) {
    const auto pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == name)
      return {true, pair.substr(std::min(equals + 1, pair.size())), {}};
  }
  return {};
}

bool holds(const NamedMatch& named, const Value& value) {
  if (!value.present) return false;
  return matches(named.match, value.view());
}

bool method_and_names(const RouteMatch& match, const RequestFacts& request) {
  const auto fits = [](const std::optional<TextMatch>& wanted, std::string_view value) {
    return !wanted || matches(*wanted, value);
  };
  return fits(match.method, request.method) && fits(match.scheme, request.scheme) &&
         fits(match.authority, request.authority);
}

}  // namespace

std::string_view path_only(std::string_view path) {
  return path.substr(0, path.find_first_of("?#"));
}

bool matches(const TextMatch& wanted, std::string_view value, bool ignore_case) {
  const std::string_view text = wanted.match.value;
  switch (wanted.match.kind) {
    case Kind::exact:
      return equal(value, text, ignore_case);
    case Kind::prefix:
      return equal(value.substr(0, text.size()), text, ignore_case);
    case Kind::regex:
      return wanted.regex->matches_all_of(value);
    case Kind::present:
      return true;
  }
  return false;
}

bool matches(const RouteMatch& match, const RequestFacts& request) {
  if (match.path && !matches(*match.path, path_only(request.path), match.ignore_path_case))
    return false;
  if (!method_and_names(match, request)) return false;
  const auto has = [&](const NamedMatch& named) {
    return holds(named, field(request, named.name));
  };
  if (!std::all_of(match.headers.begin(), match.headers.end(), has)) return false;
  if (std::any_of(match.without_headers.begin(), match.without_headers.end(), has)) return false;
  return std::all_of(match.query.begin(), match.query.end(), [&](const NamedMatch& named) {
    return holds(named, query_parameter(request.path, named.name));
  });
}

}  // namespace sallyport::mesh
