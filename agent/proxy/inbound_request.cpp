// Exchange, of what enters the pod: the one route to the application, and AuthorizationPolicy.
#include "agent/mesh/decide.h"
#include "agent/proxy/exchange.h"
#include "agent/proxy/log_facts.h"
#include "agent/proxy/reason.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

// Of a connection that came in.
void Exchange::describe_inbound() {
  record_.sni = client_.inbound->sni;
  keep_side(record_, client_);
  keep_downstream_tls(worker_.log(), record_, client_.stream.ssl());
}

// Of a request that was read.
void Exchange::describe_sender() {
  if (client_.of_gateway()) return describe_edge();
  if (client_.inbound && client_.inbound->mutual_tls) record_.scheme = "https";
}

// Decided on the newest snapshot.
std::optional<Refusal> Exchange::route_inbound() {
  const auto& config = *worker_.snapshot();
  const auto& port = mesh::inbound_port(config.inbound, client_.destination.port());
  if (port.mutual_tls.refused) {
    denied_by_ = reason_of(*port.mutual_tls.refused);
    return Refusal{.status = 403,
                   .flags = observe::NR,
                   .details = denied_by_,
                   .body = "a PeerAuthentication for this port can't be read",
                   .close = true};
  }
  // A connection that the port would no longer take serves its last request, as Envoy drains one:
  // no request fails because a mode was changed.
  using istio::MutualTls;
  const auto mode = port.mutual_tls.mode;
  outdated_ = client_.inbound->mutual_tls ? mode == MutualTls::disable : mode == MutualTls::strict;
  const auto plan = mesh::decide_inbound_request(port);
  follow(plan, mesh::delivery_of(*plan.route, nullptr));
  return authorize();
}

std::optional<Refusal> Exchange::authorize() {
  judged_by_ = worker_.seen_snapshot()->inbound.authorization;
  if (!judged_by_) return std::nullopt;
  const auto answer =
      mesh::authorize(*judged_by_, {.peer = record_.downstream_direct_remote,
                                    .remote = record_.downstream_remote,
                                    .destination = client_.dialled(),
                                    .uri_sans = client_.inbound->peer.uri_sans,
                                    .sni = client_.inbound->sni,
                                    .head = &seen(),
                                    .scheme = record_.scheme,
                                    .request_id = record_.request_id,
                                    .forwarded_cert = client_.inbound->peer.forwarded_cert,
                                    .admitted = admitted_ != nullptr,
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
