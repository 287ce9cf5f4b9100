// The egress scenarios as decisions: what the samples' resources make of each connection.
#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

const char* const e1 = R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: edition-cnn-com}
spec:
  hosts: [edition.cnn.com]
  ports:
  - {number: 80, name: http-port, protocol: HTTP}
  - {number: 443, name: https-port, protocol: HTTPS}
  resolution: DNS
)";

const char* const e2 = R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: edition-cnn-com}
spec:
  hosts: [edition.cnn.com]
  ports:
  - {number: 80, name: http-port, protocol: HTTP, targetPort: 443}
  - {number: 443, name: https-port, protocol: HTTPS}
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: edition-cnn-com}
spec:
  host: edition.cnn.com
  trafficPolicy:
    portLevelSettings:
    - port: {number: 80}
      tls: {mode: SIMPLE}
)";

const char* const e3 = R"(
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: originate-mtls-for-nginx}
spec:
  hosts: [my-nginx.mesh-external.svc.cluster.local]
  ports:
  - {number: 80, name: http-port, protocol: HTTP, targetPort: 443}
  - {number: 443, name: https-port, protocol: HTTPS}
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: originate-mtls-for-nginx}
spec:
  workloadSelector: {matchLabels: {app: sleep}}
  host: my-nginx.mesh-external.svc.cluster.local
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    portLevelSettings:
    - port: {number: 80}
      tls:
        mode: MUTUAL
        credentialName: client-credential
        sni: my-nginx.mesh-external.svc.cluster.local
)";

TEST(E1, PlainHttpIsRoutedAndTlsPassesBySni) {
  World world;
  world.add(e1).compile();
  EXPECT_EQ(world.http("203.0.113.1:80", "edition.cnn.com"),
            (Answer{"outbound|80||edition.cnn.com", "default"}));
  EXPECT_EQ(world.tls("203.0.113.1:443", "edition.cnn.com"),
            (Answer{"outbound|443||edition.cnn.com", "-"}));
  EXPECT_EQ(world.cluster("outbound|80||edition.cnn.com")->tls.mode, Originate::none);
  EXPECT_TRUE(world.compiled.findings.empty()) << world.findings();
}

TEST(E2, HttpGoesAsTlsToPort443UnderItsOwnName) {
  World world;
  world.add(e2).compile();
  const auto& cluster = *world.cluster("outbound|80||edition.cnn.com");
  EXPECT_EQ(cluster.tls.mode, Originate::simple);
  EXPECT_TRUE(cluster.tls.auto_sni && cluster.tls.auto_san);
  EXPECT_EQ(cluster.tls.roots, "system");
  ASSERT_EQ(cluster.endpoints.size(), 1u);
  EXPECT_EQ(cluster.endpoints[0].port, 443);
  EXPECT_TRUE(world.compiled.findings.empty()) << world.findings();
}

TEST(E2b, TheClientsOwnTlsIsNotWrapped) {
  World world;
  world.add(e2).compile();
  EXPECT_EQ(world.tls("203.0.113.1:443", "edition.cnn.com"),
            (Answer{"outbound|443||edition.cnn.com", "-"}));
  EXPECT_EQ(world.cluster("outbound|443||edition.cnn.com")->tls.mode, Originate::none);
}

TEST(E3, HttpGoesAsMutualTlsWithTheSecret) {
  World world;
  world.add(e3).compile();
  const std::string name = "outbound|80||my-nginx.mesh-external.svc.cluster.local";
  EXPECT_EQ(world.http("198.18.0.80:80", "my-nginx.mesh-external.svc.cluster.local"),
            (Answer{name, "default"}));
  const auto& tls = world.cluster(name)->tls;
  EXPECT_EQ(tls.mode, Originate::mutual);
  EXPECT_EQ(tls.sni, "my-nginx.mesh-external.svc.cluster.local");
  EXPECT_EQ(tls.certificate, "kubernetes://client-credential");
  EXPECT_EQ(tls.roots, "kubernetes://client-credential-cacert");
  EXPECT_FALSE(tls.skip_verify);
  EXPECT_EQ(world.cluster(name)->balancing, Balancing::least_request)
      << "7: the port's entry drops the rest";
}

TEST(E3d, ThePodThatTheRuleDoesNotSelectSendsPlaintext) {
  World world;
  world.input.proxy.labels = {{"app", "notsleep"}};
  world.add(e3).compile();
  const auto& cluster = *world.cluster("outbound|80||my-nginx.mesh-external.svc.cluster.local");
  EXPECT_EQ(cluster.tls.mode, Originate::none);
  EXPECT_FALSE(cluster.rule);
  EXPECT_EQ(cluster.endpoints[0].port, 443);
}

TEST(E6, UnlistedHostsPassOrAreRefusedAsTheMeshSays) {
  World world;
  world.add(e1).compile();
  EXPECT_EQ(world.http("203.0.113.9:80", "unlisted.example"),
            (Answer{"PassthroughCluster", "allow_any"}));
  EXPECT_EQ(world.tls("203.0.113.9:443", "unlisted.example"), (Answer{"PassthroughCluster", "-"}));
  world.registry_only().compile();
  EXPECT_EQ(world.http("203.0.113.9:80", "unlisted.example"), (Answer{"-", "block_all", 502}));
  EXPECT_EQ(world.tls("203.0.113.9:443", "unlisted.example"),
            (Answer{"BlackHoleCluster", "-", 0, true}));
}

}  // namespace
}  // namespace sallyport::mesh
