#include "agent/mesh/compile_load.h"

#include "agent/istio/names.h"

namespace sallyport::mesh {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

LoadPolicy& policy_of(Cluster& cluster) {
  return cluster.load ? *cluster.load : cluster.load.emplace();
}

// The kernel counts whole seconds; what is less than one is one.
seconds whole(milliseconds time) { return std::chrono::ceil<seconds>(time); }

// Field by field: the rule's, else the mesh's.
void apply_keepalive(const istio::ConnectionPool* pool, const istio::MeshConfig& mesh,
                     Cluster& out) {
  if (!(pool && pool->tcp_keepalive) && !mesh.tcp_keepalive) return;
  istio::TcpKeepalive keepalive;
  if (mesh.tcp_keepalive) keepalive = *mesh.tcp_keepalive;
  if (pool && pool->tcp_keepalive) {
    const auto& own = *pool->tcp_keepalive;
    if (own.probes != 0) keepalive.probes = own.probes;
    if (own.time.count() != 0) keepalive.time = own.time;
    if (own.interval.count() != 0) keepalive.interval = own.interval;
  }
  policy_of(out).keepalive =
      KeepalivePolicy{keepalive.probes, whole(keepalive.time), whole(keepalive.interval)};
}

void apply_own_pool(const istio::ConnectionPool& pool, Cluster& out) {
  out.connect_timeout = pool.connect_timeout.value_or(out.connect_timeout);
  out.tcp_idle = pool.tcp_idle_timeout.value_or(out.tcp_idle);
  // http.idleTimeout wins over tcp.idleTimeout, which counts for HTTP too (1.3).
  out.http_idle = pool.http_idle_timeout.value_or(pool.tcp_idle_timeout.value_or(out.http_idle));
  const auto requests = pool.max_requests_per_connection.value_or(0);
  if (requests > 0) out.max_requests_per_connection = requests;  // 0: unlimited
  out.max_connections = pool.max_connections;
  out.max_pending_requests = pool.http1_max_pending_requests;
  out.max_retries = pool.max_retries;
  if (pool.http2_max_requests.value_or(0) > 0)
    policy_of(out).max_requests = *pool.http2_max_requests;
  if (pool.max_connection_duration) {
    policy_of(out).max_connection_duration = *pool.max_connection_duration;
  }
}

HashPolicy hash_policy(const istio::ConsistentHash& hash) {
  constexpr uint64_t ring_size = 1024, maglev_size = 65537;  // Istio's, Envoy's
  HashPolicy out;
  out.key = static_cast<HashPolicy::Key>(hash.key);
  out.name =
      hash.key == istio::ConsistentHash::Key::header ? istio::lower_case(hash.name) : hash.name;
  out.path = hash.path;
  if (hash.ttl) out.ttl = duration_cast<seconds>(*hash.ttl);
  out.attributes = hash.attributes;
  const bool maglev = hash.table == istio::ConsistentHash::Table::maglev;
  out.table = maglev ? HashPolicy::Table::maglev : HashPolicy::Table::ring;
  out.table_size = hash.table_size.value_or(maglev ? maglev_size : ring_size);
  return out;
}
static_assert(int(HashPolicy::Key::query_parameter) ==
              int(istio::ConsistentHash::Key::query_parameter));

void apply_warmup(const istio::Warmup& warmup, Cluster& out) {
  WarmupPolicy policy{.duration = warmup.duration};
  if (warmup.minimum_percent) policy.minimum = *warmup.minimum_percent / 100;
  policy.aggression = warmup.aggression.value_or(policy.aggression);
  policy_of(out).warmup = policy;
}

}  // namespace

void apply_pool(const istio::ConnectionPool* pool, const istio::RetryBudget* budget,
                const istio::MeshConfig& mesh, Cluster& out) {
  if (!pool && mesh.default_traffic_policy && mesh.default_traffic_policy->connection_pool) {
    pool = &*mesh.default_traffic_policy->connection_pool;
  }
  if (pool) apply_own_pool(*pool, out);
  apply_keepalive(pool, mesh, out);
  if (!budget) return;
  RetryBudgetPolicy policy;
  policy.percent = budget->percent.value_or(policy.percent);
  policy.min_retry_concurrency =
      budget->min_retry_concurrency.value_or(policy.min_retry_concurrency);
  policy_of(out).retry_budget = policy;
}

void apply_load_balancer(const istio::LoadBalancer* balancer, Cluster& out) {
  if (!balancer) return;
  switch (balancer->simple) {
    case istio::SimpleLb::unspecified:
    case istio::SimpleLb::least_request:
      break;
    case istio::SimpleLb::round_robin:
      out.balancing = Balancing::round_robin;
      break;
    case istio::SimpleLb::random:
      out.balancing = Balancing::random;
      break;
    case istio::SimpleLb::passthrough:
      out.discovery = Discovery::original_dst;
      break;
  }
  if (balancer->consistent_hash) policy_of(out).hash = hash_policy(*balancer->consistent_hash);
  // Envoy's slow start knows no other policies.
  const bool can_warm_up = out.balancing != Balancing::random && !balancer->consistent_hash;
  if (balancer->warmup && can_warm_up) apply_warmup(*balancer->warmup, out);
}

const istio::OutlierDetection* outlier_detection_of(const PortRules& rules,
                                                    const istio::MeshConfig& mesh) {
  if (rules.outlier_detection) return rules.outlier_detection;
  const auto& defaults = mesh.default_traffic_policy;
  return defaults && defaults->outlier_detection ? &*defaults->outlier_detection : nullptr;
}

void apply_outlier_detection(const istio::OutlierDetection* outlier, Cluster& out) {
  if (!outlier) return;
  OutlierPolicy policy;
  policy.consecutive_5xx = outlier->consecutive_5xx.value_or(policy.consecutive_5xx);
  policy.consecutive_gateway = outlier->consecutive_gateway.value_or(policy.consecutive_gateway);
  policy.consecutive_local_origin =
      outlier->consecutive_local_origin.value_or(policy.consecutive_local_origin);
  policy.split_local_origin = outlier->split_local_origin;
  policy.interval = outlier->interval.value_or(policy.interval);
  policy.base_ejection_time = outlier->base_ejection_time.value_or(policy.base_ejection_time);
  if (outlier->max_ejection_percent > 0)
    policy.max_ejection_percent = outlier->max_ejection_percent;
  policy_of(out).outlier = policy;
  policy_of(out).min_health_percent = outlier->min_health_percent;
}

}  // namespace sallyport::mesh
