// The ports of this workload: who declares them, what they speak, and where their connections go
// (istio-api.md 1.6, 2.15).
#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

World server() {
  World world;
  world.input.proxy.name = "server-1";
  world.input.proxy.labels = {{"app", "server"}};
  world.input.proxy.addresses = {"198.18.0.9"};
  return world;
}

std::string selecting(const std::string& name, const std::string& selector,
                      const std::string& ports, const std::string& name_space = "default") {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: " + name_space +
         "}\nspec:\n  clusterIP: 192.0.2.1\n  selector: {" + selector + "}\n  ports: [" + ports +
         "]\n---\n";
}

const InboundPort& port_of(const World& world, uint16_t port) {
  return inbound_port(world.snapshot().inbound, port);
}

TEST(CompileInbound, AServiceThatSelectsThisPodDeclaresItsTargetPorts) {
  auto world = server();
  world
      .add(selecting("server", "app: server",
                     "{name: http-web, port: 80, targetPort: 8080}, {name: tcp-db, port: 5432}, "
                     "{name: x, port: 81, targetPort: 8081, appProtocol: https}, "
                     "{name: dns, port: 53, protocol: UDP}"))
      .compile();
  EXPECT_EQ(port_of(world, 8080).kind, PortKind::http);
  EXPECT_EQ(port_of(world, 8080).cluster->name, "inbound|8080||");
  EXPECT_EQ(port_of(world, 8080).service->name, "server");
  EXPECT_EQ(port_of(world, 5432).kind, PortKind::tcp);
  EXPECT_EQ(port_of(world, 8081).kind, PortKind::tls);
  EXPECT_EQ(port_of(world, 80).cluster->name, "InboundPassthroughCluster");
  EXPECT_EQ(port_of(world, 53).kind, PortKind::detect);
}

TEST(CompileInbound, OtherPodsAndNamespacesServicesDeclareNothingHere) {
  auto world = server();
  world.add(selecting("other", "app: other", "{name: http, port: 8080}"))
      .add(selecting("far", "app: server", "{name: http, port: 8081}", "far"))
      .compile();
  EXPECT_EQ(port_of(world, 8080).kind, PortKind::detect);
  EXPECT_EQ(port_of(world, 8081).kind, PortKind::detect);
}

TEST(CompileInbound, ASlicesAddressesSayWhoServesAServiceWithoutSelector) {
  const auto slice = [](const std::string& service, const std::string& address) {
    return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: " + service +
           "-1\n  labels: {kubernetes.io/service-name: " + service +
           "}\naddressType: IPv4\nendpoints: [{addresses: [" + address +
           "]}]\nports: [{name: http, port: 8080}]\n---\n";
  };
  auto world = server();
  world.add(selecting("mine", "", "{name: http, port: 8080}"))
      .add(selecting("theirs", "", "{name: http, port: 8081}"))
      .add(slice("mine", "198.18.0.9"))
      .add(slice("theirs", "198.18.0.10"))
      .compile();
  EXPECT_EQ(port_of(world, 8080).kind, PortKind::http);
  EXPECT_EQ(port_of(world, 8081).kind, PortKind::detect);
}

TEST(CompileInbound, TheOlderOfTwoServicesDeclaresAPort) {
  auto world = server();
  world.add(selecting("one", "app: server", "{name: tcp, port: 80, targetPort: 8080}"))
      .add(selecting("two", "app: server", "{name: http, port: 81, targetPort: 8080}"))
      .compile();
  EXPECT_EQ(port_of(world, 8080).kind, PortKind::tcp);
}

TEST(CompileInbound, TheApplicationIsReachedWhereTheClientWasGoingFrom127006) {
  auto world = server();
  world.add(selecting("server", "app: server", "{name: http, port: 8080}")).compile();
  for (const uint16_t port : {uint16_t(8080), uint16_t(9999)}) {
    const auto& cluster = *port_of(world, port).cluster;
    EXPECT_EQ(cluster.discovery, Discovery::original_dst);
    EXPECT_EQ(cluster.source_v4, *IpAddress::parse("127.0.0.6"));
    EXPECT_EQ(cluster.source_v6, *IpAddress::parse("::6"));
    EXPECT_EQ(cluster.tls.mode, Originate::none);
  }
}

TEST(CompileInbound, InboundTrafficPolicyLocalhostGoesToLoopback) {
  auto world = server();
  world.input.mesh.inbound_to_localhost = true;
  world.add(selecting("server", "app: server", "{name: http, port: 8080}")).compile();
  const auto& cluster = *port_of(world, 8080).cluster;
  ASSERT_EQ(cluster.endpoints.size(), 1u);
  EXPECT_EQ(cluster.endpoints[0].address().text(), "127.0.0.1:8080");
}

TEST(CompileInbound, ASidecarsIngressReplacesWhatServicesSay) {
  auto world = server();
  world.add(selecting("server", "app: server", "{name: tcp, port: 8080}"))
      .add(R"(
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: server}
spec:
  workloadSelector: {labels: {app: server}}
  ingress:
  - {port: {number: 9080, protocol: HTTP, name: http}, defaultEndpoint: "127.0.0.1:8080"}
  - {port: {number: 9081, protocol: TCP, name: tcp}, defaultEndpoint: "unix:///run/app.sock"}
  - {port: {number: 9082, protocol: TCP, name: own}, defaultEndpoint: "0.0.0.0:8082"}
)")
      .compile();
  EXPECT_EQ(port_of(world, 9080).kind, PortKind::http);
  EXPECT_EQ(port_of(world, 9080).cluster->endpoints.at(0).address().text(), "127.0.0.1:8080");
  EXPECT_EQ(port_of(world, 9081).cluster->endpoints.at(0).address().text(), "/run/app.sock");
  EXPECT_EQ(port_of(world, 9082).cluster->discovery, Discovery::original_dst);
  EXPECT_EQ(port_of(world, 9082).cluster->original_dst_port, 8082);
  EXPECT_EQ(port_of(world, 8080).cluster->name, "InboundPassthroughCluster");
}

TEST(CompileInbound, ANamedTargetPortIsThisPodsOwn) {
  auto world = server();
  world.add(selecting("server", "app: server", "{name: http, port: 80, targetPort: web}"))
      .add(
          "apiVersion: v1\nkind: Pod\nmetadata: {name: server-1, labels: {app: server}}\nspec:\n"
          "  containers: [{name: c, ports: [{name: web, containerPort: 8088}]}]\n")
      .compile();
  EXPECT_EQ(port_of(world, 8088).kind, PortKind::http) << world.findings();
}

TEST(CompileInbound, EveryHostIsTheApplications) {
  auto world = server();
  world.add(selecting("server", "app: server", "{name: http, port: 8080}")).compile();
  const auto plan = decide_inbound_request(port_of(world, 8080));
  EXPECT_EQ(plan.virtual_host->name, "inbound|http|8080");
  EXPECT_EQ(plan.route->name, "default");
  EXPECT_EQ((*plan.cluster)->name, "inbound|8080||");
}

TEST(CompileInbound, ClientsOfTheTrustDomainAndItsAliasesAreLetIn) {
  auto world = server();
  world.input.mesh.trust_domain = "new.example";
  world.input.mesh.trust_domain_aliases = {"old.example", "new.example"};
  world.compile();
  EXPECT_EQ(world.snapshot().inbound.trust_domains,
            (std::vector<std::string>{"new.example", "old.example"}));
}

TEST(CompileInbound, WhatDidNotChangeIsOneObjectInBothSnapshots) {
  auto world = server();
  world.add(selecting("server", "app: server", "{name: http, port: 8080}")).compile();
  const auto port = world.snapshot().inbound.by_port.at(8080);
  const auto other = world.snapshot().inbound.other;
  world.add(entry({"elsewhere.example.com"})).compile();
  EXPECT_EQ(world.snapshot().inbound.by_port.at(8080), port);
  EXPECT_EQ(world.snapshot().inbound.other, other);
}

}  // namespace
}  // namespace sallyport::mesh
