// TrafficPolicy of a DestinationRule: load balancer, connection pool, tls, and the same for a port.
#include "agent/istio/kinds.h"

namespace sallyport::istio {
namespace {

// LEAST_CONN is the old name of LEAST_REQUEST.
constexpr Choice balancers[] = {{"UNSPECIFIED", 0}, {"LEAST_CONN", 1},  {"RANDOM", 2},
                                {"PASSTHROUGH", 3}, {"ROUND_ROBIN", 4}, {"LEAST_REQUEST", 5}};

SimpleLb simple_balancer(int number) {
  constexpr SimpleLb by_number[] = {SimpleLb::unspecified, SimpleLb::least_request,
                                    SimpleLb::random,      SimpleLb::passthrough,
                                    SimpleLb::round_robin, SimpleLb::least_request};
  return by_number[number];
}

LoadBalancer decode_load_balancer(Fields& fields) {
  LoadBalancer balancer;
  balancer.line = fields.line();
  balancer.simple = simple_balancer(fields.choice("simple", balancers).value_or(0));
  if (fields.has("simple") && fields.has("consistentHash")) {
    fields.error("consistentHash", "only one of simple or consistentHash can be set");
  }
  if (fields.has("localityLbSetting") && fields.has("zoneAwareLbSetting")) {
    fields.error("zoneAwareLbSetting",
                 "only one of localityLbSetting or zoneAwareLbSetting can be set");
  }
  fields.unsupported({"consistentHash", "localityLbSetting", "zoneAwareLbSetting", "warmup",
                      "warmupDurationSecs"});
  return balancer;
}

std::optional<uint32_t> count(Fields& fields, std::string_view name) {
  const auto value = fields.integer(name, 0, INT32_MAX);
  return value ? std::optional<uint32_t>(static_cast<uint32_t>(*value)) : std::nullopt;
}

void decode_tcp_pool(ConnectionPool& pool, Fields& tcp) {
  pool.max_connections = count(tcp, "maxConnections");
  pool.connect_timeout = tcp.duration("connectTimeout");
  pool.tcp_idle_timeout = tcp.duration("idleTimeout", std::chrono::milliseconds(0));
  tcp.unsupported({"tcpKeepalive", "maxConnectionDuration"});
}

void decode_http_pool(ConnectionPool& pool, Fields& http) {
  pool.http1_max_pending_requests = count(http, "http1MaxPendingRequests");
  pool.max_requests_per_connection = count(http, "maxRequestsPerConnection");
  pool.max_retries = count(http, "maxRetries");
  pool.http_idle_timeout = http.duration("idleTimeout", std::chrono::milliseconds(0));
  http.unsupported({"http2MaxRequests", "h2UpgradePolicy", "useClientProtocol",
                    "maxConcurrentStreams", "http2KeepAlive"});
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

// The blocks that the whole host and a port have in common.
template <class Policy>
void decode_blocks(Policy& policy, Fields& fields) {
  policy.line = fields.line();
  fields.object("loadBalancer",
                [&](Fields& block) { policy.load_balancer = decode_load_balancer(block); });
  fields.object("connectionPool",
                [&](Fields& block) { policy.connection_pool = decode_connection_pool(block); });
  const auto read_tls = [&](Fields& block) { policy.tls = decode_client_tls(block); };
  fields.object("tls", read_tls, Unknown::refuse);
  if (fields.is_null("tls"))
    fields.warn("tls", "empty, counts as absent (is what follows indented?)");
  fields.unsupported({"outlierDetection"});
}

PortPolicy decode_port_policy(Fields& fields) {
  PortPolicy policy;
  decode_blocks(policy, fields);
  fields.object("port", [&](Fields& port) { policy.port = port.port("number"); });
  if (policy.port == 0) fields.error("port", "portTrafficPolicy must have valid port");
  if (!policy.load_balancer && !policy.connection_pool && !policy.tls &&
      !fields.has("outlierDetection")) {
    fields.error("", "port traffic policy must have at least one field");
  }
  return policy;
}

}  // namespace

TrafficPolicy decode_traffic_policy(Fields& fields) {
  TrafficPolicy policy;
  decode_blocks(policy, fields);
  fields.each("portLevelSettings", [&](Fields& port) {
    policy.port_level_settings.push_back(decode_port_policy(port));
  });
  bool empty = !policy.load_balancer && !policy.connection_pool && !policy.tls;
  for (const std::string_view name :
       {"portLevelSettings", "outlierDetection", "tunnel", "proxyProtocol", "retryBudget"}) {
    empty = empty && !fields.has(name);
  }
  if (empty) fields.error("", "traffic policy must have at least one field");
  if (fields.has("tunnel") && fields.has("proxyProtocol")) {
    fields.error("tunnel", "tunnel and proxyProtocol must not be set together");
  }
  fields.unsupported({"tunnel", "proxyProtocol", "retryBudget"});
  return policy;
}

}  // namespace sallyport::istio
