#include "agent/proxy/outbound.h"

#include "agent/core/wall_clock.h"
#include "agent/http/message/head.h"
#include "agent/mesh/decide.h"
#include "agent/proxy/captured.h"
#include "agent/proxy/first_bytes.h"
#include "agent/proxy/http_proxy.h"
#include "agent/proxy/reason.h"
#include "agent/proxy/tcp_proxy.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {
namespace {

// Which way the connection goes.
struct OutboundWay {
  mesh::Action action = mesh::Action::refuse;
  TcpPlan tcp;  // cluster and sni also for a refusal
  std::string why;
  bool over = false;  // logged already, or nothing to log; nothing to do
};

// Accepted and closed, as Istio's BlackHoleCluster does; or closed because a resource that names it
// is broken.
void refuse(Worker& worker, Client& client, const OutboundWay& way, int64_t start_us) {
  worker.metrics().blackholed.add();
  const auto& refused = way.tcp.cluster->refused;
  std::string why = refused && refused->context == way.why ? reason_of(*refused) : way.why;
  if (*way.tcp.note) (why += "; ") += way.tcp.note;
  log_refusal(worker, {.client = client,
                       .cluster = way.tcp.cluster->name,
                       .sni = way.tcp.sni.str(),
                       .flags = observe::UH,
                       .failure_reason = why,
                       .start_us = start_us});
  client.stream.close();
}

// The authority of a request that nobody routes by; empty: its head is not there as a whole.
std::string_view authority_in(const Client& client, http::Head& head) {
  if (http::parse_request(client.inbox.bytes(), head) != http::Parse::done) return {};
  return head.authority();
}

// What no resource names (--learn).
void learn_egress(Worker& worker, const Client& client, const mesh::ConnectionPlan& plan,
                  const sniff::Preface& preface) {
  using observe::EgressProtocol;
  const auto& config = *worker.seen_snapshot();
  const bool outside = plan.cluster == config.passthrough || plan.cluster == config.black_hole;
  if (worker.egress() == nullptr || !outside) return;
  http::Head head;
  observe::Egress egress{preface.sni, client.stream.peer(), client.destination, EgressProtocol::tcp,
                         plan.action == mesh::Action::refuse};
  if (preface.protocol == sniff::Protocol::tls) egress.protocol = EgressProtocol::tls;
  if (preface.protocol == sniff::Protocol::http1) {
    egress.protocol = EgressProtocol::http;
    egress.name = authority_in(client, head);
  }
  worker.egress()->record(egress, wall_clock_us());
}

// Learning looks at the first bytes of what it would not matter for.
Expected expect(Worker& worker, const mesh::Arrival& arrival) {
  Expected out{arrival.sniff, arrival.silent_client ? arrival.silent_client->cluster : nullptr};
  if (worker.egress() == nullptr || !arrival.unmatched || arrival.sniff) return out;
  out.sniff = true;
  if (out.silent_client) return out;
  out.first_byte = out.grace;
  out.silent_is_opaque = true;
  return out;
}

// Decided on the newest snapshot: a client may have been silent for long, and nothing is held
// meanwhile.
OutboundWay decide_outbound(Worker& worker, Client& client, FirstBytes& first,
                            const mesh::ClusterPtr& opened) {
  const auto& config = *worker.snapshot();
  const auto arrival = mesh::find_listener(config, client.destination);
  const auto plan =
      mesh::decide_connection(config, arrival, client.destination, first.preface, worker.random());
  if (arrival.refused) worker.metrics().loops_refused.add();
  if (!arrival.refused) learn_egress(worker, client, plan, first.preface);
  if (plan.cluster == config.passthrough) worker.metrics().passthrough.add();
  OutboundWay way;
  way.action = plan.action;
  way.why = plan.why;
  way.tcp.cluster = plan.cluster;
  way.tcp.client_tls = first.preface.protocol == sniff::Protocol::tls;
  way.tcp.sni = std::move(first.preface.sni);
  way.tcp.note = first.note;
  // What was opened for a silent client serves only the plan it was opened for.
  if (plan.action == mesh::Action::tcp && plan.cluster == opened)
    way.tcp.upstream = std::move(first.upstream);
  return way;
}

net::Task<OutboundWay> choose_outbound_way(Worker& worker, Client& client, int64_t start_us) {
  const auto arrival = mesh::find_listener(*worker.snapshot(), client.destination);
  Expected expected = expect(worker, arrival);
  const auto opened = expected.silent_client;
  auto first = co_await first_bytes(client, worker, std::move(expected));
  OutboundWay way;
  way.over = first.gone;
  if (first.gone) co_return way;
  way = decide_outbound(worker, client, first, opened);
  if (first.failure && way.tcp.cluster == opened) {
    log_failure(worker, client, way.tcp, *first.failure, start_us);
    client.stream.abort();
    way.over = true;
  }
  co_return way;
}

}  // namespace

// The way, once chosen, is a task of its own: what choosing took is given back while the connection
// lasts.
net::Task<void> serve_outbound(net::Stream accepted, Worker& worker) {
  const int64_t start_us = wall_clock_us();
  auto client = captured(std::move(accepted), worker);
  if (!client) co_return;
  auto way = co_await choose_outbound_way(worker, *client, start_us);
  if (way.over) co_return;
  switch (way.action) {
    case mesh::Action::http:
      co_return worker.loop().spawn(serve_http(std::move(*client), worker));
    case mesh::Action::tcp:
      co_return worker.loop().spawn(serve_tcp(std::move(*client), worker, std::move(way.tcp)));
    case mesh::Action::refuse:
      co_return refuse(worker, *client, way, start_us);
  }
}

}  // namespace sallyport::proxy
