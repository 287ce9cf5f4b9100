#include "agent/proxy/outbound.h"

#include "agent/mesh/decide.h"
#include "agent/proxy/first_bytes.h"
#include "agent/proxy/http_proxy.h"
#include "agent/proxy/tcp_proxy.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {
namespace {

class ActiveConnection {
public:
  explicit ActiveConnection(observe::WorkerMetrics& metrics) : metrics_(metrics) {
    metrics_.downstream_cx_total.add();
    metrics_.downstream_cx_active.add();
  }
  ~ActiveConnection() { metrics_.downstream_cx_active.sub(); }
  ActiveConnection(const ActiveConnection&) = delete;

private:
  observe::WorkerMetrics& metrics_;
};

// Accepted and closed, as Istio's BlackHoleCluster does; or closed because a resource that names it
// is broken.
void refuse(Worker& worker, Client& client, const TcpPlan& plan, std::string_view why,
            int64_t start_us) {
  worker.metrics().blackholed.add();
  if (plan.cluster && plan.cluster->refused) why = plan.cluster->refused->context;
  log_refusal(worker,
              {.client = client,
               .cluster = plan.cluster ? std::string_view(plan.cluster->name) : "BlackHoleCluster",
               .sni = plan.sni,
               .flags = observe::UH,
               .failure_reason = why,
               .start_us = start_us});
  client.stream.close();
}

// Which way the connection goes. Holds the snapshot only until that is known.
struct Way {
  mesh::Action action = mesh::Action::refuse;
  TcpPlan tcp;  // cluster and sni also for a refusal
  std::string why;
  bool over = false;  // logged already; nothing to do
};

net::Task<Way> choose_way(Worker& worker, Client& client, int64_t start_us) {
  const mesh::SnapshotPtr config = worker.snapshot();
  const auto arrival = mesh::find_listener(*config, client.destination);
  Way way;
  if (arrival.refused) {
    worker.metrics().loops_refused.add();
    way.why = "the proxy's own address was dialled: passing it on would loop";
    co_return way;
  }
  auto first = co_await first_bytes(client, worker, arrival);
  way.over = first.gone;
  if (first.gone) co_return way;
  const auto plan = mesh::decide_connection(*config, arrival, client.destination, first.preface);
  way.action = plan.action;
  way.why = plan.why;
  way.tcp.sni = std::move(first.preface.sni);
  way.tcp.cluster = plan.cluster;
  if (first.failure) {
    log_failure(worker, client, way.tcp, *first.failure, start_us);
    client.stream.abort();
    way.over = true;
  }
  // What was opened for a silent client serves only the plan it was opened for.
  const bool same = arrival.silent_client && plan.action == mesh::Action::tcp &&
                    arrival.silent_client->cluster == plan.cluster;
  if (same) way.tcp.upstream = std::move(first.upstream);
  co_return way;
}

}  // namespace

net::Task<void> serve_outbound(net::Stream accepted, Worker& worker) {
  const ActiveConnection active(worker.metrics());
  const int64_t start_us = wall_clock_us();
  Client client{.stream = std::move(accepted), .destination = {}, .inbox = {}};
  const auto destination = net::original_destination(client.stream);
  if (!destination) {
    worker.metrics().loops_refused.add();
    client.destination = client.stream.local();
    co_return refuse(worker, client, {}, destination.error().context, start_us);
  }
  client.destination = *destination;

  auto way = co_await choose_way(worker, client, start_us);
  if (way.over) co_return;
  switch (way.action) {
    case mesh::Action::http:
      co_return co_await serve_http(std::move(client), worker);
    case mesh::Action::tcp:
      if (way.tcp.cluster->name == "PassthroughCluster") worker.metrics().passthrough.add();
      co_return co_await serve_tcp(std::move(client), worker, std::move(way.tcp));
    case mesh::Action::refuse:
      co_return refuse(worker, client, way.tcp, way.why, start_us);
  }
}

}  // namespace sallyport::proxy
