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

struct AuthorizationRules;  // authorization_rules.h

// What selects this workload: AUDIT, DENY and ALLOW policies in evaluation order, and what could
// not be evaluated.
struct Authorization {
  // On TCP an ALLOW rule with what only HTTP has never matches; DENY and AUDIT rules drop it
  // (istio-api.md 1.8). Never null once compiled.
  std::shared_ptr<const AuthorizationRules> http, tcp;
  bool operator==(const Authorization&) const;  // the same rules of the same policies
};
using AuthorizationPtr = std::shared_ptr<const Authorization>;

// Null: no policy selects the workload, everything is allowed. CUSTOM, JWT-based and refused
// policies deny all that they select, each with a finding; one that never denies (AUDIT, a dry run)
// and can't be evaluated has no effect, with a finding.
AuthorizationPtr compile_authorization(const CompileInput& input,
                                       std::vector<istio::Finding>& findings);

// What a rule may ask of a connection, and of a request on it. Views live for the call.
struct AuthorizationFacts {
  SocketAddress peer;         // the socket's: ipBlocks, source.ip
  SocketAddress remote;       // that, or what X-Forwarded-For names last: remoteIpBlocks
  SocketAddress destination;  // destination.ip, destination.port
  // URI SANs of the peer's certificate: any may be the principal that is asked for; empty without
  // mutual TLS.
  std::span<const std::string> uri_sans;
  std::string_view sni;              // connection.sni
  const http::Head* head = nullptr;  // null: not HTTP; the rest is empty then
  // What goes on with the request beside the client's own fields; Envoy has set it before it asks
  // its rules (measured): "http" or "https"; x-request-id, the client's or ours; our element of
  // x-forwarded-client-cert, without which there is none.
  std::string_view scheme, request_id, forwarded_cert;
  bool admitted = false;  // `head` is what a gateway made of the request: nothing is beside it
  std::string_view authority, path, method;
};

struct AuthorizationAnswer {
  bool allowed = true;
  // What refused it: "ns[foo]-policy[deny-all]-rule[0]"; "none": no ALLOW matched. Of several that
  // match the first by name, as Envoy has it. Empty: nothing refused it.
  std::string_view policy;
  // The rule that refused it or that ALLOW let it in by, at its line; where no ALLOW matched the
  // first of those policies; null: nothing decided.
  ResourceRefPtr because;
  std::string_view reason;      // of one that can't be evaluated, for the log; else empty
  std::string_view dry_run;     // policy that would have refused it (istio.io/dry-run); else empty
  std::string_view audited_by;  // of an AUDIT policy that matched; else empty
};
// AUDIT, then what can't be evaluated, DENY, ALLOW. Allocates nothing, unless a header that a rule
// asks for came several times and is long.
// Views live as long as `authorization`.
AuthorizationAnswer authorize(const Authorization& authorization, const AuthorizationFacts& facts);

}  // namespace sallyport::mesh
