// Exchange, of what enters the pod: the one route to the application, and AuthorizationPolicy.
#include "agent/mesh/decide.h"
#include "agent/proxy/exchange.h"
#include "agent/proxy/log_facts.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

// What the log says of the connection that a request came on.
void Exchange::describe_inbound() {
  if (!client_.inbound) return;
  record_.sni = client_.inbound->sni;
  if (client_.inbound->mutual_tls) record_.scheme = "https";
  keep_downstream_tls(worker_.log(), record_, client_.stream.ssl());
}

// Decided on the newest snapshot: a port that has become STRICT lets no plaintext in on connections
// that are open, either.
std::optional<Refusal> Exchange::route_inbound() {
  const auto& config = *worker_.snapshot();
  const auto& port = mesh::inbound_port(config.inbound, client_.destination.port());
  const bool closed =
      port.mutual_tls.refused ||
      (port.mutual_tls.mode == istio::MutualTls::strict && !client_.inbound->mutual_tls);
  if (closed) {
    worker_.metrics().no_route.add();
    return Refusal{.status = 403,
                   .flags = observe::NR,
                   .details = "filter_chain_not_found",
                   .body = "only mutual TLS of the mesh is let in",
                   .close = true};
  }
  const auto plan = mesh::decide_inbound_request(port);
  follow(plan, mesh::delivery_of(*plan.route, nullptr));
  return authorize();
}

std::optional<Refusal> Exchange::authorize() {
  const auto policies = worker_.snapshot()->inbound.authorization;
  if (!policies) return std::nullopt;
  const auto peer = client_.stream.peer();
  const auto answer = mesh::authorize(*policies, {.peer = peer,
                                                  .remote = peer,
                                                  .destination = client_.destination,
                                                  .uri_sans = client_.inbound->peer.uri_sans,
                                                  .sni = client_.inbound->sni,
                                                  .head = &request_,
                                                  .authority = record_.authority,
                                                  .path = record_.path,
                                                  .method = record_.method});
  worker_.count(answer);
  if (answer.allowed) return std::nullopt;
  denied_by_ = rbac_details(answer);
  return Refusal{.status = 403,
                 .flags = observe::no_flag,
                 .details = denied_by_,
                 .body = "RBAC: access denied"};
}

}  // namespace sallyport::proxy
