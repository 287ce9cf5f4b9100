#include "agent/proxy/tcp_proxy.h"

#include "agent/core/wall_clock.h"
#include "agent/mesh/request_hash.h"
#include "agent/net/combine.h"
#include "agent/net/relay.h"
#include "agent/observe/access_record.h"
#include "agent/proxy/log_facts.h"
#include "agent/proxy/reason.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {
namespace {

bool is_tls_inside_tls(const TcpPlan& plan) {
  return plan.client_tls && plan.cluster->tls.of_rule();
}

// One opaque connection: logs on every way out. Only the record's inputs are kept while it lasts,
// so that an idle one stays small.
struct Session {
  Worker& worker;
  Client client;
  TcpPlan plan;
  int64_t start_us;
  net::RelayCounts counts = {};
  bool to_be_logged = false;
  bool too_old = false;             // maxConnectionDuration is over
  std::unique_ptr<Kept> kept = {};  // of what enters the pod
  struct Meter : TcpMeter {
    explicit Meter(Session& of) : session(of) {}
    Session& session;
    void tell(Worker&) override {
      observe::AccessRecord record;
      session.describe(record);
      session.count(record);
    }
  };
  Meter meter{*this};

  ~Session() { log({}); }

  // What the log shows and metrics are labelled by.
  void describe(observe::AccessRecord& record) const {
    record.http = false;
    record.start_us = start_us;
    record.upstream_host = plan.upstream.host;
    record.upstream_local = plan.upstream.local;
    record.downstream_local = client.dialled();
    record.downstream_remote = client.source();
    record.downstream_direct_remote = client.stream.peer();
    record.cluster = plan.cluster->name;
    record.sni = plan.sni.str();
    record.connection_id = client.id;
    keep_side(record, client);
    record.attempts = 1;
  }

  void count(const observe::AccessRecord& record) {
    const auto& upstream = plan.upstream.stream;
    const SSL* const of_source = upstream ? upstream.ssl() : nullptr;
    auto& metrics = worker.standard_metrics();
    const SSL* const ssl = record.server_side ? client.stream.ssl() : of_source;
    meter.report(worker, record, {plan.cluster, principals_of(metrics, ssl)}, counts);
  }

  void log(const net::RelayEnd& end) {
    if (!std::exchange(to_be_logged, false)) return;
    observe::AccessRecord record;
    describe(record);
    record.duration_us = wall_clock_us() - start_us;
    record.bytes_received = counts.from_client;
    record.bytes_sent = counts.to_client;
    record.failure_reason = plan.note;
    if (end.error && end.error->side == Side::upstream) record.failure_reason = end.error->context;
    std::string reason;  // what the record shows lives until it is written
    if (is_tls_inside_tls(plan)) {
      reason = tls_inside_tls(*plan.cluster);
      if (!record.failure_reason.empty()) (reason += "; ") += record.failure_reason;
      record.failure_reason = reason;
    }
    // An idle time that is over is an ordinary end (UT is for requests).
    if (end.error && end.error->fault != Fault::timed_out)
      record.flags = observe::flag_of(*end.error);
    if (too_old) record.flags |= observe::DT;
    if (kept && kept->cut_off()) record.termination_details = no_longer_let_in;
    const auto& upstream = plan.upstream.stream;
    keep_upstream_tls(worker.log(), record, upstream ? upstream.ssl() : nullptr);
    if (client.inbound) keep_downstream_tls(worker.log(), record, client.stream.ssl());
    worker.metrics().count_end(record);
    count(record);
    meter.end();
    worker.log().write(record);
  }
};

// Opens the upstream, unless that was done, and sends what the client has said so far. False: it is
// over and logged.
net::Task<bool> reach_upstream(Session& session) {
  auto& [worker, app, plan, start_us, counts, to_be_logged, too_old, kept, meter] = session;
  if (!plan.upstream) {
    auto need = tcp_need(app, *plan.cluster);
    if (plan.cluster->discovery == mesh::Discovery::dynamic_dns) need.authority = plan.sni.str();
    auto acquired = co_await worker.upstreams().acquire(plan.cluster, need);
    if (!acquired) {
      log_failure(worker, app, plan, acquired.error(), start_us);
      app.stream.abort();
      co_return false;
    }
    plan.upstream = std::move(*acquired);
  }
  to_be_logged = true;
  meter.start(worker.tcp_meters());
  const auto first = app.inbox.bytes();
  counts.from_client = first.size();
  if (!first.empty() && !co_await plan.upstream.stream.write_all(first)) {
    session.log({plan.upstream.stream.failure(Side::upstream)});
    co_return false;
  }
  app.inbox.consume(first.size());
  app.inbox.release();
  co_return true;
}

net::Task<net::RelayEnd> relay_for(Session& session, std::chrono::milliseconds most) {
  auto first =
      co_await net::when_any(net::relay(session.client.stream, session.plan.upstream.stream,
                                        session.counts, session.plan.cluster->tcp_idle),
                             net::sleep_for(session.worker.loop(), most));
  session.too_old = first.index() == 1;
  co_return session.too_old ? net::RelayEnd() : std::move(std::get<0>(first));
}

net::Task<void> carry(std::unique_ptr<Session> session) {
  if (!co_await reach_upstream(*session)) co_return;
  if (session->client.inbound) {
    session->kept = std::make_unique<Kept>(session->worker.kept(), session->client, std::nullopt);
  }
  auto& app = session->client.stream;
  auto& upstream = session->plan.upstream.stream;
  const mesh::Cluster& cluster = *session->plan.cluster;
  const auto most =
      cluster.load ? cluster.load->max_connection_duration : std::chrono::milliseconds(0);
  auto relay = most.count() != 0 ? relay_for(*session, most)
                                 : net::relay(app, upstream, session->counts, cluster.tcp_idle);
  const auto end = co_await relay;
  session->log(end);
  if (!end.error) co_return;
  app.abort();  // What broke on one side must not look like an end on the other.
  upstream.abort();
}

}  // namespace

upstream::Need tcp_need(Client& client, const mesh::Cluster& cluster) {
  upstream::Need need;
  // What was dialled is a gateway's own address.
  if (!client.of_gateway()) need.original_destination = client.destination;
  need.http = false;
  if (cluster.load && cluster.load->hash) {
    need.hash = mesh::connection_hash(*cluster.load->hash, client.source().ip());
  }
  if (cluster.of_clients()) need.client = addresses_of(client);
  return need;
}

void log_refusal(Worker& worker, const TcpRefusal& refusal) {
  observe::AccessRecord record;
  record.http = false;
  record.start_us = refusal.start_us;
  record.duration_us = wall_clock_us() - refusal.start_us;
  record.flags = refusal.flags;
  record.details = refusal.details;
  record.termination_details = refusal.termination_details;
  record.failure_reason = refusal.failure_reason;
  record.downstream_failure_reason = refusal.downstream_failure_reason;
  record.upstream_host = refusal.upstream_host;
  record.downstream_local = refusal.client.dialled();
  record.downstream_remote = refusal.client.source();
  record.downstream_direct_remote = refusal.client.stream.peer();
  record.cluster = refusal.cluster;
  record.sni = refusal.sni;
  record.connection_id = refusal.client.id;
  keep_side(record, refusal.client);
  worker.metrics().count_end(record);
  count_refused(worker, record);
  worker.log().write(record);
}

void log_failure(Worker& worker, const Client& client, const TcpPlan& plan,
                 const upstream::Failure& failure, int64_t start_us) {
  uint32_t flags = observe::flag_of(failure.error);
  // Envoy's tcp_proxy: its only connect attempt is used up.
  if (flags & observe::UF) flags |= observe::URX;
  auto reason = reason_of(failure.error);
  if (is_tls_inside_tls(plan)) reason = tls_inside_tls(*plan.cluster) + "; " + reason;
  log_refusal(worker, {.client = client,
                       .cluster = plan.cluster->name,
                       .sni = plan.sni.str(),
                       .flags = flags,
                       .failure_reason = reason,
                       .upstream_host = failure.host,
                       .start_us = start_us});
}

net::Task<void> serve_tcp(Client client, Worker& worker, TcpPlan plan) {
  // Made outside the coroutine, whose frame would keep the moved-from arguments beside it.
  return carry(std::unique_ptr<Session>(new Session{.worker = worker,
                                                    .client = std::move(client),
                                                    .plan = std::move(plan),
                                                    .start_us = wall_clock_us()}));
}

}  // namespace sallyport::proxy
