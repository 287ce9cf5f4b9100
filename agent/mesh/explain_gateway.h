// What a gateway's proxy does with a client's connection, in words: the very decisions that a
// worker makes (find_listener, decide_gateway, decide_gateway_request), each with the resource that
// made it. Pure; for people, not for the data path.
#pragma once
#include <vector>

#include "agent/mesh/explain.h"
#include "agent/mesh/gateway.h"

namespace sallyport::mesh {

struct GatewayExplanation {
  Explanation plan;
  GatewayChainPtr chain;  // that took the connection; null: none did
};

// `snapshot` and `findings` are what `input` compiles to, of a router. `question.destination`: the
// port that the client dials, of the gateway's Service where it has one; the address where a server
// is bound to one. `question.request` counts behind TLS, too.
GatewayExplanation explain_gateway(const CompileInput& input, const Snapshot& snapshot,
                                   const std::vector<istio::Finding>& findings,
                                   const Question& question);

// The VirtualServices that have `host` and that none of the servers on the bound `port` has, each
// with the reason: "VirtualService a/b (rules.yaml:3): its gateways do not name default/gw".
std::vector<std::string> virtual_services_not_bound(const CompileInput& input, uint16_t port,
                                                    std::string_view host);

}  // namespace sallyport::mesh
