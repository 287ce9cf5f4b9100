#include "agent/proxy/accept_tls.h"

#include "agent/proxy/reason.h"
#include "agent/proxy/tcp_proxy.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {
namespace {

void log_handshake(Worker& worker, const Client& client, const Error& error, int64_t start_us) {
  worker.metrics().downstream_tls_failures.add();
  const std::string why = reason_of(error);
  log_refusal(worker, {.client = client,
                       .cluster = "-",
                       .sni = client.inbound->sni,
                       .termination_details = why,
                       .downstream_failure_reason = why,
                       .start_us = start_us});
}

}  // namespace

bool start_tls(Worker& worker, Client& client, Result<tls::SslPtr> ssl, int64_t start_us) {
  if (!ssl) {
    log_handshake(worker, client, ssl.error(), start_us);
    client.stream.abort();
    return false;
  }
  client.inbox.consume(client.inbox.bytes().size());
  client.inbox.release();
  client.stream.start_tls(std::move(*ssl));
  client.stream.set_deadline(limits::mesh_handshake_time);
  return true;
}

bool shook_hands(Worker& worker, Client& client, ssize_t result, int64_t start_us) {
  if (result <= 0) {
    log_handshake(worker, client, client.stream.failure(Side::downstream), start_us);
    client.stream.close();
    return false;
  }
  client.stream.set_deadline(std::chrono::milliseconds(0));
  worker.metrics().downstream_tls_handshakes.add();
  if (tls::session_reused(*client.stream.ssl())) worker.metrics().downstream_tls_resumed.add();
  return true;
}

}  // namespace sallyport::proxy
