// What one request or one opaque connection is remembered by. Filled along the way, written once at
// its end. The views point into buffers that live until write() returns.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/core/address.h"
#include "agent/core/error.h"
#include "agent/observe/kept_headers.h"

namespace sallyport::observe {

// Envoy's response flags as bits. Several are written in the order that write_flags gives them,
// joined by ',': an HTTP record that used up its retries is "URX,UF" (measured), a TCP one
// "UF,URX".
enum Flag : uint32_t {
  no_flag = 0,
  URX = 1 << 0,
  UH = 1 << 1,
  UF = 1 << 2,
  UO = 1 << 3,
  NR = 1 << 4,
  NC = 1 << 5,
  UT = 1 << 6,
  UC = 1 << 7,
  LR = 1 << 8,
  DC = 1 << 9,
  DT = 1 << 10,
  SI = 1 << 11,
  DPE = 1 << 12,
  UPE = 1 << 13,
  IH = 1 << 14,
  DI = 1 << 15,
  FI = 1 << 16,
  UR = 1 << 17,
  DR = 1 << 18,
  UMSDR = 1 << 19,
  LH = 1 << 20,
  RL = 1 << 21,
  RLSE = 1 << 22,
  UAEX = 1 << 23,
  DF = 1 << 24,
  OM = 1 << 25,
  DO = 1 << 26,
  RFCF = 1 << 27,
  NFCF = 1 << 28,
};

// One side's TLS connection, as Envoy words it. Several SANs are joined by ','; all empty on a
// plaintext connection.
struct TlsFacts {
  std::string version, cipher, session_id;  // "TLSv1.3", "TLS_AES_128_GCM_SHA256", lower-case hex
  // Of the certificate that the peer showed. Serial and fingerprints in lower-case hex, the PEM
  // URL-encoded.
  std::string peer_uri_san, peer_dns_san, peer_subject, peer_issuer, peer_serial;
  std::string peer_fingerprint_256, peer_fingerprint_1, peer_certificate;
  std::string local_uri_san, local_dns_san, local_subject;  // of our own
  // Seconds since 1970; nothing: no certificate was shown.
  std::optional<int64_t> peer_valid_from, peer_valid_to;
};

// What only some formats ask for (LogNeeds says which): made when the first of it is remembered.
struct AccessExtras {
  KeptHeaders request, response, trailers;  // trailers: of the response
  std::optional<TlsFacts> upstream_tls, downstream_tls;
};

struct AccessRecord {
  bool http = true;  // false: opaque TCP ("- - -", code 0)
  // Entered the pod; else the workload's own, or a gateway's: Telemetry's SERVER and CLIENT.
  bool server_side = false;
  bool mutual_tls = false;  // the client of the connection showed a certificate
  int64_t start_us = 0;     // wall clock, microseconds since 1970
  int64_t duration_us = 0;
  // REQUEST_DURATION: from the start to the last byte of the request; -1: it never came whole
  int64_t request_us = -1;
  std::string_view method, path, protocol;  // "GET", "/politics", "HTTP/1.1"
  std::string_view scheme = "http";         // of the request as it came
  std::string_view rewritten_path;          // as the upstream was asked, where a route changed it
  int response_code = 0;
  uint32_t flags = no_flag;
  std::string_view details;                    // "via_upstream", "route_not_found", ...; "" = "-"
  std::string_view termination_details;        // CONNECTION_TERMINATION_DETAILS
  std::string_view failure_reason;             // UPSTREAM_TRANSPORT_FAILURE_REASON
  std::string_view downstream_failure_reason;  // DOWNSTREAM_TRANSPORT_FAILURE_REASON
  uint64_t bytes_received = 0, bytes_sent = 0;
  // From the start to the answer's head: RESPONSE_DURATION; -1: no answer from upstream
  int64_t upstream_service_us = -1;
  std::string_view forwarded_for, user_agent, request_id, authority;
  SocketAddress upstream_host, upstream_local, downstream_local;
  SocketAddress downstream_direct_remote;  // the socket's
  SocketAddress downstream_remote;         // that, or what X-Forwarded-For names last, port 0
  std::string_view cluster, sni, route_name, filter_chain;
  std::string_view upstream_protocol;    // "HTTP/1.1" once a request went out
  uint32_t attempts = 0;                 // UPSTREAM_REQUEST_ATTEMPT_COUNT
  uint64_t connection_id = 0;            // of the downstream connection; Writer::next_connection_id
  std::unique_ptr<AccessExtras> extras;  // null unless the format asks for it

  AccessExtras& more() {
    if (!extras) extras = std::make_unique<AccessExtras>();
    return *extras;
  }
};

// The flag of an error, decided in exactly one place; and the status a client gets for it: 0 when
// the client is gone or can't be answered.
//
// timed_out on the upstream side is a connect (UF) when it is retryable, else the request's own
// time (UT). reset on the downstream side is the client that left (DC).
uint32_t flag_of(const Error& error);
int status_of(const Error& error);
// RESPONSE_CODE_DETAILS for an error, Envoy's words where it has them. The log puts failure_reason
// into the braces of an upstream_reset_before_response_started{...}, as Envoy does.
std::string_view details_of(const Error& error);

inline constexpr std::size_t flags_max = 128, long_flags_max = 1024;  // bytes
// Writes "URX,UF" or "-"; returns the end. `to` has room for flags_max bytes.
char* write_flags(char* to, uint32_t flags, bool http = true);
// Writes "UpstreamRetryLimitExceeded,UpstreamConnectionFailure" or "-". Room: long_flags_max.
char* write_long_flags(char* to, uint32_t flags, bool http = true);

}  // namespace sallyport::observe
