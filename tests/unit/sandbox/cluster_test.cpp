// Services, their addresses, names and rules.
#include "deploy/sandbox/cluster.h"

#include <gtest/gtest.h>

namespace sallyport::sandbox {
namespace {

struct ClusterTest : testing::Test {
  void SetUp() override {
    auto read = parse_manifests(R"(
kind: Pod
metadata:
  name: a
  namespace: shop
  labels: {app: web}
  annotations: {sandbox.sallyport.io/hosts: "Out.example, *.out.example"}
spec: {containers: [{name: c, image: nginx, ports: [{name: http, containerPort: 8080}]}]}
---
kind: Pod
metadata: {name: b, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, image: nginx, ports: [{name: http, containerPort: 9090}]}]}
---
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
kind: Service
metadata: {name: each, namespace: shop}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
---
kind: Service
metadata: {name: far, namespace: shop}
spec: {type: ExternalName, externalName: Out.example}
---
kind: ConfigMap
metadata: {name: sandbox-dns}
data: {dead.example: "192.0.2.1 2001:db8::dead", bad.example: servfail, mute.example: silent}
)",
                                "c.yaml");
    ASSERT_TRUE(read) << read.error().context;
    manifests = *read;
    for (std::size_t i = 0; i < 2; ++i)
      pods.push_back({&manifests.pods[i], pod_ipv4(i), pod_ipv6(i), true});
    std::size_t next = 0;
    assign(manifests.services, ips, next);
  }
  Manifests manifests;
  std::vector<Backend> pods;
  ServiceIps ips;
};

TEST_F(ClusterTest, NamesOfServicesLeadToTheirClusterAddress) {
  const auto zone = dns_zone(manifests, ips, pods);
  ASSERT_TRUE(zone) << zone.error().context;
  EXPECT_EQ(zone->at("web.shop.svc.cluster.local").addresses, std::vector{service_ipv4(0)});
  EXPECT_EQ(zone->at("far.shop.svc.cluster.local").alias, "out.example");
}

TEST_F(ClusterTest, AHeadlessServiceIsItsReadyPods) {
  pods[1].ready = false;
  EXPECT_EQ(dns_zone(manifests, ips, pods)->at("each.shop.svc.cluster.local").addresses,
            std::vector{pod_ipv4(0)});
}

TEST_F(ClusterTest, OutsideNamesAreThoseASampleDeclares) {
  const auto zone = dns_zone(manifests, ips, pods);
  EXPECT_EQ(zone->at("out.example").addresses, (std::vector{pod_ipv4(0), pod_ipv6(0)}));
  EXPECT_EQ(zone->count("*.out.example"), 1U);
  EXPECT_EQ(zone->at("dead.example").addresses.size(), 2U);
  EXPECT_EQ(zone->at("bad.example").behaviour, DnsName::Behaviour::server_fails);
  EXPECT_EQ(zone->at("mute.example").behaviour, DnsName::Behaviour::silent);
}

TEST_F(ClusterTest, AnOutsideNameThatIsNoAddressIsAnError) {
  manifests.config_maps[0].data["x.example"] = "somewhere";
  EXPECT_FALSE(dns_zone(manifests, ips, pods));
}

TEST_F(ClusterTest, NamedTargetPortsAreEachPodsOwn) {
  const std::string rules = service_rules(false, manifests.services, ips, pods);
  EXPECT_NE(rules.find("-d 198.19.0.1 -p tcp --dport 80 -m statistic --mode random --probability "
                       "0.500000 -j DNAT "
                       "--to-destination 198.18.1.0:8080\n"),
            std::string::npos)
      << rules;
  EXPECT_NE(
      rules.find("-d 198.19.0.1 -p tcp --dport 80 -j DNAT --to-destination 198.18.1.1:9090\n"),
      std::string::npos);
}

TEST_F(ClusterTest, AServiceWithNobodyBehindItRefuses) {
  for (Backend& pod : pods) pod.ready = false;
  const std::string rules = service_rules(false, manifests.services, ips, pods);
  EXPECT_NE(rules.find("-A FORWARD -d 198.19.0.1 -p tcp --dport 80 -j REJECT\n"), std::string::npos)
      << rules;
}

TEST_F(ClusterTest, AddressesStayWhenServicesAreAdded) {
  manifests.services.insert(manifests.services.begin(), Service{.meta = {"shop", "newer", {}, {}}});
  std::size_t next = 1;
  assign(manifests.services, ips, next);
  EXPECT_EQ(ips.at("shop/web"), std::vector{service_ipv4(0)});
  EXPECT_EQ(ips.at("shop/newer"), std::vector{service_ipv4(1)});
}

}  // namespace
}  // namespace sallyport::sandbox
