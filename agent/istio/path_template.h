// Paths of AuthorizationPolicies with the operators `{*}` (one segment) and `{**}` (the rest).
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::istio {

bool is_path_template(std::string_view path);
// What Istio's validation says of any path of a rule; none: it is well formed.
std::optional<std::string> path_template_problem(std::string_view path);
// What a template's literals consist of, and what its operators take of a path besides `/`:
// RFC 3986's pchar without `*` (Envoy's uri_template).
bool is_path_character(char c);

}  // namespace sallyport::istio
