// TrafficPolicy of a DestinationRule: load balancer, connection pool, tls, and the same for a port.
#include "agent/core/address.h"
#include "agent/istio/kinds.h"
#include "agent/istio/names.h"

namespace sallyport::istio {
namespace {

constexpr std::string_view needs_outlier = "outlier detection policy must be provided for failover";

// Istio only warns: without outlier detection nothing is ever found unhealthy.
void check_failover(Fields& fields) {
  const Node* balancer = fields.find("loadBalancer");
  if (!balancer || fields.has("outlierDetection")) return;
  for (const std::string_view name : {"localityLbSetting", "zoneAwareLbSetting"}) {
    const Node* setting = balancer->find(name);
    for (const std::string_view list : {"failover", "failoverPriority"}) {
      const Node* entries = setting ? setting->find(list) : nullptr;
      if (!entries || entries->entries.empty()) continue;
      fields.report().warn(setting->line, fields.path_of("loadBalancer." + std::string(name)),
                           std::string(needs_outlier));
      break;
    }
  }
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
  check_failover(fields);
  const auto read_tls = [&](Fields& block) { policy.tls = decode_client_tls(block); };
  fields.object("tls", read_tls, Unknown::refuse);
  if (fields.is_null("tls"))
    fields.warn("tls", "empty, counts as absent (is what follows indented?)");
}

constexpr Choice proxy_protocol_versions[] = {{"V1", int(ProxyProtocol::v1)},
                                              {"V2", int(ProxyProtocol::v2)}};

ProxyProtocol decode_proxy_protocol(Fields& fields) {
  const int first = int(ProxyProtocol::v1);
  return ProxyProtocol(fields.choice("version", proxy_protocol_versions).value_or(first));
}

// It has no effect yet.
void check_tunnel(Fields& tunnel) {
  const auto protocol = tunnel.text("protocol");
  if (!protocol.empty() && protocol != "CONNECT" && protocol != "POST") {
    tunnel.error("protocol", "tunnel protocol must be \"CONNECT\" or \"POST\"");
  }
  const auto host = tunnel.text("targetHost");
  if (!IpAddress::parse(host)) {
    if (auto problem = fqdn_problem(host)) {
      tunnel.error("targetHost",
                   "tunnel target host must be valid FQDN or IP address: " + *problem);
    }
  }
  tunnel.port("targetPort");
  if (!tunnel.has("targetPort")) tunnel.error("targetPort", *port_problem(0));
}

PortPolicy decode_port_policy(Fields& fields) {
  PortPolicy policy;
  decode_blocks(policy, fields);
  const bool given = fields.object("port", [&](Fields& port) {
    const auto number = port.integer("number", 0, UINT32_MAX).value_or(0);
    if (number == 0 || number > UINT16_MAX) {
      port.warn("number", "no port has the number " + std::to_string(number) + ", has no effect");
    } else {
      policy.port = static_cast<uint16_t>(number);
    }
  });
  if (!given) fields.error("port", "portTrafficPolicy must have valid port");
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
    auto one = decode_port_policy(port);
    if (one.port != 0) policy.port_level_settings.push_back(std::move(one));
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
  fields.object("tunnel", check_tunnel);
  fields.object("proxyProtocol",
                [&](Fields& proxy) { policy.proxy_protocol = decode_proxy_protocol(proxy); });
  fields.unsupported({"tunnel"});
  return policy;
}

}  // namespace sallyport::istio
