// `sallyport proxy-config` of a gateway: listeners, routes and what is closed, in istioctl's
// columns.
#include <gtest/gtest.h>

#include "agent/admin/config_dump.h"
#include "agent/cli/proxy_config_view.h"
#include "agent/mesh/compile.h"

namespace sallyport::cli {
namespace {

constexpr const char* rules = R"(apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: [a.test]}
  - {port: {number: 8443, name: https, protocol: HTTPS}, hosts: [a.test],
     tls: {mode: SIMPLE, credentialName: a}}
  - {port: {number: 8443, name: passed, protocol: TLS}, hosts: [p.test], tls: {mode: PASSTHROUGH}}
  - {port: {number: 8443, name: closed, protocol: HTTPS}, hosts: [c.test],
     tls: {mode: SIMPLE, credentialName: elsewhere/c}}
  - {port: {number: 8444, name: unused, protocol: HTTPS}, hosts: [u.test],
     tls: {mode: SIMPLE, credentialName: a}}
  - {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ['*']}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v}
spec:
  hosts: [a.test, p.test]
  gateways: [gw]
  http: [{match: [{uri: {prefix: /api}}], route: [{destination: {host: web.test}}]}]
  tls: [{match: [{sniHosts: [p.test]}], route: [{destination: {host: web.test}}]}]
  tcp: [{match: [{port: 9000}], route: [{destination: {host: web.test}}]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec: {hosts: [web.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
)";

class GatewayViews : public testing::Test {
protected:
  GatewayViews() {
    mesh::CompileInput input;
    input.proxy.type = istio::Proxy::Type::router;
    input.proxy.labels = {{"istio", "ingressgateway"}};
    for (auto& resource : istio::decode(rules, "rules.yaml").resources)
      input.resources.push_back(std::make_shared<const istio::Resource>(std::move(resource)));
    const auto compiled = mesh::compile(input, nullptr, 1);
    certs::Vault vault;
    for (const auto& name : compiled.secret_names) vault.entries[name].problem = "missing";
    dump_ = admin::config_dump(*compiled.snapshot, vault);
  }
  std::string shown(Result<std::string> (*view)(const Json*, const ProxyConfigQuery&),
                    const ProxyConfigQuery& query = {}) {
    const auto document = JsonDocument::parse(dump_);
    if (!document) return "error: " + document.error().context;
    const auto text = view(document->root(), query);
    return text ? *text : "error: " + text.error().context;
  }
  std::string dump_;
};

TEST_F(GatewayViews, AListenersChainsAreItsSnisWithTheirRoutesAndClusters) {
  EXPECT_EQ(shown(view_listeners),
            "ADDRESSES PORT MATCH       DESTINATION\n"
            "0.0.0.0   8080 ALL         Route: http.8080\n"
            "0.0.0.0   8443 SNI: a.test Route: https.8443.https.gw.default\n"
            "0.0.0.0   8443 SNI: p.test Cluster: outbound|80||web.test\n"
            "0.0.0.0   8443 SNI: c.test Closed\n"
            "0.0.0.0   8444 SNI: u.test Route: https.8444.unused.gw.default\n"
            "0.0.0.0   9000 ALL         Cluster: outbound|80||web.test\n"
            "\nhttps.8443.closed.gw.default is closed: credentialName 'elsewhere/c' names a Secret "
            "of another namespace than the proxy's (default)\n");
}

TEST_F(GatewayViews, RoutesHaveTheNamesOfTheirServers) {
  ProxyConfigQuery query;
  query.name = "http.8080";
  EXPECT_EQ(shown(view_routes, query),
            "NAME          VHOST NAME      DOMAINS     MATCH     VIRTUAL SERVICE\n"
            "http.8080     a.test:8080     a.test      /api*     v.default\n");
}

// As istiod: a table without hosts is one virtual host that answers 404.
TEST_F(GatewayViews, ATableWithNothingElseIsABlackhole) {
  ProxyConfigQuery query;
  query.name = "https.8444.unused.gw.default";
  EXPECT_EQ(shown(view_routes, query),
            "NAME                             VHOST NAME         DOMAINS     MATCH     VIRTUAL "
            "SERVICE\n"
            "https.8444.unused.gw.default     blackhole:8444     *           /*        404\n");
}

TEST_F(GatewayViews, SecretsOfServersAreListedWithTheirState) {
  const auto text = shown(view_secrets);
  EXPECT_NE(text.find("kubernetes://a "), text.npos) << text;
  EXPECT_NE(text.find("WARMING"), text.npos) << text;
}

TEST_F(GatewayViews, AllHasThemAll) {
  const auto text = shown([](const Json* dump, const ProxyConfigQuery& query) {
    return view_all(dump, nullptr, query);
  });
  for (const auto* part :
       {"listener/0.0.0.0_8443", "route/https.8443.https.gw.default", "secret/kubernetes://a"})
    EXPECT_NE(text.find(part), text.npos) << part << "\n" << text;
}

}  // namespace
}  // namespace sallyport::cli
