#include "agent/proxy/tcp_meter.h"

#include <openssl/ssl.h>

#include "agent/proxy/worker.h"
#include "tls/session_facts.h"

namespace sallyport::proxy {
namespace {

void add_to(observe::Series* series, uint64_t n) {
  if (series) series->add(n);
}

// Of more identities than are told apart.
const observe::Principals any_principals{"unknown", "unknown"};

int principals_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

const observe::Principals* read_principals(observe::StandardMetrics& metrics, const SSL& ssl) {
  observe::Principals out;
  const auto peer = tls::peer_certificate(ssl);
  if (peer && peer->verified && !peer->info.uris.empty()) out.peer = peer->info.uris.front();
  auto own = tls::own_uris(ssl);
  if (!own.empty()) out.own = std::move(own.front());
  const auto* known = metrics.intern(std::move(out));
  return known ? known : &any_principals;
}

}  // namespace

const observe::Principals* principals_of(observe::StandardMetrics& metrics, const SSL* ssl) {
  if (!ssl) return nullptr;
  const void* const known = SSL_get_ex_data(ssl, principals_index());
  if (known) return static_cast<const observe::Principals*>(known);
  const auto* const read = read_principals(metrics, *ssl);
  SSL_set_ex_data(const_cast<SSL*>(ssl), principals_index(),
                  const_cast<observe::Principals*>(read));
  return read;
}

void TcpMeter::start(TcpMeters& all) { all.all_.push_back(*this); }

void TcpMeter::report(Worker& worker, const observe::AccessRecord& record,
                      const observe::Destination& destination, const net::RelayCounts& counts) {
  if (!std::exchange(begun_, true)) {
    series_ = worker.standard_metrics().find_tcp(record, destination);
    add_to(series_.opened, 1);
  }
  add_to(series_.sent, counts.to_client - told_.to_client);
  add_to(series_.received, counts.from_client - told_.from_client);
  told_ = counts;
}

void TcpMeter::end() {
  add_to(series_.closed, 1);
  unlink();
}

void TcpMeters::tick(Worker& worker) {
  const auto interval = worker.standard_metrics().reporting_interval();
  const auto now = worker.loop().now();
  if (interval.count() == 0 || now - last_ < interval) return;
  last_ = now;
  for (TcpMeter& one : all_) one.tell(worker);
}

void count_refused(Worker& worker, const observe::AccessRecord& record) {
  if (record.cluster.empty() || record.cluster == "-") return;
  const auto& snapshot = worker.snapshot();
  if (!snapshot) return;
  const auto known = snapshot->clusters.find(record.cluster);
  const mesh::ClusterPtr cluster = known == snapshot->clusters.end() ? nullptr : known->second;
  const auto series = worker.standard_metrics().find_tcp(record, {cluster});
  add_to(series.opened, 1);
  add_to(series.sent, record.bytes_sent);
  add_to(series.received, record.bytes_received);
  add_to(series.closed, 1);
}

}  // namespace sallyport::proxy
