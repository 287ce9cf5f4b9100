#include "agent/observe/access_record.h"

namespace sallyport::observe {
namespace {

struct Ending {
  uint32_t flag;
  int status;
  std::string_view details;
};

constexpr Ending unconnected{UF, 503,
                             "upstream_reset_before_response_started{remote_connection_failure}"};
constexpr Ending no_healthy_upstream{UH, 503, "no_healthy_upstream"};
constexpr Ending overflow{UO, 503, "upstream_reset_before_response_started{overflow}"};
constexpr Ending out_of_time{UT, 504, "response_timeout"};

// Measured at Envoy 1.40, but for `internal`, which it has not.
Ending of_upstream(const Error& error) {
  switch (error.fault) {
    case Fault::timed_out:
      if (!error.retryable) return out_of_time;
      return {UF, 503, "upstream_reset_before_response_started{connection_timeout}"};
    case Fault::reset:
      return {UC, 503, "upstream_reset_before_response_started{connection_termination}"};
    case Fault::overflow:
      return overflow;
    case Fault::protocol:
      return {UPE, 502, "upstream_reset_before_response_started{protocol_error}"};
    case Fault::internal:
      return {UF, 503, "upstream_reset_before_response_started{local_connection_failure}"};
    default:
      return unconnected;
  }
}

Ending of_downstream(const Error& error) {
  switch (error.fault) {
    case Fault::timed_out:
      return {SI, 408, "stream_idle_timeout"};
    case Fault::protocol:
      return {DPE, 400, "http1.codec_error"};
    case Fault::overflow:
      return {DPE, 431, "http1.headers_too_large"};
    default:
      return {DC, 0, "downstream_remote_disconnect"};
  }
}

Ending of_us(const Error& error) {
  switch (error.fault) {
    case Fault::timed_out:
      return out_of_time;
    case Fault::overflow:
      return overflow;
    case Fault::tls_handshake:
    case Fault::tls_verify:
    case Fault::refused:
      return unconnected;
    default:
      return {LR, 503, "upstream_reset_before_response_started{local_reset}"};
  }
}

Ending ending_of(const Error& error) {
  switch (error.fault) {  // those that mean one thing on every side
    case Fault::no_route:
      return {NR, 404, "route_not_found"};
    case Fault::no_cluster:
      return {NC, 503, "cluster_not_found"};
    // A cluster closed because its rule is broken, a loop; BlackHoleCluster for TCP. (For HTTP
    // REGISTRY_ONLY is the route block_all, which answers 502 itself.)
    case Fault::denied:
    case Fault::no_endpoint:
      return no_healthy_upstream;
    case Fault::missing_secret:
      return unconnected;
    case Fault::unresolved:
      return {DF, 503, "dns_resolution_failure"};
    default:
      break;
  }
  if (error.side == Side::upstream) return of_upstream(error);
  return error.side == Side::downstream ? of_downstream(error) : of_us(error);
}

}  // namespace

uint32_t flag_of(const Error& error) { return ending_of(error).flag; }
int status_of(const Error& error) { return ending_of(error).status; }
std::string_view details_of(const Error& error) { return ending_of(error).details; }

}  // namespace sallyport::observe
