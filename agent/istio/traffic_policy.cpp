// TrafficPolicy of a DestinationRule: load balancer, connection pool, tls, and the same for a port.
#include "agent/istio/kinds.h"

namespace sallyport::istio {
namespace {

constexpr std::string_view needs_outlier =
    "outlier detection policy must be provided for failover, otherwise it has no effect";

// Istio only warns: without outlier detection nothing is ever found unhealthy.
template <class Policy>
void check_failover(const Policy& policy, Fields& fields) {
  if (!policy.load_balancer || !policy.load_balancer->locality || policy.outlier_detection) return;
  const LocalityLb& setting = *policy.load_balancer->locality;
  if (setting.failover.empty() && setting.failover_priority.empty()) return;
  fields.report().warn(setting.line, fields.path_of("loadBalancer.localityLbSetting"),
                       std::string(needs_outlier));
}

RetryBudget decode_retry_budget(Fields& fields) {
  RetryBudget budget;
  budget.percent = fields.real("percent", 0, 100);
  if (const auto least = fields.integer("minRetryConcurrency", 0, UINT32_MAX)) {
    budget.min_retry_concurrency = static_cast<uint32_t>(*least);
  }
  fields.unsupported({"budgetInterval"});
  return budget;
}

// The blocks that the whole host and a port have in common.
template <class Policy>
void decode_blocks(Policy& policy, Fields& fields) {
  policy.line = fields.line();
  fields.object("loadBalancer",
                [&](Fields& block) { policy.load_balancer = decode_load_balancer(block); });
  fields.object("connectionPool",
                [&](Fields& block) { policy.connection_pool = decode_connection_pool(block); });
  fields.object("outlierDetection",
                [&](Fields& block) { policy.outlier_detection = decode_outlier_detection(block); });
  check_failover(policy, fields);
  const auto read_tls = [&](Fields& block) { policy.tls = decode_client_tls(block); };
  fields.object("tls", read_tls, Unknown::refuse);
  if (fields.is_null("tls"))
    fields.warn("tls", "empty, counts as absent (is what follows indented?)");
}

PortPolicy decode_port_policy(Fields& fields) {
  PortPolicy policy;
  decode_blocks(policy, fields);
  fields.object("port", [&](Fields& port) { policy.port = port.port("number"); });
  if (policy.port == 0) fields.error("port", "portTrafficPolicy must have valid port");
  if (!policy.load_balancer && !policy.connection_pool && !policy.tls &&
      !policy.outlier_detection) {
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
  fields.object("retryBudget",
                [&](Fields& budget) { policy.retry_budget = decode_retry_budget(budget); });
  bool empty = !policy.load_balancer && !policy.connection_pool && !policy.tls;
  for (const std::string_view name :
       {"portLevelSettings", "outlierDetection", "tunnel", "proxyProtocol", "retryBudget"}) {
    empty = empty && !fields.has(name);
  }
  if (empty) fields.error("", "traffic policy must have at least one field");
  if (fields.has("tunnel") && fields.has("proxyProtocol")) {
    fields.error("tunnel", "tunnel and proxyProtocol must not be set together");
  }
  fields.unsupported({"tunnel", "proxyProtocol"});
  return policy;
}

}  // namespace sallyport::istio
