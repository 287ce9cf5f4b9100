#include "agent/observe/metrics.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace sallyport::observe {
namespace {

enum class Type : uint8_t { counter, gauge };

struct EnvoySeries {
  std::string_view name;  // Envoy's where it has one; else sallyport_…
  Type type;
  Counter WorkerMetrics::*value;
};

using M = WorkerMetrics;
constexpr EnvoySeries envoy_series[] = {
    {"envoy_http_downstream_cx_total", Type::counter, &M::downstream_cx_total},
    {"envoy_http_downstream_cx_active", Type::gauge, &M::downstream_cx_active},
    {"envoy_http_downstream_cx_rx_bytes_total", Type::counter, &M::downstream_cx_rx_bytes},
    {"envoy_http_downstream_cx_tx_bytes_total", Type::counter, &M::downstream_cx_tx_bytes},
    {"envoy_http_downstream_cx_protocol_error", Type::counter, &M::protocol_errors},
    {"envoy_http_downstream_rq_total", Type::counter, &M::downstream_rq_total},
    {"envoy_http_downstream_rq_active", Type::gauge, &M::downstream_rq_active},
    {"envoy_http_no_route", Type::counter, &M::no_route},
    {"envoy_listener_no_filter_chain_match", Type::counter, &M::no_filter_chain_match},
    {"envoy_cluster_upstream_cx_total", Type::counter, &M::upstream_cx_total},
    {"envoy_cluster_upstream_cx_active", Type::gauge, &M::upstream_cx_active},
    {"envoy_cluster_upstream_cx_connect_fail", Type::counter, &M::upstream_cx_connect_fail},
    {"envoy_cluster_upstream_rq_retry", Type::counter, &M::upstream_rq_retry},
    {"envoy_cluster_upstream_rq_retry_overflow", Type::counter, &M::upstream_rq_retry_overflow},
    {"envoy_cluster_outlier_detection_ejections_total", Type::counter, &M::outlier_ejections},
    {"envoy_cluster_ssl_handshake", Type::counter, &M::tls_handshakes},
    {"envoy_cluster_ssl_session_reused", Type::counter, &M::tls_resumed},
    {"envoy_cluster_ssl_connection_error", Type::counter, &M::tls_failures},
    {"envoy_cluster_ssl_fail_verify_error", Type::counter, &M::tls_verify_failures},
    {"envoy_listener_ssl_handshake", Type::counter, &M::downstream_tls_handshakes},
    {"envoy_listener_ssl_session_reused", Type::counter, &M::downstream_tls_resumed},
    {"envoy_listener_ssl_connection_error", Type::counter, &M::downstream_tls_failures},
    {"envoy_http_rbac_allowed", Type::counter, &M::rbac_allowed},
    {"envoy_http_rbac_denied", Type::counter, &M::rbac_denied},
    {"envoy_http_rbac_shadow_denied", Type::counter, &M::rbac_shadow_denied},
    {"envoy_dns_cares_resolve_total", Type::counter, &M::dns_queries},
    {"envoy_dns_cares_get_addr_failure", Type::counter, &M::dns_failures},
    {"istio_agent_dns_requests_total", Type::counter, &M::dns_proxy_requests},
    {"istio_agent_dns_upstream_requests_total", Type::counter, &M::dns_proxy_forwarded},
    {"istio_agent_dns_upstream_failures_total", Type::counter, &M::dns_proxy_failures},
    {"sallyport_udp_flows_allowed_total", Type::counter, &M::udp_allowed},
    {"sallyport_udp_flows_refused_total", Type::counter, &M::udp_refused},
    {"sallyport_udp_datagrams_dropped_total", Type::counter, &M::udp_dropped},
    {"sallyport_udp_datagrams_unreadable_total", Type::counter, &M::udp_unreadable},
    {"sallyport_mirrored_requests_total", Type::counter, &M::mirrored},
    {"sallyport_mirrored_requests_failed_total", Type::counter, &M::mirrored_failed},
    {"sallyport_upstream_cx_reused", Type::counter, &M::upstream_cx_reused},
    {"sallyport_passthrough_total", Type::counter, &M::passthrough},
    {"sallyport_blackholed_total", Type::counter, &M::blackholed},
    {"sallyport_loops_refused_total", Type::counter, &M::loops_refused},
    {"sallyport_descriptors_starved_total", Type::counter, &M::descriptors_starved},
};

void put_type(std::string& out, std::string_view name, Type type) {
  out.append("# TYPE ").append(name).append(type == Type::gauge ? " gauge\n" : " counter\n");
}

// A histogram of istio-agent's.
void put_dns_times(std::string& out, const std::vector<const WorkerMetrics*>& workers) {
  static constexpr std::string_view name = "istio_agent_dns_upstream_request_duration_seconds";
  static constexpr std::string_view bounds[] = {"0.001", "0.005", "0.01", "0.1", "1", "5"};
  static_assert(std::size(bounds) == DnsTimes::bounds.size());
  const auto sum_of = [&](auto&& value) {
    uint64_t sum = 0;
    for (const WorkerMetrics* worker : workers) sum += value(worker->dns_proxy_time).get();
    return sum;
  };
  const auto bucket = [&](std::string_view bound, uint64_t count) {
    out.append(name).append("_bucket{le=\"").append(bound).append("\"} ");
    out.append(std::to_string(count)).append("\n");
  };
  out.append("# TYPE ").append(name).append(" histogram\n");
  for (std::size_t i = 0; i < std::size(bounds); i++)
    bucket(bounds[i], sum_of([i](const DnsTimes& times) -> auto& { return times.at_most[i]; }));
  const auto count = sum_of([](const DnsTimes& times) -> auto& { return times.count; });
  const auto micros = sum_of([](const DnsTimes& times) -> auto& { return times.sum; });
  bucket("+Inf", count);
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.6g", static_cast<double>(micros) / 1e6);
  out.append(name).append("_sum{} ").append(seconds).append("\n");
  out.append(name).append("_count{} ").append(std::to_string(count)).append("\n");
}

void put_standard(std::string& out, const std::vector<const WorkerMetrics*>& workers) {
  static constexpr std::string_view overflows = "sallyport_metric_series_overflows_total";
  std::vector<const SeriesStore*> stores;
  uint64_t overflowed = 0;
  for (const WorkerMetrics* worker : workers) {
    stores.push_back(&worker->series);
    overflowed += worker->series.overflows.get();
  }
  put_type(out, overflows, Type::counter);
  out.append(overflows).append("{} ").append(std::to_string(overflowed)).append("\n");
  out += series_text(stores);
}

}  // namespace

void WorkerMetrics::count_end(const AccessRecord& record) {
  downstream_cx_rx_bytes.add(record.bytes_received);
  downstream_cx_tx_bytes.add(record.bytes_sent);
  if (!record.http) return;
  const int of_class = record.response_code / 100;
  downstream_rq_by_class[of_class >= 1 && of_class <= 5 ? of_class : 0].add();
  if (record.flags & NR) no_route.add();
}

std::string prometheus_text(const std::vector<const WorkerMetrics*>& workers) {
  std::string out;
  out.reserve(4096);
  for (const EnvoySeries& one : envoy_series) {
    // Modulo 2^64: a gauge may go up on one worker and down on another.
    uint64_t sum = 0;
    for (const WorkerMetrics* worker : workers) sum += (worker->*one.value).get();
    put_type(out, one.name, one.type);
    out.append(one.name).append("{} ").append(std::to_string(sum)).append("\n");
  }
  static constexpr std::string_view by_class = "envoy_http_downstream_rq_xx";
  put_type(out, by_class, Type::counter);
  for (std::size_t i = 0; i < std::extent_v<decltype(M::downstream_rq_by_class)>; i++) {
    uint64_t sum = 0;
    for (const WorkerMetrics* worker : workers) sum += worker->downstream_rq_by_class[i].get();
    out.append(by_class).append("{envoy_response_code_class=\"").append(std::to_string(i));
    out.append("\"} ").append(std::to_string(sum)).append("\n");
  }
  put_dns_times(out, workers);
  put_standard(out, workers);
  return out;
}

}  // namespace sallyport::observe
