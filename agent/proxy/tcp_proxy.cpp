#include "agent/proxy/tcp_proxy.h"

#include <ctime>

#include "agent/net/relay.h"
#include "agent/observe/access_record.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {
namespace {

// One opaque connection: logs on every way out. Only the record's inputs are kept while it lasts,
// so that an idle one stays small.
struct Session {
  Worker& worker;
  Client client;
  TcpPlan plan;
  int64_t start_us;
  net::RelayCounts counts = {};
  net::RelayEnd end = {};
  bool connected = false;

  ~Session() {
    if (!connected) return;
    observe::AccessRecord record;
    record.http = false;
    record.start_us = start_us;
    record.duration_us = wall_clock_us() - start_us;
    record.bytes_received = counts.from_client;
    record.bytes_sent = counts.to_client;
    if (end.error && end.error->side == Side::upstream) record.failure_reason = end.error->context;
    if (end.error) record.flags = observe::flag_of(*end.error);
    record.upstream_host = plan.upstream.host;
    record.upstream_local = plan.upstream.local;
    record.downstream_local = client.destination;
    record.downstream_remote = client.stream.peer();
    record.cluster = plan.cluster->name;
    record.sni = plan.sni;
    worker.metrics().count_end(record);
    worker.log().write(record);
  }
};

}  // namespace

int64_t wall_clock_us() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

void log_refusal(Worker& worker, const TcpRefusal& refusal) {
  observe::AccessRecord record;
  record.http = false;
  record.start_us = refusal.start_us;
  record.duration_us = wall_clock_us() - refusal.start_us;
  record.flags = refusal.flags;
  record.details = refusal.details;
  record.failure_reason = refusal.failure_reason;
  record.upstream_host = refusal.upstream_host;
  record.downstream_local = refusal.client.destination;
  record.downstream_remote = refusal.client.stream.peer();
  record.cluster = refusal.cluster;
  record.sni = refusal.sni;
  worker.metrics().count_end(record);
  worker.log().write(record);
}

void log_failure(Worker& worker, const Client& client, const TcpPlan& plan,
                 const upstream::Failure& failure, int64_t start_us) {
  uint32_t flags = observe::flag_of(failure.error);
  // Envoy's tcp_proxy: its only connect attempt is used up.
  if (flags & observe::UF) flags |= observe::URX;
  log_refusal(worker, {.client = client,
                       .cluster = plan.cluster->name,
                       .sni = plan.sni,
                       .flags = flags,
                       .failure_reason = failure.error.context,
                       .upstream_host = failure.host,
                       .start_us = start_us});
}

net::Task<void> serve_tcp(Client client, Worker& worker, TcpPlan plan) {
  Session session{.worker = worker,
                  .client = std::move(client),
                  .plan = std::move(plan),
                  .start_us = wall_clock_us()};
  auto& app = session.client;
  auto& upstream = session.plan.upstream;
  if (!upstream) {
    upstream::Need need;
    need.original_destination = app.destination;
    need.http = false;
    auto acquired = co_await worker.upstreams().acquire(session.plan.cluster, need);
    if (!acquired) {
      log_failure(worker, app, session.plan, acquired.error(), session.start_us);
      co_return app.stream.abort();
    }
    upstream = std::move(*acquired);
  }
  session.connected = true;
  if (const auto first = app.inbox.bytes(); !first.empty()) {
    session.counts.from_client = first.size();
    if (!co_await upstream.stream.write_all(first)) {
      session.end.error = upstream.stream.failure(Side::upstream);
      co_return;
    }
    app.inbox.consume(first.size());
  }
  app.inbox.release();
  session.end = co_await net::relay(app.stream, upstream.stream, session.counts,
                                    session.plan.cluster->tcp_idle);
}

}  // namespace sallyport::proxy
