// ConnectionPoolSettings, OutlierDetection and TcpKeepalive (istio-api.md 1.3, 3.6).
#include "agent/istio/kinds.h"

namespace sallyport::istio {
namespace {

using std::chrono::milliseconds;

constexpr Choice upgrade_policies[] = {{"DEFAULT", 0}, {"DO_NOT_UPGRADE", 1}, {"UPGRADE", 2}};
constexpr int upgrade = 2;

std::optional<uint32_t> count(Fields& fields, std::string_view name, int64_t most = INT32_MAX) {
  const auto value = fields.integer(name, 0, most);
  return value ? std::optional<uint32_t>(static_cast<uint32_t>(*value)) : std::nullopt;
}

uint32_t percent(Fields& fields, std::string_view name) {
  return count(fields, name, 100).value_or(0);
}

void decode_tcp_pool(ConnectionPool& pool, Fields& tcp) {
  pool.max_connections = count(tcp, "maxConnections");
  pool.connect_timeout = tcp.duration("connectTimeout");
  pool.tcp_idle_timeout = tcp.duration("idleTimeout", milliseconds(0));
  pool.max_connection_duration = tcp.duration("maxConnectionDuration");
  tcp.object("tcpKeepalive",
             [&](Fields& keepalive) { pool.tcp_keepalive = decode_tcp_keepalive(keepalive); });
}

// What only HTTP/2 has.
void check_http2(Fields& http) {
  const auto policy = http.choice("h2UpgradePolicy", upgrade_policies);
  const auto client_protocol = http.boolean("useClientProtocol");
  if (policy == upgrade && client_protocol.value_or(false)) {
    http.error("useClientProtocol",
               "use client protocol must not be true when H2UpgradePolicy is UPGRADE");
  }
  count(http, "maxConcurrentStreams");
  http.object("http2KeepAlive", [](Fields& keepalive) {
    keepalive.duration("interval");
    keepalive.duration("timeout");
    for (const std::string_view name : {"interval", "timeout"}) {
      if (!keepalive.has(name)) keepalive.error(name, "required for http2KeepAlive");
    }
  });
  for (const std::string_view name :
       {"h2UpgradePolicy", "useClientProtocol", "maxConcurrentStreams", "http2KeepAlive"}) {
    if (!http.has(name)) continue;
    const bool asks = (name != "h2UpgradePolicy" || policy == upgrade) &&
                      (name != "useClientProtocol" || client_protocol.value_or(false));
    if (asks) http.warn(name, "upstreams are spoken to in HTTP/1.1 only, has no effect yet");
  }
}

void decode_http_pool(ConnectionPool& pool, Fields& http) {
  pool.http1_max_pending_requests = count(http, "http1MaxPendingRequests");
  pool.http2_max_requests = count(http, "http2MaxRequests");
  pool.max_requests_per_connection = count(http, "maxRequestsPerConnection");
  pool.max_retries = count(http, "maxRetries");
  pool.http_idle_timeout = http.duration("idleTimeout");
  check_http2(http);
}

}  // namespace

TcpKeepalive decode_tcp_keepalive(Fields& fields) {
  TcpKeepalive keepalive;
  keepalive.probes = count(fields, "probes").value_or(0);
  keepalive.time = fields.duration("time").value_or(milliseconds(0));
  keepalive.interval = fields.duration("interval").value_or(milliseconds(0));
  return keepalive;
}

ConnectionPool decode_connection_pool(Fields& fields) {
  ConnectionPool pool;
  pool.line = fields.line();
  if (!fields.has("tcp") && !fields.has("http")) {
    fields.error("", "connection pool must have at least one field");
  }
  fields.object("tcp", [&](Fields& tcp) { decode_tcp_pool(pool, tcp); });
  fields.object("http", [&](Fields& http) { decode_http_pool(pool, http); });
  return pool;
}

OutlierDetection decode_outlier_detection(Fields& fields) {
  OutlierDetection outlier;
  outlier.line = fields.line();
  outlier.consecutive_5xx = count(fields, "consecutive5xxErrors", UINT32_MAX);
  outlier.consecutive_gateway = count(fields, "consecutiveGatewayErrors", UINT32_MAX);
  outlier.consecutive_local_origin = count(fields, "consecutiveLocalOriginFailures", UINT32_MAX);
  outlier.split_local_origin = fields.boolean("splitExternalLocalOriginErrors").value_or(false);
  outlier.interval = fields.duration("interval");
  outlier.base_ejection_time = fields.duration("baseEjectionTime");
  outlier.max_ejection_percent = percent(fields, "maxEjectionPercent");
  outlier.min_health_percent = percent(fields, "minHealthPercent");
  if (!outlier.split_local_origin && outlier.consecutive_local_origin.value_or(0) > 0) {
    fields.error("consecutiveLocalOriginFailures",
                 "outlier detection consecutive local origin failures is specified, but split "
                 "external local origin errors is set to false");
  }
  if (count(fields, "consecutiveErrors").value_or(0) != 0) {
    fields.warn("consecutiveErrors",
                "outlier detection consecutive errors is deprecated, use "
                "consecutiveGatewayErrors or consecutive5xxErrors instead");
  }
  return outlier;
}

}  // namespace sallyport::istio
