// What one request or one opaque connection is remembered by. Filled along the way, written once at
// its end. The views point into buffers that live until write() returns.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/core/address.h"
#include "agent/core/error.h"

namespace sallyport::observe {

// Envoy's response flags as bits. Several are written in this order, joined by ',': an HTTP record
// that used up its retries is "URX,UF" (measured), a TCP one "UF,URX".
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
};

struct AccessRecord {
  bool http = true;      // false: opaque TCP ("- - -", code 0)
  int64_t start_us = 0;  // wall clock, microseconds since 1970
  int64_t duration_us = 0;
  std::string_view method, path, protocol;  // "GET", "/politics", "HTTP/1.1"
  int response_code = 0;
  uint32_t flags = no_flag;
  std::string_view details;              // "via_upstream", "route_not_found", ...; "" = "-"
  std::string_view termination_details;  // CONNECTION_TERMINATION_DETAILS
  std::string_view failure_reason;       // UPSTREAM_TRANSPORT_FAILURE_REASON
  uint64_t bytes_received = 0, bytes_sent = 0;
  int64_t upstream_service_us = -1;  // -1: no answer from upstream
  std::string_view forwarded_for, user_agent, request_id, authority;
  SocketAddress upstream_host, upstream_local, downstream_local, downstream_remote;
  std::string_view cluster, sni, route_name;
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
// Writes "URX,UF" or "-"; returns the end. `to` has room for 96 characters.
char* write_flags(char* to, uint32_t flags, bool http = true);

}  // namespace sallyport::observe
