// A configuration dump as tables, JSON or YAML: the pure part of `sallyport proxy-config`.
// Columns, their order, padding and wording are istioctl's (istioctl/pkg/writer/envoy of summer
// 2026).
#pragma once
#include <cstdint>
#include <string>

#include "agent/cli/json_document.h"
#include "agent/cli/json_output.h"
#include "agent/core/error.h"

namespace sallyport::cli {

struct ProxyConfigQuery {
  Output output = Output::table;
  // Filters, each as istioctl has it; empty or 0: not asked for.
  std::string fqdn, direction, subset;  // clusters
  std::string address;                  // listeners, endpoints
  std::string type;                     // listeners: HTTP, TCP, HTTP+TCP
  std::string name;                     // routes, secrets
  std::string cluster, status;          // endpoints
  uint16_t port = 0;                    // clusters, listeners, endpoints
  bool verbose = true;                  // listeners and routes: with matches and destinations
  bool with_headers = false;            // all: a title above each table
  bool typed_names = false;             // all: "cluster/...", "listener/..."
  int64_t now = 0;                      // seconds since 1970, for VALID CERT
};

// Each: /config_dump → what is printed, with a line feed at its end. Error: it is no dump.
Result<std::string> view_listeners(const Json* dump, const ProxyConfigQuery& query);
Result<std::string> view_routes(const Json* dump, const ProxyConfigQuery& query);
Result<std::string> view_clusters(const Json* dump, const ProxyConfigQuery& query);
Result<std::string> view_secrets(const Json* dump, const ProxyConfigQuery& query);
// `document`: /clusters?format=json (live state), or a config dump (what is configured).
Result<std::string> view_endpoints(const Json* document, const ProxyConfigQuery& query);
// `clusters`: /clusters?format=json for the endpoints' state, or nullptr.
Result<std::string> view_all(const Json* dump, const Json* clusters, const ProxyConfigQuery& query);

// Shared by the parts.
inline constexpr std::size_t table_padding = 5;  // between columns; a listener's table has its own
// The element of "configs" of this message: "ClustersConfigDump". Error: not there.
Result<const Json*> section(const Json* dump, std::string_view message);
// Of an element of SecretsConfigDump: its certificate chain, or its CA certificates.
std::string secret_pem(const Json* secret);
// VIRTUAL SERVICE and DESTINATION RULE: "reviews.default", by Istio's metadata of `message`.
std::string managed_by(const Json* message);
// The parts of "outbound|80|v1|a.test"; false: a name of another kind.
struct ClusterName {
  std::string direction, port, subset, fqdn;
};
bool parse_cluster_name(const std::string& name, ClusterName& parts);
std::string describe_path(const Json* route_match);  // "/api*", "PathPrefix:/get", "regex .*"
bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace sallyport::cli
