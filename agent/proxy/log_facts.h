// TLS connections in the access log's words.
#pragma once
#include "agent/mesh/authorization.h"
#include "agent/observe/access_log.h"
#include "agent/proxy/client.h"
#include "tls/session_facts.h"

namespace sallyport::proxy {

// "rbac_access_denied_matched_policy[ns[foo]-policy[bar]-rule[0]]", and why a policy that can't be
// evaluated denies.
std::string rbac_details(const mesh::AuthorizationAnswer& answer);

// As Envoy writes a PEM into a header or a log.
std::string url_encoded(std::string_view pem);

// As Envoy writes them: SANs joined by ',', the PEM URL-encoded.
observe::TlsFacts log_facts(const tls::SessionFacts& facts);

// Which of Telemetry's modes it is of, and whether the client showed a certificate.
inline void keep_side(observe::AccessRecord& record, const Client& client) {
  record.server_side = client.inbound && !client.of_gateway();
  record.mutual_tls = client.inbound && client.inbound->mutual_tls;
}

// For UPSTREAM_TLS_*, UPSTREAM_PEER_* and UPSTREAM_LOCAL_*, once a connection was chosen. `ssl`:
// null when it is plaintext. Without such an operator in the format no work.
inline void keep_upstream_tls(const observe::AccessLog::Writer& log, observe::AccessRecord& record,
                              const SSL* ssl) {
  if (!log.needs().upstream_tls) return;
  if (ssl) {
    record.more().upstream_tls = log_facts(tls::facts_of(*ssl));
  } else if (record.extras) {
    record.extras->upstream_tls.reset();  // of an earlier attempt
  }
}

// The same for DOWNSTREAM_TLS_*, DOWNSTREAM_PEER_* and DOWNSTREAM_LOCAL_*.
inline void keep_downstream_tls(const observe::AccessLog::Writer& log,
                                observe::AccessRecord& record, const SSL* ssl) {
  if (ssl && log.needs().downstream_tls)
    record.more().downstream_tls = log_facts(tls::facts_of(*ssl));
}

}  // namespace sallyport::proxy
