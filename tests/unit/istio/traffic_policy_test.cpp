// loadBalancer, connectionPool, outlierDetection and retryBudget: what is read, and what Istio's
// validation refuses, field by field (istio-api.md 1.3).
#include <gtest/gtest.h>

#include "tests/unit/istio/decoding.h"

namespace sallyport::istio {
namespace {

using namespace std::chrono_literals;

TrafficPolicy policy(const std::string& blocks) {
  const auto rule = only<DestinationRule>(
      document("DestinationRule", "host: a.b\ntrafficPolicy: {" + blocks + "}"));
  return rule.traffic_policy ? *rule.traffic_policy : TrafficPolicy();
}

TEST(LoadBalancerDecoding, ReadsConsistentHashByHeader) {
  const auto hash = *policy(
                         "loadBalancer: {consistentHash: {httpHeaderName: X-User, "
                         "ringHash: {minimumRingSize: 2048}}}")
                         .load_balancer->consistent_hash;
  EXPECT_EQ(hash.key, ConsistentHash::Key::header);
  EXPECT_EQ(hash.name, "X-User");
  EXPECT_EQ(hash.table, ConsistentHash::Table::ring);
  EXPECT_EQ(hash.table_size, 2048u);
}

TEST(LoadBalancerDecoding, ReadsConsistentHashByCookie) {
  const auto hash =
      *policy(
           "loadBalancer: {consistentHash: {httpCookie: {name: user, path: /p, ttl: 60s, "
           "attributes: [{name: SameSite, value: Lax}, {name: Secure}]}, maglev: {tableSize: "
           "101}}}")
           .load_balancer->consistent_hash;
  EXPECT_EQ(hash.key, ConsistentHash::Key::cookie);
  EXPECT_EQ(hash.name, "user");
  EXPECT_EQ(hash.path, "/p");
  EXPECT_EQ(hash.ttl, 60s);
  ASSERT_EQ(hash.attributes.size(), 2u);
  EXPECT_EQ(hash.attributes[0], (std::pair<std::string, std::string>("SameSite", "Lax")));
  EXPECT_EQ(hash.table, ConsistentHash::Table::maglev);
  EXPECT_EQ(hash.table_size, 101u);
}

TEST(LoadBalancerDecoding, ReadsTheOtherKeysAndTheDeprecatedRingSize) {
  const auto ip = *policy("loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 7}}")
                       .load_balancer->consistent_hash;
  EXPECT_EQ(ip.key, ConsistentHash::Key::source_ip);
  EXPECT_EQ(ip.table_size, 7u);
  const auto query = *policy("loadBalancer: {consistentHash: {httpQueryParameterName: id}}")
                          .load_balancer->consistent_hash;
  EXPECT_EQ(query.key, ConsistentHash::Key::query_parameter);
  EXPECT_EQ(query.name, "id");
  EXPECT_FALSE(query.table_size);
}

TEST(LoadBalancerDecoding, ReadsWarmup) {
  const auto warmup =
      *policy("loadBalancer: {warmup: {duration: 30s, minimumPercent: 20, aggression: 1.5}}")
           .load_balancer->warmup;
  EXPECT_EQ(warmup.duration, 30s);
  EXPECT_EQ(warmup.minimum_percent, 20);
  EXPECT_EQ(warmup.aggression, 1.5);
  EXPECT_EQ(policy("loadBalancer: {warmupDurationSecs: 5s}").load_balancer->warmup->duration, 5s);
}

TEST(LoadBalancerDecoding, ReadsLocalities) {
  const auto setting =
      *policy(
           "loadBalancer: {localityLbSetting: {enabled: true, distribute: [{from: r1/z1/*, to: "
           "{'r1/z1/*': 80, r2: 20}}]}}")
           .load_balancer->locality;
  EXPECT_EQ(setting.enabled, true);
  ASSERT_EQ(setting.distribute.size(), 1u);
  EXPECT_EQ(setting.distribute[0].from, "r1/z1/*");
  EXPECT_EQ(setting.distribute[0].to.at("r2"), 20u);
  const auto failover = *policy(
                             "loadBalancer: {localityLbSetting: {failover: [{from: r1, to: "
                             "r2}], failoverPriority: [version, 'a=b']}}, outlierDetection: {}")
                             .load_balancer->locality;
  EXPECT_EQ(failover.failover[0].from + failover.failover[0].to, "r1r2");
  EXPECT_EQ(failover.failover_priority, (std::vector<std::string>{"version", "a=b"}));
}

TEST(OutlierDetectionDecoding, ReadsEveryField) {
  const auto outlier =
      *policy(
           "outlierDetection: {consecutive5xxErrors: 7, consecutiveGatewayErrors: 0, "
           "splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3, interval: "
           "1s, baseEjectionTime: 2m, maxEjectionPercent: 50, minHealthPercent: 30}")
           .outlier_detection;
  EXPECT_EQ(outlier.consecutive_5xx, 7u);
  EXPECT_EQ(outlier.consecutive_gateway, 0u);
  EXPECT_TRUE(outlier.split_local_origin);
  EXPECT_EQ(outlier.consecutive_local_origin, 3u);
  EXPECT_EQ(outlier.interval, 1s);
  EXPECT_EQ(outlier.base_ejection_time, 2min);
  EXPECT_EQ(outlier.max_ejection_percent, 50u);
  EXPECT_EQ(outlier.min_health_percent, 30u);
}

TEST(OutlierDetectionDecoding, EmptyDiffersFromAbsent) {
  EXPECT_TRUE(policy("outlierDetection: {}").outlier_detection);
  EXPECT_FALSE(policy("loadBalancer: {simple: RANDOM}").outlier_detection);
}

TEST(ConnectionPoolDecoding, ReadsWhatLimitsBesideConnections) {
  const auto all = policy(
      "connectionPool: {tcp: {maxConnectionDuration: 1h, tcpKeepalive: {probes: 3, time: 60s, "
      "interval: 10s}}, http: {http2MaxRequests: 9}}, retryBudget: {percent: 25.5, "
      "minRetryConcurrency: 4}");
  EXPECT_EQ(all.connection_pool->max_connection_duration, 1h);
  EXPECT_EQ(all.connection_pool->tcp_keepalive->probes, 3u);
  EXPECT_EQ(all.connection_pool->tcp_keepalive->time, 60s);
  EXPECT_EQ(all.connection_pool->tcp_keepalive->interval, 10s);
  EXPECT_EQ(all.connection_pool->http2_max_requests, 9u);
  EXPECT_EQ(all.retry_budget->percent, 25.5);
  EXPECT_EQ(all.retry_budget->min_retry_concurrency, 4u);
}

struct Case {
  const char* name;
  std::string policy;  // inside `trafficPolicy: {}` of line 7
  std::vector<std::string> complaints;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const std::string hash = "7: spec.trafficPolicy.loadBalancer.consistentHash";
const std::string locality = "7: spec.trafficPolicy.loadBalancer.localityLbSetting";
const std::string outlier = "7: spec.trafficPolicy.outlierDetection";
const std::string http = "7: spec.trafficPolicy.connectionPool.http";
const Case cases[] = {
    {"two keys",
     "loadBalancer: {consistentHash: {useSourceIp: true, httpHeaderName: a}}",
     {hash + ": only one of httpHeaderName, httpCookie, useSourceIp or httpQueryParameterName can "
             "be set"}},
    {"no key",
     "loadBalancer: {consistentHash: {ringHash: {}}}",
     {hash + ": no hash key: endpoints are chosen at random"}},
    {"a cookie without a name",
     "loadBalancer: {consistentHash: {httpCookie: {ttl: 0s}}}",
     {hash + ".httpCookie.name: name required for HttpCookie"}},
    {"Maglev of no size",
     "loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 0}}}",
     {hash + ".maglev.tableSize: tableSize must be set for maglev"}},
    {"Maglev too large",
     "loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 5000021}}}",
     {hash + ".maglev.tableSize: tableSize must be less than 5000011 for maglev"}},
    {"Maglev of a size that is no prime",
     "loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 100}}}",
     {hash + ".maglev.tableSize: tableSize must be a prime number for maglev"}},
    {"both tables",
     "loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 7}, ringHash: {}}}",
     {hash + ".maglev: only one of ringHash or maglev can be set"}},
    {"Maglev of more entries than a worker builds",
     "loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 131101}}}",
     {hash + ".maglev.tableSize: a table of 131071 entries is built: larger ones would keep "
             "connections waiting"}},
    {"a ring of more",
     "loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 65537}}}",
     {hash + ".ringHash.minimumRingSize: a table of 65536 entries is built: larger ones would "
             "keep connections waiting"}},
    {"simple and consistentHash",
     "loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}",
     {hash + ": only one of simple or consistentHash can be set"}},
    {"warmup without a duration",
     "loadBalancer: {warmup: {}}",
     {"7: spec.trafficPolicy.loadBalancer.warmup.duration: duration is required"}},
    {"warmup beyond 100 percent",
     "loadBalancer: {warmup: {duration: 1s, minimumPercent: 101}}",
     {"7: spec.trafficPolicy.loadBalancer.warmup.minimumPercent: 101 is not a number from 0 to "
      "100"}},
    {"warmup with too little aggression",
     "loadBalancer: {warmup: {duration: 1s, aggression: 0}}",
     {"7: spec.trafficPolicy.loadBalancer.warmup.aggression: aggression should be greater than 0"}},
    {"both kinds of locality setting",
     "loadBalancer: {localityLbSetting: {}, zoneAwareLbSetting: {}}",
     {"7: spec.trafficPolicy.loadBalancer.zoneAwareLbSetting: only one of localityLbSetting or "
      "zoneAwareLbSetting can be set",
      "7: spec.trafficPolicy.loadBalancer.zoneAwareLbSetting: not supported yet, has no effect"}},
    {"distribute and failover",
     "loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {a: 100}}], failover: [{from: "
     "a, to: b}]}}, outlierDetection: {}",
     {locality + ".failover: can not simultaneously specify 'distribute' and 'failover'"}},
    {"weights that are not 100 in all",
     "loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {a: 50, b: 60}}]}}",
     {locality + ".distribute[0].to: total locality weight 110 != 100"}},
    {"a weight of 0",
     "loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {a: 0, b: 100}}]}}",
     {locality + ".distribute[0].to.a: locality weight must be in range [1, 100]"}},
    {"a wildcard in the middle",
     "loadBalancer: {localityLbSetting: {distribute: [{from: 'a/*/c', to: {a: 100}}]}}",
     {locality + ".distribute[0].from: locality \"a/*/c\" wildcard '*' number can not exceed 1 and "
                 "must be in the end"}},
    {"overlapping sources",
     "loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {a: 100}}, {from: a/b, to: {a: "
     "100}}]}}",
     {locality + ".distribute: locality a/b overlap with previous specified ones: a"}},
    {"failover to itself",
     "loadBalancer: {localityLbSetting: {failover: [{from: a, to: a}]}}, outlierDetection: {}",
     {locality + ".failover[0].to: locality lb failover settings must specify different regions"}},
    {"failover to any",
     "loadBalancer: {localityLbSetting: {failover: [{from: a, to: '*'}]}}, outlierDetection: {}",
     {locality + ".failover[0].to: locality lb failover region should not contain '*' wildcard"}},
    {"failover and a topology label",
     "loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}], failoverPriority: "
     "[topology.kubernetes.io/zone]}}, outlierDetection: {}",
     {locality + ".failoverPriority: can not simultaneously set 'failover' and topology label "
                 "\"topology.kubernetes.io/zone\" in 'failover_priority'"}},
    {"failover without outlier detection",
     "loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}",
     {locality + ": outlier detection policy must be provided for failover"}},
    {"local failures that are not split",
     "outlierDetection: {consecutiveLocalOriginFailures: 2}",
     {outlier + ".consecutiveLocalOriginFailures: outlier detection consecutive local origin "
                "failures is specified, but split external local origin errors is set to false"}},
    {"an interval of 0",
     "outlierDetection: {interval: 0s}",
     {outlier + ".interval: duration must be greater than 1ms"}},
    {"a base ejection time in microseconds",
     "outlierDetection: {baseEjectionTime: 1500us}",
     {outlier + ".baseEjectionTime: only durations to ms precision are supported"}},
    {"more than 100 percent ejected",
     "outlierDetection: {maxEjectionPercent: 101}",
     {outlier + ".maxEjectionPercent: 101 is not a whole number from 0 to 100"}},
    {"negative health",
     "outlierDetection: {minHealthPercent: -1}",
     {outlier + ".minHealthPercent: -1 is not a whole number from 0 to 100"}},
    {"the deprecated counter",
     "outlierDetection: {consecutiveErrors: 5}",
     {outlier + ".consecutiveErrors: outlier detection consecutive errors is deprecated, "
                "use consecutiveGatewayErrors or consecutive5xxErrors instead"}},
    {"UPGRADE and the client's protocol",
     "connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}",
     {http + ".useClientProtocol: use client protocol must not be true when H2UpgradePolicy is "
             "UPGRADE",
      http + ".h2UpgradePolicy: upstreams are spoken to in HTTP/1.1 only, has no effect yet",
      http + ".useClientProtocol: upstreams are spoken to in HTTP/1.1 only, has no effect yet"}},
    {"HTTP/2 keepalive without a timeout",
     "connectionPool: {http: {http2KeepAlive: {interval: 1s}}}",
     {http + ".http2KeepAlive.timeout: required for http2KeepAlive",
      http + ".http2KeepAlive: upstreams are spoken to in HTTP/1.1 only, has no effect yet"}},
    {"a negative limit",
     "connectionPool: {http: {http2MaxRequests: -1}}",
     {http + ".http2MaxRequests: -1 is not a whole number from 0 to 2147483647"}},
    {"a connection duration of 0",
     "connectionPool: {tcp: {maxConnectionDuration: 0s}}",
     {"7: spec.trafficPolicy.connectionPool.tcp.maxConnectionDuration: duration must be greater "
      "than 1ms"}},
    {"a retry budget beyond 100 percent",
     "retryBudget: {percent: 101}",
     {"7: spec.trafficPolicy.retryBudget.percent: 101 is not a number from 0 to 100"}},
};
class TrafficPolicyValidation : public testing::TestWithParam<Case> {};
TEST_P(TrafficPolicyValidation, Says) {
  const Case& c = GetParam();
  EXPECT_EQ(complaints(document("DestinationRule", "host: a.b\ntrafficPolicy: {" + c.policy + "}")),
            c.complaints)
      << c.name;
}
INSTANTIATE_TEST_SUITE_P(Spec, TrafficPolicyValidation, testing::ValuesIn(cases));

TEST(MeshConfigDecoding, ReadsWhatIsTheSameForAllServices) {
  const auto result = decode_mesh_config(
      "tcpKeepalive: {probes: 2}\nlocalityLbSetting: {enabled: false}\ndefaultTrafficPolicy:\n"
      "  connectionPool: {tcp: {maxConnections: 5}}\n  outlierDetection: {interval: 1s}\n",
      "mesh.yaml");
  EXPECT_EQ(texts(result.findings), std::vector<std::string>());
  EXPECT_EQ(result.config.tcp_keepalive->probes, 2u);
  EXPECT_EQ(result.config.locality->enabled, false);
  EXPECT_EQ(result.config.default_traffic_policy->connection_pool->max_connections, 5u);
  EXPECT_EQ(result.config.default_traffic_policy->outlier_detection->interval, 1s);
}

}  // namespace
}  // namespace sallyport::istio
