// AuthorizationPolicy, compiled for one workload, and its answer to a request or connection
// (istio-api.md 1.8; istio/istio:pilot/pkg/security/authz). Immutable; pure; shared between
// workers.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/address.h"
#include "agent/core/resource_ref.h"
#include "agent/http/message/head.h"
#include "agent/istio/decode.h"

namespace sallyport::mesh {

struct CompileInput;

struct AuthorizationRules;  // inside authorization.cpp

// What selects this workload: AUDIT, DENY and ALLOW policies in evaluation order, and what could
// not be evaluated.
struct Authorization {
  std::shared_ptr<const AuthorizationRules> http, tcp;  // HTTP-only fields count as 2.8 of 1.8
  bool operator==(const Authorization&) const;          // same policies, by their refs
};
using AuthorizationPtr = std::shared_ptr<const Authorization>;

// Null: no policy selects the workload, everything is allowed. CUSTOM, JWT-based and refused
// policies deny all that they select, each with a finding.
AuthorizationPtr compile_authorization(const CompileInput& input,
                                       std::vector<istio::Finding>& findings);

// What a rule may ask of a connection, and of a request on it. Views live for the call.
struct AuthorizationFacts {
  SocketAddress peer;         // the socket's: ipBlocks, source.ip
  SocketAddress remote;       // after X-Forwarded-For; a sidecar's is the peer: remoteIpBlocks
  SocketAddress destination;  // destination.ip, destination.port
  // URI SANs of the peer's certificate (the first is its principal); empty without mutual TLS.
  std::span<const std::string> uri_sans;
  std::string_view sni;              // connection.sni
  const http::Head* head = nullptr;  // null: not HTTP; the rest is empty then
  std::string_view authority, path, method;
};

struct AuthorizationAnswer {
  bool allowed = true;
  // "ns[foo]-policy[deny-all]-rule[0]" of the policy that decided; "none": no ALLOW matched.
  // Empty: nothing refused it.
  std::string_view policy;
  ResourceRefPtr because;       // that policy; null: none
  std::string_view reason;      // of one that can't be evaluated, for the log; else empty
  std::string_view dry_run;     // policy that would have refused it (istio.io/dry-run); else empty
  std::string_view audited_by;  // of an AUDIT policy that matched; else empty
};
// Views live as long as `authorization`.
AuthorizationAnswer authorize(const Authorization& authorization, const AuthorizationFacts& facts);

}  // namespace sallyport::mesh
