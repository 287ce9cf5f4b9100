// Why something failed, with the resource that caused it: the same words in log and 503 body.
#pragma once
#include <string>

#include "agent/core/error.h"
#include "agent/mesh/cluster.h"

namespace sallyport::proxy {

// "connect 10.0.0.7:443: Connection refused; DestinationRule default/x (rules.yaml:12)"
inline std::string reason_of(const Error& error) {
  const bool known =
      error.resource.empty() || error.context.find(error.resource) != error.context.npos;
  return known ? error.context : error.context + "; " + error.resource;
}

// A client's own TLS goes into ours: servers understand neither, and it looks like their failure.
inline std::string tls_inside_tls(const mesh::Cluster& cluster) {
  std::string out = "TLS inside TLS: the client speaks TLS itself and ";
  if (!cluster.tls.rule) return out + cluster.name + " is spoken to in TLS";
  ResourceRef rule = *cluster.tls.rule;
  if (cluster.tls.line > 0) rule.line = cluster.tls.line;
  return out + rule.text() + " wraps it again";
}

}  // namespace sallyport::proxy
