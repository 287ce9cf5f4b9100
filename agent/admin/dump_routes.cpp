#include <algorithm>
#include <map>

#include "agent/admin/config_dump.h"
#include "agent/admin/json.h"
#include "agent/mesh/compile_gateway.h"

namespace sallyport::admin {
namespace {

using Kind = istio::StringMatch::Kind;

// Envoy's StringMatcher, but for "present", which has a field of its own.
void dump_text_match(JsonWriter& json, const mesh::TextMatch& text) {
  const auto& [kind, value] = text.match;
  if (kind == Kind::present) json.field("present_match", true);
  if (kind == Kind::present) return;
  json.object("string_match", [&] {
    if (kind == Kind::exact) json.field("exact", value);
    if (kind == Kind::prefix) json.field("prefix", value);
    if (kind == Kind::regex) {
      json.object("safe_regex", [&] { json.field("regex", value); });
    }
  });
}

void dump_named_match(JsonWriter& json, const std::string& name, const mesh::TextMatch& value,
                      bool inverted) {
  json.object([&] {
    json.field("name", name);
    dump_text_match(json, value);
    if (inverted) json.field("invert_match", true);
  });
}

// Envoy has method, scheme and authority as pseudo-headers.
void dump_header_matches(JsonWriter& json, const mesh::RouteMatch& match) {
  const auto pseudo = [&json](const char* name, const std::optional<mesh::TextMatch>& value) {
    if (value) dump_named_match(json, name, *value, false);
  };
  json.array("headers", [&] {
    pseudo(":method", match.method);
    pseudo(":authority", match.authority);
    pseudo(":scheme", match.scheme);
    for (const auto& one : match.headers) dump_named_match(json, one.name, one.match, false);
    for (const auto& one : match.without_headers) dump_named_match(json, one.name, one.match, true);
  });
}

void dump_match(JsonWriter& json, const mesh::RouteMatch* match) {
  json.object("match", [&] {
    if (!match || !match->path || match->path->match.kind == Kind::present) {
      json.field("prefix", "/");
    } else if (match->path->match.kind == Kind::regex) {
      json.object("safe_regex", [&] { json.field("regex", match->path->match.value); });
    } else {
      json.field(match->path->match.kind == Kind::exact ? "path" : "prefix",
                 match->path->match.value);
    }
    if (!match) return;
    if (match->ignore_path_case) json.field("case_sensitive", false);
    if (match->method || match->authority || match->scheme || !match->headers.empty() ||
        !match->without_headers.empty()) {
      dump_header_matches(json, *match);
    }
    if (match->query.empty()) return;
    json.array("query_parameters", [&] {
      for (const auto& one : match->query) dump_named_match(json, one.name, one.match, false);
    });
  });
}

void dump_redirect(JsonWriter& json, const mesh::Redirect& redirect) {
  json.object("redirect", [&] {
    if (!redirect.authority.empty()) json.field("host_redirect", redirect.authority);
    if (!redirect.scheme.empty()) json.field("scheme_redirect", redirect.scheme);
    if (!redirect.path.empty()) json.field("path_redirect", redirect.path);
    if (!redirect.prefix_rewrite.empty()) json.field("prefix_rewrite", redirect.prefix_rewrite);
    if (redirect.port) json.field("port_redirect", redirect.port);
    json.field("response_code", redirect.code);
  });
}

void dump_rewrite(JsonWriter& json, const mesh::Rewrite& rewrite) {
  if (!rewrite.authority.empty()) json.field("host_rewrite_literal", rewrite.authority);
  if (!rewrite.path.empty()) json.field("prefix_rewrite", rewrite.path);
  if (rewrite.regex_text.empty()) return;
  json.object("regex_rewrite", [&] {
    json.object("pattern", [&] { json.field("regex", rewrite.regex_text); });
    json.field("substitution", rewrite.substitution);
  });
}

void dump_split(JsonWriter& json, const std::vector<mesh::WeightedCluster>& split) {
  json.object("weighted_clusters", [&] {
    json.array("clusters", [&] {
      for (const auto& one : split) {
        json.object([&] {
          json.field("name", one.cluster ? one.cluster->name : one.missing);
          json.field("weight", one.weight);
        });
      }
    });
  });
}

std::string retry_conditions(uint16_t on) {
  static constexpr std::pair<uint16_t, std::string_view> names[] = {
      {mesh::retry_connect_failure, "connect-failure"},
      {mesh::retry_reset, "reset"},
      {mesh::retry_reset_before_request, "reset-before-request"},
      {mesh::retry_5xx, "5xx"},
      {mesh::retry_gateway_error, "gateway-error"},
      {mesh::retry_4xx, "retriable-4xx"},
      {mesh::retry_status_codes, "retriable-status-codes"},
      {mesh::retry_envoy_ratelimited, "envoy-ratelimited"},
  };
  std::string out;
  for (const auto& [bit, name] : names) {
    if (on & bit) (out += out.empty() ? "" : ",") += name;
  }
  return out;
}

void dump_forward(JsonWriter& json, const mesh::Route& route) {
  json.object("route", [&] {
    if (route.cluster) {
      json.field("cluster", route.cluster->name);
    } else {
      dump_split(json, route.split);
    }
    if (route.actions && route.actions->rewrite) dump_rewrite(json, *route.actions->rewrite);
    json.field("timeout", seconds_text(route.timeout));
    json.object("retry_policy", [&] {
      json.field("retry_on", retry_conditions(route.retry.on));
      json.field("num_retries", route.retry.attempts);
      if (route.retry.per_try_timeout.count() > 0) {
        json.field("per_try_timeout", seconds_text(route.retry.per_try_timeout));
      }
    });
  });
}

void dump_route(JsonWriter& json, const mesh::Route& route) {
  json.object([&] {
    json.field("name", route.name);
    dump_match(json, route.match.get());
    if (route.cluster || !route.split.empty()) {
      dump_forward(json, route);
    } else if (route.actions && route.actions->redirect) {
      dump_redirect(json, *route.actions->redirect);
    } else {
      json.object("direct_response", [&] { json.field("status", route.direct_status); });
    }
    dump_origin(json, route.from);
  });
}

void dump_virtual_host(JsonWriter& json, const mesh::VirtualHost& host,
                       std::vector<std::string> domains) {
  std::sort(domains.begin(), domains.end());
  json.object([&] {
    json.field("name", host.name);
    json.array("domains", [&] {
      for (const auto& domain : domains) json.value(domain);
    });
    json.array("routes", [&] {
      for (const auto& route : host.routes) dump_route(json, route);
    });
    if (host.https_only) json.field("require_tls", "ALL");
    dump_origin(json, host.from);
  });
}

void dump_table(JsonWriter& json, const mesh::RouteTable& table) {
  // A virtual host has several domains; by name, so that the dump is stable.
  std::map<std::pair<std::string, const mesh::VirtualHost*>, std::vector<std::string>> hosts;
  for (const auto& [host, to] : table.hosts.exact) hosts[{to->name, to.get()}].push_back(host);
  for (const auto& [suffix, to] : table.hosts.suffix) {
    hosts[{to->name, to.get()}].push_back("*" + suffix);
  }
  json.object("route_config", [&] {
    json.field("@type", "type.googleapis.com/envoy.config.route.v3.RouteConfiguration");
    json.field("name", table.name);
    json.array("virtual_hosts", [&] {
      for (const auto& [key, domains] : hosts) dump_virtual_host(json, *key.second, domains);
      // istiod has "blackhole" only where there is nothing else; a host that is not listed is 404.
      if (table.fallback && (hosts.empty() || !table.fallback->routes.empty()))
        dump_virtual_host(json, *table.fallback, {"*"});
    });
  });
}

}  // namespace

void dump_routes(JsonWriter& json, const mesh::Snapshot& snapshot) {
  std::map<std::pair<std::string, const mesh::RouteTable*>, const mesh::RouteTable*> tables;
  const auto add = [&tables](const std::shared_ptr<const mesh::RouteTable>& table) {
    if (table) tables[{table->name, table.get()}] = table.get();
  };
  for (const auto& [address, listener] : snapshot.by_address) add(listener->http);
  for (const auto& [port, listener] : snapshot.by_port) add(listener->http);
  if (snapshot.catch_all) add(snapshot.catch_all->http);
  mesh::each_chain(snapshot.gateway, [&](const mesh::GatewayChainPtr& chain) { add(chain->http); });
  json.object([&] {
    json.field("@type", "type.googleapis.com/envoy.admin.v3.RoutesConfigDump");
    json.array("dynamic_route_configs", [&] {
      for (const auto& [key, table] : tables) {
        json.object([&, table = table] {
          json.field("version_info", std::to_string(snapshot.version));
          dump_table(json, *table);
        });
      }
    });
  });
}

}  // namespace sallyport::admin
