// The server's side of a connection in words: the PeerAuthentication that decides who is let in,
// and the AuthorizationPolicies that decide what they may. Pure; for people, not for the data path.
#pragma once
#include <string>
#include <vector>

#include "agent/mesh/explain.h"

namespace sallyport::mesh {

struct InboundQuestion {
  uint16_t port = 0;        // the container's
  bool mutual_tls = false;  // the client's sidecar speaks Istio's mutual TLS
  std::string principal;    // of the client, with mutual TLS: "spiffe://cluster.local/ns/a/sa/b"
  std::string sni;
  SocketAddress client;          // unset: not known, no ipBlocks match
  RequestFacts request;          // without a head: not HTTP
  std::string_view scheme = {};  // of the request; empty: by mutual_tls
};

struct InboundExplanation {
  std::vector<ExplainedStep> steps;  // "server mTLS", "server policy"
  std::string refused;               // why the server's sidecar does not let it in; empty: it does
};

// What the AuthorizationPolicies of `input.proxy` say: the one step "server policy".
InboundExplanation explain_policy(const CompileInput& input, const InboundQuestion& question);

// `input.proxy` is the server's workload.
InboundExplanation explain_inbound(const CompileInput& input, const InboundQuestion& question);

}  // namespace sallyport::mesh
