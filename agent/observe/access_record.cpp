#include "agent/observe/access_record.h"

#include <algorithm>

namespace sallyport::observe {
namespace {

struct Ending {
  uint32_t flag;
  int status;
  std::string_view details;
  std::string_view reset_reason;  // of the body's sentence; empty: `body`
  std::string_view body = {};
};

constexpr Ending connect_failed{UF, 503,
                                "upstream_reset_before_response_started{remote_connection_failure}",
                                "remote connection failure"};
constexpr Ending client_gone{DC, 0, "downstream_remote_disconnect", {}};

// Measured at Envoy 1.40, but for `internal`, which it has not.
Ending of_upstream(const Error& error) {
  switch (error.fault) {
    case Fault::timed_out:
      if (error.retryable)
        return {UF, 503, "upstream_reset_before_response_started{connection_timeout}",
                "connection timeout"};
      return {UT, 504, "response_timeout", {}, "upstream request timeout"};
    case Fault::reset:
      return {UC, 503, "upstream_reset_before_response_started{connection_termination}",
              "connection termination"};
    case Fault::overflow:
      return {UO, 503, "upstream_reset_before_response_started{overflow}", "overflow"};
    case Fault::protocol:
      return {UPE, 502, "upstream_reset_before_response_started{protocol_error}", "protocol error"};
    case Fault::internal:
      return {UF, 503, "upstream_reset_before_response_started{local_connection_failure}",
              "local connection failure"};
    default:
      return connect_failed;
  }
}

Ending of_downstream(const Error& error) {
  switch (error.fault) {
    case Fault::timed_out:
      return {SI, 408, "stream_idle_timeout", {}, "stream timeout"};
    case Fault::protocol:
      return {DPE, 400, "http1.codec_error", {}, "Bad Request"};
    case Fault::overflow:
      return {DPE, 431, "http1.headers_too_large", {}, "Request Header Fields Too Large"};
    default:
      return client_gone;
  }
}

Ending ending_of(const Error& error) {
  switch (error.fault) {  // those that mean one thing on every side
    case Fault::no_route:
      return {NR, 404, "route_not_found", {}};
    case Fault::no_cluster:
      return {NC, 503, "cluster_not_found", {}};
    case Fault::no_endpoint:
      return {UH, 503, "no_healthy_upstream", {}, "no healthy upstream"};
    case Fault::missing_secret:
      return connect_failed;
    // BlackHoleCluster: TCP has the flag; HTTP is answered by the route block_all instead.
    case Fault::denied:
      return {UH, 502, "direct_response", {}};
    default:
      break;
  }
  if (error.side == Side::upstream) return of_upstream(error);
  if (error.side == Side::downstream) return of_downstream(error);
  switch (error.fault) {
    case Fault::timed_out:
      return {UT, 504, "response_timeout", {}, "upstream request timeout"};
    case Fault::overflow:
      return {UO, 503, "upstream_reset_before_response_started{overflow}", "overflow"};
    case Fault::tls_handshake:
    case Fault::tls_verify:
    case Fault::refused:
      return connect_failed;
    default:
      return {LR, 503, "upstream_reset_before_response_started{local_reset}", "local reset"};
  }
}

struct FlagName {
  uint32_t flag;
  std::string_view name;
};
constexpr FlagName flag_names[] = {{URX, "URX"}, {UH, "UH"},   {UF, "UF"}, {UO, "UO"},
                                   {NR, "NR"},   {NC, "NC"},   {UT, "UT"}, {UC, "UC"},
                                   {LR, "LR"},   {DC, "DC"},   {DT, "DT"}, {SI, "SI"},
                                   {DPE, "DPE"}, {UPE, "UPE"}, {IH, "IH"}};

}  // namespace

uint32_t flag_of(const Error& error) { return ending_of(error).flag; }
int status_of(const Error& error) { return ending_of(error).status; }
std::string_view details_of(const Error& error) { return ending_of(error).details; }

std::string body_of(const Error& error) {
  const Ending ending = ending_of(error);
  std::string body;
  if (!ending.reset_reason.empty())
    body.append("upstream connect error or disconnect/reset before headers. reset reason: ")
        .append(ending.reset_reason);
  else
    body = ending.body;
  // A client that broke the protocol is told so in Envoy's two words only.
  if (error.side == Side::downstream || error.context.empty()) return body;
  if (!body.empty()) body.append(", transport failure reason: ");
  return body.append(error.context);
}

char* write_flags(char* to, uint32_t flags, bool http) {
  char* const begin = to;
  const auto put = [&](const FlagName& flag) {
    if (!(flags & flag.flag)) return;
    if (to != begin) *to++ = ',';
    to = std::copy(flag.name.begin(), flag.name.end(), to);
  };
  if (http) put(flag_names[0]);
  for (std::size_t i = 1; i < std::size(flag_names); i++) put(flag_names[i]);
  if (!http) put(flag_names[0]);
  if (to == begin) *to++ = '-';
  return to;
}

}  // namespace sallyport::observe
