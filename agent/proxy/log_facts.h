// TLS connections in the access log's words.
#pragma once
#include "agent/observe/access_log.h"
#include "tls/session_facts.h"

namespace sallyport::proxy {

// As Envoy writes them: SANs joined by ',', the PEM URL-encoded.
observe::TlsFacts log_facts(const tls::SessionFacts& facts);

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

}  // namespace sallyport::proxy
