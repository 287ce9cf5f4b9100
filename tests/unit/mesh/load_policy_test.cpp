// What a rule, and the mesh's defaults, make of a cluster's LoadPolicy (istio-api.md 1.3, 1.12,
// 3.6).
#include "agent/mesh/load_policy.h"

#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

using namespace std::chrono_literals;

const Cluster& compiled(World& world, const std::string& policy, const std::string& name = "") {
  world.add(entry({"a.example"})).add(rule({"a.example", "rule", "default", policy})).compile();
  const auto* cluster = world.cluster("outbound|80|" + name + "|a.example");
  EXPECT_TRUE(cluster) << world.findings();
  static const Cluster none;
  return cluster ? *cluster : none;
}

LoadPolicy policy_of(const std::string& text) {
  World world;
  const auto& cluster = compiled(world, text);
  EXPECT_TRUE(cluster.load) << text;
  return cluster.load ? *cluster.load : LoadPolicy();
}

TEST(LoadPolicy, APlainClusterHasNone) {
  World world;
  EXPECT_FALSE(compiled(world,
                        "loadBalancer: {simple: ROUND_ROBIN}, connectionPool: {tcp: "
                        "{maxConnections: 1}, http: {maxRetries: 2}}")
                   .load);
}

TEST(LoadPolicy, OutlierDetectionHasIstiosDefaults) {
  const auto policy = policy_of("outlierDetection: {}");
  EXPECT_EQ(*policy.outlier, OutlierPolicy());
  EXPECT_EQ(policy.outlier->consecutive_5xx, 5u);
  EXPECT_EQ(policy.outlier->consecutive_gateway, 0u);
  EXPECT_EQ(policy.outlier->interval, 10s);
  EXPECT_EQ(policy.outlier->base_ejection_time, 30s);
  EXPECT_EQ(policy.outlier->max_ejection_percent, 10u);
  EXPECT_EQ(policy.min_health_percent, 0u);
}

TEST(LoadPolicy, OutlierDetectionTakesWhatIsGiven) {
  const auto policy = policy_of(
      "outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 2, interval: 1s, "
      "baseEjectionTime: 5s, maxEjectionPercent: 100, minHealthPercent: 40, "
      "splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3}");
  EXPECT_EQ(policy.outlier->consecutive_5xx, 0u);
  EXPECT_EQ(policy.outlier->consecutive_gateway, 2u);
  EXPECT_EQ(policy.outlier->interval, 1s);
  EXPECT_EQ(policy.outlier->base_ejection_time, 5s);
  EXPECT_EQ(policy.outlier->max_ejection_percent, 100u);
  EXPECT_TRUE(policy.outlier->split_local_origin);
  EXPECT_EQ(policy.outlier->consecutive_local_origin, 3u);
  EXPECT_EQ(policy.min_health_percent, 40u);
}

TEST(LoadPolicy, HashHasItsTablesSizes) {
  const auto ring = policy_of("loadBalancer: {consistentHash: {httpHeaderName: X-User}}").hash;
  EXPECT_EQ(ring->key, HashPolicy::Key::header);
  EXPECT_EQ(ring->name, "x-user");
  EXPECT_EQ(ring->table_size, 1024u);
  const auto maglev =
      policy_of("loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 251}}}")
          .hash;
  EXPECT_EQ(maglev->table, HashPolicy::Table::maglev);
  EXPECT_EQ(maglev->table_size, 251u);
}

TEST(LoadPolicy, WarmupIsOfRoundRobinAndLeastRequestOnly) {
  const std::string warmup = "warmup: {duration: 10s}";
  const auto policy = policy_of("loadBalancer: {simple: ROUND_ROBIN, " + warmup + "}");
  EXPECT_EQ(policy.warmup->duration, 10s);
  EXPECT_EQ(policy.warmup->minimum, 0.1);
  EXPECT_EQ(policy.warmup->aggression, 1);
  World world;
  EXPECT_FALSE(compiled(world, "loadBalancer: {simple: RANDOM, " + warmup + "}").load);
}

TEST(LoadPolicy, PoolGivesLimits) {
  const auto policy = policy_of(
      "connectionPool: {tcp: {maxConnectionDuration: 1h, tcpKeepalive: {time: 1500ms}}, http: "
      "{http2MaxRequests: 8}}, retryBudget: {minRetryConcurrency: 1}");
  EXPECT_EQ(policy.max_connection_duration, 1h);
  EXPECT_EQ(policy.max_requests, 8u);
  EXPECT_EQ(policy.keepalive->time, 2s);  // the kernel's grain
  EXPECT_EQ(policy.keepalive->probes, 0u);
  EXPECT_EQ(policy.retry_budget->percent, 20);
  EXPECT_EQ(policy.retry_budget->min_retry_concurrency, 1u);
  EXPECT_FALSE(policy.chooses());
}

// istio/istio:pilot/pkg/networking/util/util.go, GetPortLevelTrafficPolicy.
TEST(LoadPolicy, APortsSettingsDropTheHostsOutlierDetectionAndWhatNoPortCanSay) {
  World world;
  const auto& cluster =
      compiled(world,
               "outlierDetection: {}, retryBudget: {percent: 7}, proxyProtocol: {version: V2}, "
               "portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]");
  EXPECT_FALSE(cluster.load);
  EXPECT_EQ(cluster.proxy_protocol, ProxyProtocol::none);
}

TEST(LoadPolicy, ASubsetsPortSettingsLeaveItTheHostsRetryBudgetAndProxyProtocol) {
  World world;
  world.add(entry({"a.example"}))
      .add(rule({"a.example", "rule", "default",
                 "outlierDetection: {}, retryBudget: {percent: 7}, proxyProtocol: {version: V2}",
                 "  subsets: [{name: v1, trafficPolicy: {proxyProtocol: {version: V1}, "
                 "portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]}}]\n"}))
      .compile();
  const auto& subset = *world.cluster("outbound|80|v1|a.example");
  EXPECT_FALSE(subset.load->outlier);
  EXPECT_EQ(subset.load->retry_budget->percent, 7);
  EXPECT_EQ(subset.proxy_protocol, ProxyProtocol::v2);
}

TEST(ProxyProtocolOfARule, IsVersion1UnlessItSaysOtherwise) {
  for (const auto& [policy, version] :
       {std::pair("proxyProtocol: {}", ProxyProtocol::v1),
        std::pair("proxyProtocol: {version: V1}", ProxyProtocol::v1),
        std::pair("proxyProtocol: {version: V2}", ProxyProtocol::v2),
        std::pair("tls: {mode: DISABLE}", ProxyProtocol::none)}) {
    World world;
    EXPECT_EQ(compiled(world, policy).proxy_protocol, version) << policy;
    EXPECT_EQ(world.findings(), "") << policy;
  }
}

TEST(ProxyProtocolOfARule, OfASubsetReplacesTheHosts) {
  World world;
  world.add(entry({"a.example"}))
      .add(rule({"a.example", "rule", "default", "proxyProtocol: {version: V1}",
                 "  subsets: [{name: v1, trafficPolicy: {proxyProtocol: {version: V2}}}, "
                 "{name: v2}]\n"}))
      .compile();
  EXPECT_EQ(world.cluster("outbound|80||a.example")->proxy_protocol, ProxyProtocol::v1);
  EXPECT_EQ(world.cluster("outbound|80|v1|a.example")->proxy_protocol, ProxyProtocol::v2);
  EXPECT_EQ(world.cluster("outbound|80|v2|a.example")->proxy_protocol, ProxyProtocol::v1);
}

TEST(LoadPolicy, ASubsetReplacesBlockByBlock) {
  World world;
  world.add(entry({"a.example"}))
      .add(rule({"a.example", "rule", "default",
                 "outlierDetection: {interval: 1s}, connectionPool: {http: {http2MaxRequests: 3}}",
                 "  subsets: [{name: v1, trafficPolicy: {outlierDetection: {interval: 2s}}}]\n"}))
      .compile();
  const auto& subset = *world.cluster("outbound|80|v1|a.example");
  EXPECT_EQ(subset.load->outlier->interval, 2s);
  EXPECT_EQ(subset.load->max_requests, 3u);
}

TEST(LoadPolicy, TheMeshsDefaultsCountWhereARuleHasNoSuchBlock) {
  World world;
  world.input.mesh =
      istio::decode_mesh_config(
          "tcpKeepalive: {probes: 2, time: 9s}\ndefaultTrafficPolicy:\n"
          "  connectionPool: {tcp: {maxConnections: 5}}\n  outlierDetection: {interval: 1s}\n",
          "mesh.yaml")
          .config;
  const auto& cluster = compiled(world, "connectionPool: {tcp: {tcpKeepalive: {probes: 4}}}");
  EXPECT_EQ(cluster.load->outlier->interval, 1s);
  EXPECT_FALSE(cluster.max_connections);           // the rule's block replaces the mesh's
  EXPECT_EQ(cluster.load->keepalive->probes, 4u);  // field by field
  EXPECT_EQ(cluster.load->keepalive->time, 9s);
  EXPECT_EQ(world.snapshot().passthrough->max_connections, 5u);
  EXPECT_TRUE(world.snapshot().passthrough->load->keepalive);
  EXPECT_FALSE(world.snapshot().inbound_passthrough->max_connections);
}

TEST(LoadPolicy, EqualOnesKeepTheClusterWhenCompiledAgain) {
  World world;
  compiled(world, "outlierDetection: {}");
  const auto before = world.snapshot().clusters.at("outbound|80||a.example");
  world.compile();
  EXPECT_EQ(world.snapshot().clusters.at("outbound|80||a.example"), before);
}

TEST(LoadPolicy, PassthroughDialsTheOriginalDestination) {
  World world;
  const auto& cluster = compiled(world, "loadBalancer: {simple: PASSTHROUGH}");
  EXPECT_EQ(cluster.discovery, Discovery::original_dst);
  EXPECT_TRUE(cluster.endpoints.empty());
  EXPECT_EQ(cluster.original_dst_port, 0);
}

}  // namespace
}  // namespace sallyport::mesh
