#include "agent/mesh/delegates.h"

#include <algorithm>
#include <optional>

namespace sallyport::mesh {
namespace {

using istio::HttpMatch;
using istio::HttpRoute;
using istio::StringMatch;
using Kind = istio::StringMatch::Kind;

bool contradict(const StringMatch& root, const StringMatch& leaf) {
  if (root.kind == Kind::present || leaf.kind == Kind::present) return false;
  if (root.kind == Kind::regex || leaf.kind == Kind::regex) return true;
  if (root.kind == Kind::exact) return leaf.kind == Kind::prefix || root.value != leaf.value;
  return !leaf.value.starts_with(root.value);
}

bool contradict(const std::optional<StringMatch>& root, const std::optional<StringMatch>& leaf) {
  return root && leaf && contradict(*root, *leaf);
}

bool contradict(const istio::StringMatches& root, const istio::StringMatches& leaf) {
  return std::any_of(root.begin(), root.end(), [&](const auto& entry) {
    const auto at = leaf.find(entry.first);
    return at != leaf.end() && contradict(entry.second, at->second);
  });
}

bool contradict(const istio::Labels& root, const istio::Labels& leaf) {
  return std::any_of(root.begin(), root.end(), [&](const auto& entry) {
    const auto at = leaf.find(entry.first);
    return at != leaf.end() && entry.second != at->second;
  });
}

bool contradict(const HttpMatch& root, const HttpMatch& leaf) {
  const bool case_differs = root.uri && leaf.uri && root.ignore_uri_case != leaf.ignore_uri_case;
  const bool ports = root.port && leaf.port && root.port != leaf.port;
  const bool spaces = !root.source_namespace.empty() && !leaf.source_namespace.empty() &&
                      root.source_namespace != leaf.source_namespace;
  return case_differs || ports || spaces || contradict(root.uri, leaf.uri) ||
         contradict(root.scheme, leaf.scheme) || contradict(root.method, leaf.method) ||
         contradict(root.authority, leaf.authority) || contradict(root.headers, leaf.headers) ||
         contradict(root.without_headers, leaf.without_headers) ||
         contradict(root.query_params, leaf.query_params) ||
         contradict(root.source_labels, leaf.source_labels);
}

HttpMatch merged(const HttpMatch& root, const HttpMatch& leaf) {
  HttpMatch out = leaf;
  const auto inherit = [](auto& own, const auto& other) {
    if (!own) own = other;
  };
  if (!out.uri) out.ignore_uri_case = root.ignore_uri_case;
  inherit(out.uri, root.uri);
  inherit(out.scheme, root.scheme);
  inherit(out.method, root.method);
  inherit(out.authority, root.authority);
  inherit(out.port, root.port);
  out.headers.insert(root.headers.begin(), root.headers.end());
  out.without_headers.insert(root.without_headers.begin(), root.without_headers.end());
  out.query_params.insert(root.query_params.begin(), root.query_params.end());
  out.source_labels.insert(root.source_labels.begin(), root.source_labels.end());
  if (out.source_namespace.empty()) out.source_namespace = root.source_namespace;
  if (out.gateways.empty()) out.gateways = root.gateways;
  if (out.name.empty())
    out.name = root.name;
  else if (!root.name.empty())
    out.name = root.name + "-" + out.name;
  return out;
}

std::vector<HttpMatch> merged(const std::vector<HttpMatch>& root,
                              const std::vector<HttpMatch>& leaf) {
  if (leaf.empty()) return root;
  if (root.empty()) return leaf;
  std::vector<HttpMatch> out;
  for (const auto& outer : root) {
    for (const auto& inner : leaf) {
      if (!contradict(outer, inner)) out.push_back(merged(outer, inner));
    }
  }
  return out;
}

}  // namespace

std::vector<HttpRoute> merge_delegate(const HttpRoute& root,
                                      const std::vector<HttpRoute>& delegate) {
  std::vector<HttpRoute> out;
  for (const auto& leaf : delegate) {
    HttpRoute route = leaf;
    route.match = merged(root.match, leaf.match);
    const bool asked = !root.match.empty() || !leaf.match.empty();
    if (asked && route.match.empty()) continue;
    const auto inherit = [](auto& own, const auto& other) {
      if (!own) own = other;
    };
    if (route.name.empty())
      route.name = root.name;
    else if (!root.name.empty())
      route.name = root.name + "-" + route.name;
    inherit(route.rewrite, root.rewrite);
    inherit(route.direct_response, root.direct_response);
    inherit(route.timeout, root.timeout);
    inherit(route.retries, root.retries);
    inherit(route.fault, root.fault);
    inherit(route.cors, root.cors);
    if (route.mirrors.empty()) route.mirrors = root.mirrors;
    if (route.headers == istio::Headers{}) route.headers = root.headers;
    out.push_back(std::move(route));
  }
  return out;
}

}  // namespace sallyport::mesh
