// YAML or JSON text to typed resources, with line numbers, one document at a time. Pure: no files
// are read here.
//
// Limits: limits::document_bytes, yaml_nodes, yaml_depth (aliases are expanded and counted).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"
#include "agent/istio/resources.h"

namespace sallyport::istio {

enum class Severity : uint8_t { warning, error };

struct Finding {  // "rules.yaml:14: DestinationRule default/x: spec.trafficPolicy.tls.mode: ..."
  Severity severity = Severity::error;
  std::string file;
  int line = 0;
  std::string kind, namespace_name, name;  // as far as known
  std::string field;                       // "spec.ports[0].number"
  std::string reason;
  std::string text() const;
};

// A resource that was refused still says what it meant to protect, so that those hosts can be
// closed (fail closed).
struct Refused {
  Finding finding;
  std::string kind;  // ServiceEntry, DestinationRule, ...; empty: unknown
  std::string namespace_name, name;
  std::vector<std::string> hosts;  // as far as they could be read; empty: unknown
  ResourceRefPtr ref;
  // Of a PeerAuthentication, AuthorizationPolicy or Sidecar: what the workloads that it protects
  // are labelled with, as far as that could be read (nothing: all of its namespace, or of the
  // mesh); none: it protects no workload.
  // Of a Gateway likewise: of the proxies that serve it.
  std::optional<Labels> selector = std::nullopt;
  std::vector<std::string> gateways = {};   // of a VirtualService, as written; empty: mesh
  std::vector<RefusedServer> servers = {};  // of a Gateway, as far as they could be read
};

struct Decoded {
  std::vector<Resource> resources;
  std::vector<Finding> findings;  // warnings and errors
  std::vector<Refused> refused;
};

// All documents of `text` (multi-document, JSON, kind: List). A document that is no resource of
// ours (other kinds) is a warning, EnvoyFilter and the like name themselves unsupported; a broken
// one never hides the next where the parser can find the next `---`.
Decoded decode(std::string_view text, std::string_view file);
struct Document;  // istio/documents.h
Decoded decode(const Document& document, const SharedText& file);

struct MeshConfigResult {
  MeshConfig config;
  std::vector<Finding> findings;
};
// Either a bare MeshConfig document or a ConfigMap with key `mesh` (as in istio-system/istio).
// With an error among the findings the config must not be used: a mistyped REGISTRY_ONLY would open
// everything.
MeshConfigResult decode_mesh_config(std::string_view text, std::string_view file);

struct ProxyConfigResult {
  ProxyConfig config;
  std::vector<Finding> findings;
};
// A ProxyConfig over `base`, field by field: what the injector puts into PROXY_CONFIG. `source`
// names it in findings.
ProxyConfigResult decode_proxy_config(std::string_view text, std::string_view source,
                                      ProxyConfig base);

}  // namespace sallyport::istio
