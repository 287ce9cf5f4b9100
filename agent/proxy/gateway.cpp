#include "agent/proxy/gateway.h"

#include "agent/core/wall_clock.h"
#include "agent/mesh/decide.h"
#include "agent/proxy/accept_tls.h"
#include "agent/proxy/first_bytes.h"
#include "agent/proxy/http_proxy.h"
#include "agent/proxy/inbound.h"
#include "agent/proxy/reason.h"
#include "agent/proxy/tcp_proxy.h"
#include "agent/proxy/worker.h"
#include "agent/sniff/proxy_protocol.h"

namespace sallyport::proxy {
namespace {

using mesh::GatewayAction;

// Which way the connection goes.
struct GatewayWay {
  GatewayAction action = GatewayAction::refuse;
  mesh::GatewayChainPtr chain;  // null: none took it
  std::string why;              // of a refusal
  TcpPlan tcp;
  bool over = false;  // logged already, or nothing to log; nothing to do
};

const mesh::GatewayListener* listener_of(Worker& worker, const Client& client) {
  return mesh::find_listener(worker.snapshot()->gateway, client.destination);
}

// Where plaintext goes to one TCP cluster and policy lets anybody in, a server that speaks first is
// not waited for in vain.
Expected expect_at(Worker& worker, const Client& client) {
  const auto config = worker.snapshot();  // held: one decision is made on one configuration
  const auto* const found = mesh::find_listener(config->gateway, client.destination);
  if (!found) return {};
  const auto& listener = *found;
  Expected out{.sniff = mesh::must_sniff(listener), .silent_client = nullptr};
  const bool takes_tls = listener.any_tls || !listener.by_sni.empty();
  out.first_byte = takes_tls ? limits::gateway_hello_time : limits::http_idle;
  if (!out.sniff || !listener.plain || listener.plain->http || listener.plain->refused) return out;
  const auto& policies = config->inbound.authorization;
  if (policies && !authorize_connection(*policies, client).allowed) return out;
  const auto& cluster = mesh::cluster_of(*listener.plain->tcp, worker.random());
  if (!cluster->refused) out.silent_client = cluster;
  return out;
}

void log_no_chain(Worker& worker, const Client& client, const GatewayWay& way, int64_t start_us) {
  worker.metrics().no_filter_chain_match.add();
  const bool broken = way.chain && way.chain->refused;
  log_refusal(worker, {.client = client,
                       .cluster = "-",
                       .sni = client.inbound->sni,
                       .flags = observe::NR,
                       .details = "filter_chain_not_found",
                       // Envoy has no words for a broken one: said in the log's own.
                       .termination_details = broken ? std::string_view(way.why) : "",
                       .downstream_failure_reason = way.why,
                       .start_us = start_us});
}

// Decided on the newest snapshot: a client may have been silent for long.
GatewayWay decide_gateway(Worker& worker, Client& client, FirstBytes& first,
                          const mesh::ClusterPtr& opened) {
  GatewayWay way;
  auto& side = *client.inbound;
  side.sni = first.preface.sni;
  side.first = first.preface.protocol;
  way.tcp.sni = side.sni;
  way.tcp.note = first.note;
  way.tcp.client_tls = first.preface.protocol == sniff::Protocol::tls;
  const auto* listener = listener_of(worker, client);
  if (!listener) {
    way.why = "the server of this port is gone";
    return way;
  }
  const auto plan = mesh::decide_gateway(*listener, mesh::hello_of(first.preface));
  way.action = plan.action;
  way.why = plan.why;
  if (!plan.chain) return way;
  way.chain = *plan.chain;
  const auto& chain = *way.chain;
  side.terms = chain.tls;
  side.mesh_only = chain.mesh_only;
  if (chain.refused) way.why = reason_of(*chain.refused);
  side.speaks_http = plan.action != GatewayAction::not_http;
  if (!side.speaks_http) side.instead_of_http = plan.why;
  if (plan.action != GatewayAction::tcp) return way;
  const bool as_expected = opened && first.preface.protocol == sniff::Protocol::opaque &&
                           mesh::leads_to(*chain.tcp, *opened);
  way.tcp.cluster = as_expected ? opened : mesh::cluster_of(*chain.tcp, worker.random());
  if (way.tcp.cluster == opened) way.tcp.upstream = std::move(first.upstream);
  return way;
}

// What the load balancer in front says before the client's bytes (gatewayTopology.proxyProtocol).
// False: it said nothing of the kind, logged.
net::Task<bool> read_proxy_protocol(Worker& worker, Client& client, int64_t start_us) {
  client.stream.set_deadline(limits::client_hello_time);
  sniff::ProxyHeader header;
  for (;;) {
    header = sniff::read_proxy_header(client.inbox.bytes());
    if (header.state != sniff::ProxyState::more) break;
    if (co_await read_more(client) <= 0) break;
  }
  client.stream.set_deadline(std::chrono::milliseconds(0));
  if (header.state == sniff::ProxyState::decided) {
    client.inbox.consume(header.size);
    client.told_source = header.source;
    client.inbound->told_destination = header.destination;
    co_return true;
  }
  if (client.inbox.empty()) co_return false;
  const bool refused = header.state == sniff::ProxyState::refused;
  const std::string why = std::string("PROXY protocol: ") +
                          (refused ? header.reason : "the connection ended within the header");
  worker.metrics().protocol_errors.add();
  log_refusal(worker, {.client = client,
                       .cluster = "-",
                       .flags = observe::DPE,
                       .termination_details = why,
                       .downstream_failure_reason = why,
                       .start_us = start_us});
  client.stream.abort();
  co_return false;
}

net::Task<GatewayWay> choose_gateway_way(Worker& worker, Client& client, int64_t start_us) {
  GatewayWay way;
  auto expected = expect_at(worker, client);
  const auto opened = expected.silent_client;
  auto first = co_await first_bytes(client, worker, std::move(expected));
  way.over = first.gone;
  if (first.gone) co_return way;
  way = decide_gateway(worker, client, first, opened);
  if (first.failure && way.action == GatewayAction::tcp && way.tcp.cluster == opened) {
    log_failure(worker, client, way.tcp, *first.failure, start_us);
    client.stream.abort();
    way.over = true;
  }
  co_return way;
}

// The handshake. False: it is over and logged.
net::Task<bool> end_tls(Worker& worker, Client& client, const mesh::GatewayChain& chain,
                        int64_t start_us) {
  auto ssl = worker.gateway_tls().open(chain, client.inbox.bytes());
  if (!start_tls(worker, client, std::move(ssl), start_us)) co_return false;
  const ssize_t result = co_await client.stream.handshake();
  if (!shook_hands(worker, client, result, start_us)) co_return false;
  auto& side = *client.inbound;
  side.tls = true;
  if (side.terms->asks_for_client()) side.peer = gateway_peer(*client.stream.ssl());
  side.mutual_tls = !side.peer.forwarded_cert.empty();
  co_return true;
}

void serve_bytes(Client client, Worker& worker, GatewayWay& way, int64_t start_us) {
  const auto& cluster = way.tcp.cluster;
  if (cluster->refused) {
    log_refusal(worker, {.client = client,
                         .cluster = cluster->name,
                         .sni = client.inbound->sni,
                         .flags = observe::UH,
                         .failure_reason = reason_of(*cluster->refused),
                         .start_us = start_us});
    return client.stream.close();
  }
  // AUTO_PASSTHROUGH is not authorized here (istiod builds its chains without): identities are
  // between its ends.
  const bool judged = !client.inbound->mesh_only;
  if (judged && !let_in(worker, client, *cluster, start_us)) return;
  worker.loop().spawn(serve_tcp(std::move(client), worker, std::move(way.tcp)));
}

}  // namespace

const mesh::GatewayChainPtr* chain_now(const mesh::Snapshot& config, const Client& client) {
  const auto* listener = mesh::find_listener(config.gateway, client.destination);
  if (!listener) return nullptr;
  // Whoever came by AUTO_PASSTHROUGH once had offered Istio's ALPN.
  const auto& side = *client.inbound;
  return mesh::decide_gateway(*listener, {.protocol = side.first, .sni = side.sni, .of_mesh = true})
      .chain;
}

bool is_still_served(const mesh::GatewayChainPtr* now, const InboundSide& was) {
  return now && !(*now)->refused && (*now)->tls == was.terms;
}

net::Task<void> serve_gateway(net::Stream accepted, Worker& worker) {
  const int64_t start_us = wall_clock_us();
  Client client{.stream = std::move(accepted),
                .destination = {},
                .inbox = {},
                .active = ActiveConnection(worker.metrics()),
                .id = worker.log().next_connection_id()};
  client.destination = client.stream.local();
  client.inbound = std::make_unique<InboundSide>();
  client.inbound->gateway = true;
  if (worker.snapshot()->mesh.default_config.gateway_topology.proxy_protocol &&
      !co_await read_proxy_protocol(worker, client, start_us))
    co_return;
  auto way = co_await choose_gateway_way(worker, client, start_us);
  if (way.over) co_return;
  if (way.action == GatewayAction::terminate) {
    const auto& chain = *way.chain;
    if (!co_await end_tls(worker, client, chain, start_us)) co_return;
    way.action = mesh::after_tls(chain);
    way.tcp.client_tls = false;
    if (chain.tcp) way.tcp.cluster = mesh::cluster_of(*chain.tcp, worker.random());
  }
  switch (way.action) {
    case GatewayAction::http:
    case GatewayAction::not_http:
      co_return worker.loop().spawn(serve_http(std::move(client), worker));
    case GatewayAction::tcp:
      co_return serve_bytes(std::move(client), worker, way, start_us);
    default:
      log_no_chain(worker, client, way, start_us);
      client.stream.abort();
  }
}

}  // namespace sallyport::proxy
