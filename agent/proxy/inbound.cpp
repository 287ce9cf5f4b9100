#include "agent/proxy/inbound.h"

#include "agent/core/wall_clock.h"
#include "agent/mesh/decide.h"
#include "agent/proxy/accept_tls.h"
#include "agent/proxy/captured.h"
#include "agent/proxy/first_bytes.h"
#include "agent/proxy/http_proxy.h"
#include "agent/proxy/log_facts.h"
#include "agent/proxy/reason.h"
#include "agent/proxy/tcp_proxy.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {
namespace {

using mesh::InboundAction;

// Which way the connection goes.
struct InboundWay {
  InboundAction action = InboundAction::refuse;
  std::string_view why;  // of a refusal; a constant
  TcpPlan tcp;
  std::vector<std::string> offered;  // ALPN of the client's hello
  bool over = false;                 // logged already, or nothing to log; nothing to do
};

const mesh::InboundPort& port_of(Worker& worker, const Client& client) {
  return mesh::inbound_port(worker.snapshot()->inbound, client.destination.port());
}

// Where plaintext is let in and policy lets anybody in, an application that speaks first is not
// waited for in vain.
Expected expect(Worker& worker, const Client& client) {
  const auto config = worker.snapshot();
  const auto& port = mesh::inbound_port(config->inbound, client.destination.port());
  Expected out{.sniff = mesh::must_sniff(port), .silent_client = nullptr};
  const bool plaintext = port.mutual_tls.mode != istio::MutualTls::strict;
  if (!out.sniff || !plaintext || port.mutual_tls.refused || port.kind == mesh::PortKind::http)
    return out;
  const auto& policies = config->inbound.authorization;
  if (policies && !authorize_connection(*policies, client).allowed) return out;
  out.silent_client = port.cluster;
  const bool mesh_too = port.mutual_tls.mode != istio::MutualTls::disable;
  if (mesh_too) out.grace = limits::silent_peer_grace;
  return out;
}

// Decided on the newest snapshot: a client may have been silent for long.
InboundWay decide_inbound(Worker& worker, Client& client, FirstBytes& first,
                          const mesh::ClusterPtr& opened) {
  const auto& port = port_of(worker, client);
  const auto plan = mesh::decide_inbound(port, first.preface);
  InboundWay way;
  way.action = plan.action;
  way.why = plan.why;
  way.tcp.cluster = port.cluster;
  way.tcp.sni = first.preface.sni;
  way.tcp.note = first.note;
  way.offered = std::move(first.preface.alpn);
  client.inbound->sni = std::move(first.preface.sni);
  if (plan.action == InboundAction::tcp && port.cluster == opened)
    way.tcp.upstream = std::move(first.upstream);
  return way;
}

net::Task<InboundWay> choose_inbound_way(Worker& worker, Client& client, int64_t start_us) {
  Expected expected = expect(worker, client);
  const auto opened = expected.silent_client;
  auto first = co_await first_bytes(client, worker, std::move(expected));
  InboundWay way;
  way.over = first.gone;
  if (first.gone) co_return way;
  way = decide_inbound(worker, client, first, opened);
  if (first.failure && way.action == InboundAction::tcp && way.tcp.cluster == opened) {
    log_failure(worker, client, way.tcp, *first.failure, start_us);
    client.stream.abort();
    way.over = true;
  }
  co_return way;
}

// No filter chain takes it: reset, as Envoy does, with the policy that closed it.
void refuse(Worker& worker, Client& client, const InboundWay& way, int64_t start_us) {
  worker.metrics().no_filter_chain_match.add();
  const auto& mode = port_of(worker, client).mutual_tls;
  std::string why(way.why);
  // Envoy has no words for a broken one: said in the log's own.
  const bool broken = static_cast<bool>(mode.refused);
  if (mode.refused)
    why = reason_of(*mode.refused);
  else if (mode.from)
    why += "; " + mode.from->text();
  log_refusal(worker, {.client = client,
                       .cluster = "-",
                       .sni = client.inbound->sni,
                       .flags = observe::NR,
                       .details = "filter_chain_not_found",
                       .termination_details = broken ? std::string_view(why) : std::string_view(),
                       .downstream_failure_reason = why,
                       .start_us = start_us});
  client.stream.abort();
}

// The handshake, in which the client shows who it is. False: it is over and logged.
net::Task<bool> terminate(Worker& worker, Client& client, int64_t start_us) {
  auto ssl = worker.mesh_tls().open(*worker.snapshot(), client.inbox.bytes());
  if (!start_tls(worker, client, std::move(ssl), start_us)) co_return false;
  const ssize_t result = co_await client.stream.handshake();
  if (!shook_hands(worker, client, result, start_us)) co_return false;
  client.inbound->mutual_tls = true;
  client.inbound->peer = mesh_peer(*client.stream.ssl());
  co_return true;
}

// What a terminated connection carries.
net::Task<void> look_inside(Worker& worker, Client& client, InboundWay& way) {
  FirstBytes inner;
  if (mesh::must_sniff_inside(port_of(worker, client), way.offered)) {
    Expected anything;
    inner = co_await first_bytes(client, worker, std::move(anything));
    way.over = inner.gone;
    if (inner.gone) co_return;
  }
  const auto& port = port_of(worker, client);
  way.action = mesh::inside(port, way.offered, inner.preface);
  if (port.mutual_tls.refused) way.action = InboundAction::refuse;
  way.tcp.cluster = port.cluster;
}

}  // namespace

bool let_in(Worker& worker, Client& client, const mesh::Cluster& to, int64_t start_us) {
  const auto policies = worker.snapshot()->inbound.authorization;
  if (!policies) return true;
  const auto answer = authorize_connection(*policies, client);
  worker.count(answer);
  if (answer.allowed) return true;
  const std::string details = rbac_details(answer);
  log_refusal(worker, {.client = client,
                       .cluster = to.name,
                       .sni = client.inbound->sni,
                       .termination_details = details,
                       .start_us = start_us});
  client.stream.close();
  return false;
}

mesh::AuthorizationAnswer authorize_connection(const mesh::Authorization& policies,
                                               const Client& client) {
  const auto peer = client.stream.peer();
  return mesh::authorize(policies, {.peer = peer,
                                    .remote = client.source(),
                                    .destination = client.dialled(),
                                    .uri_sans = client.inbound->peer.uri_sans,
                                    .sni = client.inbound->sni});
}

net::Task<void> serve_inbound(net::Stream accepted, Worker& worker) {
  auto client = captured(std::move(accepted), worker);
  if (client) worker.loop().spawn(serve_peer(std::move(*client), worker));
  co_return;
}

net::Task<void> serve_peer(Client client, Worker& worker) {
  const int64_t start_us = wall_clock_us();
  client.inbound = std::make_unique<InboundSide>();
  auto way = co_await choose_inbound_way(worker, client, start_us);
  if (way.over) co_return;
  if (way.action == InboundAction::terminate) {
    if (!co_await terminate(worker, client, start_us)) co_return;
    co_await look_inside(worker, client, way);
    if (way.over) co_return;
  }
  switch (way.action) {
    case InboundAction::http:
      co_return worker.loop().spawn(serve_http(std::move(client), worker));
    case InboundAction::tcp:
      if (let_in(worker, client, *way.tcp.cluster, start_us))
        worker.loop().spawn(serve_tcp(std::move(client), worker, std::move(way.tcp)));
      co_return;
    default:
      co_return refuse(worker, client, way, start_us);
  }
}

}  // namespace sallyport::proxy
