// A gateway's listeners in /config_dump: a filter chain for each server, as istiod writes them.
#include <gtest/gtest.h>

#include "agent/admin/config_dump.h"
#include "agent/admin/json.h"
#include "agent/mesh/gateway.h"

namespace sallyport::admin {
namespace {

std::shared_ptr<mesh::GatewayChain> chain(const std::string& name) {
  auto out = std::make_shared<mesh::GatewayChain>();
  out->name = name;
  out->from =
      std::make_shared<ResourceRef>(ResourceRef{"Gateway", "default", "gw", "gateway.yaml", 7});
  return out;
}
std::shared_ptr<mesh::GatewayChain> http_chain(const std::string& name) {
  auto out = chain(name);
  auto table = std::make_shared<mesh::RouteTable>();
  table->name = name;
  out->http = table;
  return out;
}
std::shared_ptr<mesh::GatewayChain> tcp_chain(const std::string& name) {
  auto out = chain(name);
  auto cluster = std::make_shared<mesh::Cluster>();
  cluster->name = "outbound|443||tls.default.svc.cluster.local";
  out->tcp = mesh::TcpRoute{"", cluster, {}};
  return out;
}

std::string dumped(const mesh::GatewayListener& listener) {
  JsonWriter json;
  json.object([&] { dump_gateway(json, listener); });
  return json.take();
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }
// Without blanks and line feeds.
std::string packed(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
  return text;
}

TEST(DumpGateway, AUnixSocketIsAPipe) {
  mesh::GatewayListener listener;
  listener.name = "unix:///run/gw.sock_0";
  listener.unix_socket = SocketAddress::unix_socket("/run/gw.sock").value();
  listener.plain = http_chain("http.0.unix:///run/gw.sock");
  const auto text = packed(dumped(listener));
  EXPECT_TRUE(
      has(text, R"("name":"unix:///run/gw.sock_0","address":{"pipe":{"path":"/run/gw.sock"}})"))
      << text;
}

TEST(DumpGateway, AServerThatEndsTlsIsAChainOfItsSnisWithItsSecrets) {
  auto https = http_chain("https.443.https.gw.default");
  mesh::TlsTermination tls;
  tls.mode = istio::ServerTlsMode::mutual;
  tls.certificates = {"kubernetes://shop"};
  tls.roots = "kubernetes://shop-cacert";
  tls.names = {"client.test"};
  tls.cipher_suites = {"ECDHE-RSA-AES128-GCM-SHA256"};
  https->tls = std::make_shared<const mesh::TlsTermination>(std::move(tls));
  mesh::GatewayListener listener;
  listener.name = "0.0.0.0_8443";
  listener.port = 8443;
  listener.by_sni.exact.emplace("shop.test", https);
  listener.by_sni.suffix.emplace(".shop.test", https);
  const auto text = packed(dumped(listener));
  for (const auto* part :
       {R"("name":"0.0.0.0_8443")", R"("port_value":8443)",
        R"("server_names":["*.shop.test","shop.test"])",
        R"("route_config_name":"https.443.https.gw.default")",
        R"("require_client_certificate":true)",
        R"("tls_certificate_sds_secret_configs":[{"name":"kubernetes://shop"}])",
        R"("validation_context_sds_secret_config":{"name":"kubernetes://shop-cacert"})",
        R"("tls_minimum_protocol_version":"TLSv1_2")", R"(ECDHE-RSA-AES128-GCM-SHA256)",
        R"(/namespaces/default/gateway/gw)", R"x("source":"Gatewaydefault/gw(gateway.yaml:7)")x"})
    EXPECT_TRUE(has(text, part)) << part << "\n" << text;
  EXPECT_EQ(text.find("server_names"), text.rfind("server_names")) << "one chain, two names";
}

TEST(DumpGateway, OneThatPassesTlsThroughIsATcpProxyWithoutTlsOfItsOwn) {
  mesh::GatewayListener listener;
  listener.name = "0.0.0.0_443";
  listener.port = 443;
  listener.by_sni.exact.emplace("x.test", tcp_chain("tls.443.passed.gw.default.0"));
  const auto text = packed(dumped(listener));
  EXPECT_TRUE(has(text, R"("cluster":"outbound|443||tls.default.svc.cluster.local")")) << text;
  EXPECT_FALSE(has(text, "DownstreamTlsContext")) << text;
}

TEST(DumpGateway, TlsOfAnyNameIsToldFromPlaintextOfTheSamePort) {
  mesh::GatewayListener listener;
  listener.name = "0.0.0.0_8080";
  listener.port = 8080;
  auto any = http_chain("https.8080.any.gw.default");
  any->tls = std::make_shared<const mesh::TlsTermination>();
  listener.any_tls = any;
  EXPECT_FALSE(has(dumped(listener), "transport_protocol"));
  listener.plain = http_chain("http.8080");
  const auto text = packed(dumped(listener));
  EXPECT_TRUE(has(text, R"("filter_chain_match":{"transport_protocol":"tls"})")) << text;
  EXPECT_TRUE(has(text, R"("filter_chain_match":{})")) << text;
}

TEST(DumpGateway, AClosedServerSaysWhyAndServesNothing) {
  auto closed = http_chain("https.443.https.gw.default");
  closed->refused = Error{.context = "credentialName 'a/b' names a Secret of another namespace"};
  mesh::GatewayListener listener;
  listener.name = "0.0.0.0_443";
  listener.port = 443;
  listener.by_sni.exact.emplace("a.test", closed);
  const auto text = dumped(listener);
  EXPECT_TRUE(has(text, "names a Secret of another namespace")) << text;
  EXPECT_FALSE(has(text, "envoy.filters.network")) << text;
}

TEST(DumpGateway, ListenersStandInTheOrderOfTheirNames) {
  mesh::GatewayPorts ports;
  const auto add = [&ports](uint16_t port, const std::string& name) {
    auto listener = std::make_shared<mesh::GatewayListener>();
    listener->name = name;
    ports.by_port.emplace(port, listener);
  };
  add(8443, "0.0.0.0_8443");
  add(8080, "0.0.0.0_8080");
  const auto all = gateway_listeners(ports);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]->name, "0.0.0.0_8080");
}

}  // namespace
}  // namespace sallyport::admin
