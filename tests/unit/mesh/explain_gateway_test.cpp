// What a gateway's proxy does with a client, in words; and why it does not.
#include "agent/mesh/explain_gateway.h"

#include "gateway_world.h"

namespace sallyport::mesh {
namespace {

// Lines 1 to 15: HTTP on 80 (redirecting secure.test), TLS ended on 443 for a.test, passed through
// for *.pass.test.
constexpr const char* gateway = R"(apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [a.test, default/own.test]
  - port: {number: 80, name: secure, protocol: HTTP}
    hosts: [secure.test]
    tls: {httpsRedirect: true}
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [a.test]
    tls: {mode: MUTUAL, credentialName: a-cert}
  - port: {number: 443, name: passed, protocol: TLS}
    hosts: ['*.pass.test']
    tls: {mode: PASSTHROUGH}
---
)";
// Line 20 is the rule of /api, line 23 that of the rest; line 34 the match of the SNI.
constexpr const char* routes = R"(apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: default}
spec: {hosts: [a.test, secure.test], gateways: [gw], http: [
  {name: api, match: [{uri: {prefix: /api}}], route: [{destination: {host: api}}]},
  {route: [{destination: {host: web}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: passed, namespace: default}
spec:
  hosts: [x.pass.test]
  gateways: [gw]
  tls:
  - match:
    - sniHosts: [x.pass.test]
    route: [{destination: {host: tls}}]
---
)";

std::string virtual_service(const std::string& name, const std::string& space,
                            const std::string& spec) {
  return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " + name +
         ", namespace: " + space + "}\nspec: {" + spec +
         ", http: [{route: [{destination: {host: web.default.svc.cluster.local}}]}]}\n---\n";
}

class ExplainGateway : public testing::Test {
protected:
  ExplainGateway() {
    world_.add(gateway, "gateway.yaml").add(routes, "routes.yaml");
    world_.add(service("web", "80") + service("api", "80") + service("tls", "443"),
               "services.yaml");
  }
  std::string ask(uint16_t port, const sniff::Preface& preface, std::string_view host,
                  std::string_view path = "/") {
    world_.compile();
    Question question;
    question.destination = SocketAddress(IpAddress::v4(0), port);
    question.preface = preface;
    head_bytes_ =
        "GET " + std::string(path) + " HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n";
    EXPECT_EQ(http::parse_request(head_bytes_, head_), http::Parse::done);
    question.request = {.authority = host, .path = path, .method = "GET", .head = &head_};
    last_ = explain_gateway(world_.input, world_.snapshot(), world_.compiled.findings, question);
    std::string out;
    const auto add = [&out](const ExplainedStep& step) {
      out += step.name + ": " + step.text + " [" + step.from + "]\n";
      for (const auto& note : step.notes) out += "- " + note + "\n";
    };
    for (const auto& step : last_.plan.steps) add(step);
    for (const auto& target : last_.plan.targets) {
      for (const auto& step : target.steps) add(step);
      if (!target.refused.empty()) out += "target refused: " + target.refused + "\n";
    }
    if (!last_.plan.answer.empty()) out += "answer: " + last_.plan.answer + "\n";
    if (!last_.plan.refused.empty()) out += "refused: " + last_.plan.refused + "\n";
    return out;
  }
  std::string http(std::string_view host, std::string_view path = "/", uint16_t port = 80) {
    return ask(port, {sniff::Protocol::http1, {}, {}}, host, path);
  }
  std::string https(std::string sni, std::string_view path = "/", uint16_t port = 443) {
    const std::string host = sni;
    return ask(port, {sniff::Protocol::tls, std::move(sni), {}}, host, path);
  }
  void expect(const std::string& told, std::initializer_list<const char*> parts) {
    for (const auto* part : parts)
      EXPECT_NE(told.find(part), told.npos) << part << "\nis not in\n" << told;
  }

  GatewayWorld world_;
  GatewayExplanation last_;
  std::string head_bytes_;
  http::Head head_;
};

TEST_F(ExplainGateway, NamesServerTlsRuleAndClusterOfARequest) {
  expect(
      https("a.test", "/api/x"),
      {"listener: 0.0.0.0_443 []", "protocol: TLS with SNI a.test; TLS is ended here, by SNI",
       "server: https.443.https.gw.default [Gateway default/gw (gateway.yaml:12)]",
       "server TLS: MUTUAL: ended here with kubernetes://a-cert; clients need a certificate that "
       "kubernetes://a-cert-cacert verifies",
       "virtual host: route table https.443.https.gw.default, virtual host a.test:443 "
       "[VirtualService default/a (routes.yaml:1)]",
       "route: rule \"api\" for path prefix \"/api\" [VirtualService default/a (routes.yaml:5)]",
       "service: outbound|80||api.default.svc.cluster.local"});
  EXPECT_NE(last_.chain, nullptr);
}

TEST_F(ExplainGateway, NamesTheMatchOfASniThatIsPassedThrough) {
  expect(https("x.pass.test"),
         {"server: tls.443.passed.gw.default.0 [Gateway default/gw (gateway.yaml:15)]",
          "route: as bytes [VirtualService default/passed (routes.yaml:16)]",
          "service: outbound|443||tls.default.svc.cluster.local"});
}

TEST_F(ExplainGateway, DoesNotAskForTlsAroundWhatIsPassedThrough) {
  world_.add(
      "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
      "metadata: {name: far, namespace: default}\nspec: {hosts: [y.pass.test], ports: "
      "[{number: 9443, name: tls, protocol: TLS, targetPort: 443}], resolution: STATIC, "
      "endpoints: [{address: 192.0.2.1}]}\n---\n"
      "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
      "metadata: {name: far, namespace: default}\nspec: {hosts: [y.pass.test], gateways: "
      "[gw], tls: [{match: [{sniHosts: [y.pass.test]}], route: [{destination: {host: "
      "y.pass.test, port: {number: 9443}}}]}]}\n---\n",
      "far.yaml");
  const auto told = https("y.pass.test");
  expect(told, {"192.0.2.1:443"});
  EXPECT_EQ(told.find("plaintext goes to port"), told.npos) << told;
}

TEST_F(ExplainGateway, TellsARedirectOfPlaintext) {
  expect(http("secure.test"),
         {"- tls.httpsRedirect of its server", "answer: 301 (redirect to https)"});
  EXPECT_TRUE(last_.plan.goes_through());
}

std::string policy(const std::string& spec) {
  return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
         "metadata: {name: edge, namespace: istio-system}\nspec: {" +
         spec + "}\n---\n";
}

TEST_F(ExplainGateway, SaysWhichPolicyOfTheGatewaysRefusesARequest) {
  world_.add(policy("action: DENY, rules: [{to: [{operation: {paths: [/admin], ports: ['80']}}]}]"),
             "policy.yaml");
  expect(http("a.test", "/admin"),
         {"server policy: denied: a client without identity [AuthorizationPolicy istio-system/edge "
          "(policy.yaml:4)]",
          "refused: the server denies it by ns[istio-system]-policy[edge]-rule[0]: 403"});
  EXPECT_FALSE(last_.plan.goes_through());
  expect(http("a.test", "/api"), {"server policy: no policy refuses it: allowed"});
  EXPECT_TRUE(last_.plan.goes_through());
}

TEST_F(ExplainGateway, SaysThatAPolicyClosesConnectionsThatArePassedThrough) {
  world_.add(policy("rules: [{from: [{source: {principals: [a]}}]}]"), "policy.yaml");
  expect(https("x.pass.test"),
         {"refused: no ALLOW policy of the server matches: the connection is closed"});
  expect(https("a.test"), {"- asked for a client without a certificate: with one it may differ",
                           "refused: no ALLOW policy of the server matches: 403"});
}

TEST_F(ExplainGateway, LeadsFromTheServicesPortToTheBoundOne) {
  world_.add(
      "apiVersion: v1\nkind: Service\nmetadata: {name: front, namespace: istio-system}\n"
      "spec: {clusterIP: 10.1.1.1, selector: {istio: ingressgateway}, ports: [{port: 443, "
      "targetPort: 8443, name: https}]}\n");
  expect(https("a.test"),
         {"listener: 0.0.0.0_8443: where port 443 of the gateway's Service leads"});
}

TEST_F(ExplainGateway, SaysThatNobodyOpensThePort) {
  world_.add(
      "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: other}\nspec: "
      "{selector: {istio: egress}, servers: [{port: {number: 8080, name: h, protocol: "
      "HTTP}, hosts: ['*']}]}\n",
      "other.yaml");
  expect(http("a.test", "/", 8080),
         {"listener: none: no server of this proxy's Gateways opens port 8080",
          "- Gateway default/other (other.yaml:4) has it, and its selector (istio=egress) does not "
          "select this proxy",
          "refused: this proxy opens no port 8080"});
}

TEST_F(ExplainGateway, SaysWhichSnisAreServedInstead) {
  expect(
      https("b.test"),
      {"server: none takes it", "- TLS is taken for: a.test, x.pass.test",
       "refused: no server of this port has the SNI that was asked for: the connection is closed "
       "(NR)"});
  EXPECT_EQ(last_.chain, nullptr);
}

TEST_F(ExplainGateway, SaysWhyA404HasNoVirtualService) {
  world_.add(
      virtual_service("mesh", "default", "hosts: [own.test]") +
          virtual_service("other", "default", "hosts: [own.test], gateways: [elsewhere]") +
          virtual_service("far", "far", "hosts: [own.test], gateways: [default/gw]") +
          virtual_service("hidden", "default", "hosts: [own.test], gateways: [gw], exportTo: [.]") +
          virtual_service("late", "default", "hosts: [late.test], gateways: [gw]"),
      "more.yaml");
  expect(http("own.test"),
         {"virtual host blackhole:80: no host here is called so",
          "- VirtualService default/mesh (more.yaml:1): it names no gateways: it is for sidecars",
          "- VirtualService default/other (more.yaml:6): its gateways do not name default/gw",
          "- VirtualService far/far (more.yaml:11): server http of Gateway default/gw "
          "(gateway.yaml:7) takes no VirtualServices of namespace far",
          "- VirtualService default/hidden (more.yaml:16): its exportTo does not reach namespace "
          "istio-system, the gateway's proxy's",
          "refused: no rule of the virtual host takes this request: 404 (NR)"});
  expect(http("late.test"), {"- VirtualService default/late (more.yaml:21): server http of Gateway "
                             "default/gw (gateway.yaml:7) has no such host"});
}

TEST_F(ExplainGateway, SaysWhichServersAreSkippedAndWhichGatewaysRefused) {
  world_.add(
      "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: late}\nspec: "
      "{selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: t, "
      "protocol: TLS}, hosts: [a.test], tls: {mode: PASSTHROUGH}}]}\n---\n"
      "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: bad}\nspec: "
      "{selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: t, "
      "protocol: TLS}, hosts: [closed.test], tls: {mode: WRONG}}]}\n",
      "late.yaml");
  expect(https("a.test"),
         {"server t is skipped: IST0145: on port 443 the host a.test is already that of server "
          "https of Gateway default/gw (gateway.yaml:12)",
          "- refused, and what it names is closed: late.yaml:"});
  expect(https("closed.test"), {"server: refused.default.bad",
                                "refused: the Gateway that names this "
                                "host can't be read"});
}

TEST_F(ExplainGateway, SaysThatHttpCameToAPortOfTls) {
  expect(http("a.test", "/", 443), {"refused: plain HTTP on a port that serves TLS"});
}

}  // namespace
}  // namespace sallyport::mesh
