// What a cluster holds: endpoints and ports, balancing, timeouts and limits
// (istio-api.md 1.1, 1.3, 2.5, 3.6).
#include "agent/mesh/compile_cluster.h"

#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

using namespace std::chrono_literals;

std::string text(const Cluster& cluster) {
  constexpr const char* kinds[] = {"ORIGINAL_DST", "STATIC", "STRICT_DNS", "LOGICAL_DNS"};
  std::string out = kinds[static_cast<int>(cluster.discovery)];
  if (cluster.original_dst_port) out += " port " + std::to_string(cluster.original_dst_port);
  for (const auto& endpoint : cluster.endpoints) {
    out += " " + (endpoint.by_name() ? endpoint.host + ":" + std::to_string(endpoint.port)
                                     : endpoint.address().text());
    if (endpoint.weight != 1) out += "*" + std::to_string(endpoint.weight);
  }
  return out;
}

struct Case {
  const char* rule;
  EntrySpec entry;
  const char* expect;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.rule; }
const Case cases[] = {
    {"NONE: the dialled address", {"a.example", "default", "NONE", {"80 HTTP"}}, "ORIGINAL_DST"},
    {"NONE with targetPort: only the port is replaced",
     {"a.example", "default", "NONE", {"80 HTTP 443"}},
     "ORIGINAL_DST port 443"},
    {"DNS without endpoints: the host itself",
     {"a.example", "default", "DNS", {"80 HTTP"}},
     "STRICT_DNS a.example:80"},
    {"DNS with targetPort",
     {"a.example", "default", "DNS", {"80 HTTP 443"}},
     "STRICT_DNS a.example:443"},
    {"DNS with endpoints: they are resolved instead",
     {"a.example",
      "default",
      "DNS",
      {"80 HTTP"},
      "  endpoints: [{address: B.example}, {address: c.example}]\n"},
     "STRICT_DNS b.example:80 c.example:80"},
    {"DNS with an IP endpoint",
     {"a.example", "default", "DNS", {"80 HTTP"}, "  endpoints: [{address: 192.0.2.1}]\n"},
     "STRICT_DNS 192.0.2.1:80"},
    {"DNS_ROUND_ROBIN",
     {"a.example", "default", "DNS_ROUND_ROBIN", {"80 HTTP"}},
     "LOGICAL_DNS a.example:80"},
    {"STATIC",
     {"a.example",
      "default",
      "STATIC",
      {"80 HTTP"},
      "  endpoints: [{address: 192.0.2.1}, {address: '2001:db8::1'}]\n"},
     "STATIC 192.0.2.1:80 [2001:db8::1]:80"},
    {"unix sockets, which have no port, beside others",
     {"a.example",
      "default",
      "STATIC",
      {"80 HTTP 8080"},
      "  endpoints: [{address: 'unix:///run/x.sock', weight: 2}, {address: 'unix://@x'},\n"
      "    {address: 192.0.2.1}]\n"},
     "STATIC /run/x.sock*2 @x 192.0.2.1:8080"},
    {"an endpoint's own port beats targetPort",
     {"a.example",
      "default",
      "STATIC",
      {"80 HTTP 8080"},
      "  endpoints: [{address: 192.0.2.1, ports: {p80: 9090}}, {address: 192.0.2.2}]\n"},
     "STATIC 192.0.2.1:9090 192.0.2.2:8080"},
    {"weights; 0 is 1",
     {"a.example",
      "default",
      "STATIC",
      {"80 HTTP"},
      "  endpoints: [{address: 192.0.2.1, weight: 3}, {address: 192.0.2.2, weight: 0}]\n"},
     "STATIC 192.0.2.1:80*3 192.0.2.2:80"},
};
class Endpoints : public testing::TestWithParam<Case> {};
TEST_P(Endpoints, Are) {
  const auto& c = GetParam();
  World world;
  world.add(entry(c.entry));
  ASSERT_TRUE(world.input.refused.empty()) << c.rule << world.input.refused[0].finding.text();
  const auto* cluster = world.compile().cluster("outbound|80||a.example");
  ASSERT_TRUE(cluster) << c.rule;
  EXPECT_EQ(text(*cluster), c.expect) << c.rule;
}
INSTANTIATE_TEST_SUITE_P(Spec, Endpoints, testing::ValuesIn(cases));

TEST(Cluster, OfAServiceGoesToItsOwnAddressOfOurFamily) {
  World world;
  world.add(
      "kind: Service\napiVersion: v1\nmetadata: {name: web, namespace: shop}\nspec:\n"
      "  clusterIPs: ['2001:db8::9', 198.18.0.9]\n  clusterIP: '2001:db8::9'\n"
      "  ports: [{port: 80, name: http}]\n");
  EXPECT_EQ(text(*world.compile().cluster("outbound|80||web.shop.svc.cluster.local")),
            "STATIC 198.18.0.9:80");
  world.input.proxy.addresses = {"2001:db8::5"};
  world.new_mesh = true;
  EXPECT_EQ(text(*world.compile().cluster("outbound|80||web.shop.svc.cluster.local")),
            "STATIC [2001:db8::9]:80");
}

TEST(Cluster, OfAHeadlessServiceKeepsTheDialledAddress) {
  World world;
  world.add(service("web", "shop", "None", {"80 http"})).compile();
  EXPECT_EQ(text(*world.cluster("outbound|80||web.shop.svc.cluster.local")), "ORIGINAL_DST");
}

TEST(Cluster, OfAnExternalNameIsResolved) {
  World world;
  world.add(
      "kind: Service\napiVersion: v1\nmetadata: {name: ext, namespace: shop}\nspec:\n"
      "  type: ExternalName\n  externalName: Out.example\n  ports: [{port: 80, name: http}]\n");
  EXPECT_EQ(text(*world.compile().cluster("outbound|80||ext.shop.svc.cluster.local")),
            "STRICT_DNS out.example:80");
}

// 3.6: what nobody sets.
TEST(Cluster, HasIstiosDefaults) {
  World world;
  world.add(entry({"a.example"})).compile();
  const auto& cluster = *world.cluster("outbound|80||a.example");
  EXPECT_EQ(cluster.balancing, Balancing::least_request);
  EXPECT_EQ(cluster.connect_timeout, 10s);
  EXPECT_EQ(cluster.tcp_idle, 1h);
  EXPECT_EQ(cluster.http_idle, 1h);
  EXPECT_FALSE(cluster.max_requests_per_connection || cluster.max_connections ||
               cluster.max_pending_requests);
  EXPECT_FALSE(cluster.refused);
  EXPECT_EQ(cluster.tls.mode, Originate::none);
  EXPECT_EQ(world.snapshot().passthrough->http_idle, 5min);
  EXPECT_EQ(world.snapshot().passthrough->discovery, Discovery::original_dst);
}

TEST(Cluster, TakesTheMeshsConnectTimeoutAndRetries) {
  World world;
  world.input.mesh.connect_timeout = 3s;
  world.input.mesh.default_retries.emplace();  // attempts: 0
  world.add(entry({"a.example"})).compile();
  EXPECT_EQ(world.cluster("outbound|80||a.example")->connect_timeout, 3s);
  EXPECT_EQ(world.snapshot().passthrough->connect_timeout, 3s);
  const auto& hosts = world.snapshot().by_port.at(80)->http->hosts;
  EXPECT_EQ((*hosts.find("a.example"))->routes[0].retry.attempts, 0);
}

TEST(Cluster, TakesTheMeshsRetryPolicyWhole) {
  World world;
  world.input.mesh.default_retries =
      istio::HttpRetry{.attempts = 3, .per_try_timeout = 2s, .backoff = {}, .retry_on = "5xx,409"};
  world.add(entry({"a.example"})).compile();
  const auto& hosts = world.snapshot().by_port.at(80)->http->hosts;
  const auto& retry = (*hosts.find("a.example"))->routes[0].retry;
  EXPECT_EQ(retry.attempts, 3);
  EXPECT_EQ(retry.per_try_timeout, 2s);
  EXPECT_EQ(retry.on, retry_5xx | retry_status_codes);
  EXPECT_EQ(retry.status_codes, std::vector<uint16_t>{409});
}

struct PolicyCase {
  const char* rule;
  const char* policy;
  bool (*holds)(const Cluster&);
};
void PrintTo(const PolicyCase& c, std::ostream* out) { *out << c.rule; }
const PolicyCase policy_cases[] = {
    {"ROUND_ROBIN", "loadBalancer: {simple: ROUND_ROBIN}",
     [](const Cluster& c) { return c.balancing == Balancing::round_robin; }},
    {"RANDOM", "loadBalancer: {simple: RANDOM}",
     [](const Cluster& c) { return c.balancing == Balancing::random; }},
    {"LEAST_REQUEST", "loadBalancer: {simple: LEAST_REQUEST}",
     [](const Cluster& c) { return c.balancing == Balancing::least_request; }},
    {"PASSTHROUGH dials the original destination, whatever the endpoints",
     "loadBalancer: {simple: PASSTHROUGH}",
     [](const Cluster& c) {
       return c.discovery == Discovery::original_dst && c.endpoints.empty() &&
              c.original_dst_port == 0;
     }},
    {"connectTimeout", "connectionPool: {tcp: {connectTimeout: 250ms}}",
     [](const Cluster& c) { return c.connect_timeout == 250ms; }},
    {"tcp.idleTimeout counts for HTTP too", "connectionPool: {tcp: {idleTimeout: 20s}}",
     [](const Cluster& c) { return c.tcp_idle == 20s && c.http_idle == 20s; }},
    {"http.idleTimeout wins over it",
     "connectionPool: {tcp: {idleTimeout: 20s}, http: {idleTimeout: 5s}}",
     [](const Cluster& c) { return c.tcp_idle == 20s && c.http_idle == 5s; }},
    {"maxRequestsPerConnection 0 is unlimited",
     "connectionPool: {http: {maxRequestsPerConnection: 0}}",
     [](const Cluster& c) { return !c.max_requests_per_connection; }},
    {"limits",
     "connectionPool: {tcp: {maxConnections: 7}, http: {http1MaxPendingRequests: 8, "
     "maxRequestsPerConnection: 9, maxRetries: 10}}",
     [](const Cluster& c) {
       return c.max_connections == 7u && c.max_pending_requests == 8u &&
              c.max_requests_per_connection == 9u && c.max_retries == 10u;
     }},
};
class Policy : public testing::TestWithParam<PolicyCase> {};
TEST_P(Policy, Sets) {
  World world;
  world.add(entry({"a.example", "default", "DNS", {"80 HTTP 8080"}}))
      .add(rule({"a.example", "r", "default", GetParam().policy}));
  ASSERT_TRUE(world.input.refused.empty())
      << GetParam().rule << world.input.refused[0].finding.text();
  EXPECT_TRUE(GetParam().holds(*world.compile().cluster("outbound|80||a.example")))
      << GetParam().rule;
}
INSTANTIATE_TEST_SUITE_P(Spec, Policy, testing::ValuesIn(policy_cases));

TEST(Cluster, AsksFailingDnsServersAgainAsOftenAsTheMeshConfigSays) {
  World world;
  world.input.mesh.dns_refresh_rate = std::chrono::seconds(7);
  world.add(entry({"a.example", "default", "DNS", {"80 HTTP"}})).compile();
  EXPECT_EQ(world.cluster("outbound|80||a.example")->dns_refresh_rate, std::chrono::seconds(7));
}

TEST(ClusterFindings, NameThePortsTlsBlock) {
  World world;
  world.add(entry({"a.example", "default", "DNS", {"80 HTTP", "81 HTTP"}}))
      .add(rule({"a.example", "r", "default",
                 "portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}, "
                 "{port: {number: 81}, tls: {mode: SIMPLE, credentialName: x}}]"}))
      .compile();
  EXPECT_NE(world.findings().find("spec.trafficPolicy.portLevelSettings[1].tls: "
                                  "outbound|81||a.example is closed"),
            std::string::npos)
      << "found: " << world.findings();
}

TEST(DynamicDns, AHostOfTheWildcardIsResolvedWhenAClientNamesIt) {
  World world;
  world.add(entry({"*.a.example", "default", "DYNAMIC_DNS", {"80 HTTP 8080", "443 TLS"}}))
      .add(rule({"*.a.example", "r", "default",
                 "portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]"}))
      .compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "x.a.example"),
            (Answer{"outbound|80||*.a.example", "default"}));
  EXPECT_EQ(world.tls("203.0.113.1:443", "x.a.example"),
            (Answer{"outbound|443||*.a.example", "-"}));
  const auto& http = *world.cluster("outbound|80||*.a.example");
  EXPECT_EQ(http.discovery, Discovery::dynamic_dns);
  EXPECT_FALSE(http.refused);
  EXPECT_TRUE(http.endpoints.empty());
  EXPECT_EQ(http.original_dst_port, 8080) << "targetPort";
  EXPECT_TRUE(http.tls.auto_sni && http.tls.auto_san) << "the server must prove to be that host";
  EXPECT_EQ(world.cluster("outbound|443||*.a.example")->original_dst_port, 0) << "as dialled";
}

}  // namespace
}  // namespace sallyport::mesh
