// Counters of one worker: written by that worker only (a plain relaxed load and store, no locked
// instruction), read by the admin thread. Names in the output are Envoy's and Istio's.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/observe/access_record.h"
#include "agent/observe/counter.h"
#include "agent/observe/series.h"

namespace sallyport::observe {

// How long the pod's DNS servers took; Istio's buckets.
struct DnsTimes {
  static constexpr std::array<std::chrono::microseconds, 6> bounds{
      std::chrono::milliseconds(1),   std::chrono::milliseconds(5), std::chrono::milliseconds(10),
      std::chrono::milliseconds(100), std::chrono::seconds(1),      std::chrono::seconds(5)};
  Counter at_most[bounds.size()];
  Counter count, sum;  // sum: microseconds
};

struct WorkerMetrics {
  Counter downstream_cx_total, downstream_cx_active;
  Counter downstream_rq_total, downstream_rq_active;
  Counter downstream_rq_by_class[6];  // [2] is 2xx; [0]: no answer was sent
  Counter downstream_cx_rx_bytes, downstream_cx_tx_bytes;
  Counter upstream_cx_total, upstream_cx_active, upstream_cx_connect_fail, upstream_cx_reused;
  Counter upstream_rq_retry, upstream_rq_retry_overflow, outlier_ejections;
  Counter tls_handshakes, tls_resumed, tls_failures, tls_verify_failures;
  // Of the mesh's clients
  Counter downstream_tls_handshakes, downstream_tls_resumed, downstream_tls_failures;
  Counter rbac_allowed, rbac_denied, rbac_shadow_denied;
  Counter mirrored, mirrored_failed;
  Counter dns_queries, dns_failures;
  Counter dns_proxy_requests, dns_proxy_forwarded, dns_proxy_failures;
  DnsTimes dns_proxy_time;
  Counter udp_allowed, udp_refused;     // flows
  Counter udp_dropped, udp_unreadable;  // datagrams: without a verdict; of no flow
  Counter no_route, no_filter_chain_match, blackholed, passthrough, loops_refused,
      descriptors_starved, protocol_errors;
  SeriesStore series;                          // Istio's standard metrics: see standard_metrics.h
  void count_end(const AccessRecord& record);  // classes, bytes
};

// Prometheus text exposition of the sum over workers (plus the gauges the caller appends): Envoy's
// counters, then Istio's metrics.
std::string prometheus_text(const std::vector<const WorkerMetrics*>& workers);

}  // namespace sallyport::observe
