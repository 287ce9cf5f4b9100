// Gateways as istiod merges them: which server takes a connection, and which route a request
// (istio-api.md 1.5, 2.3, 2.14, 7). The scenarios' own files are in gateway_scenarios_test.cpp.
#include "gateway_world.h"

namespace sallyport::mesh {
namespace {

// A Gateway "gw" of namespace default for istio=ingressgateway; `servers`: flow maps, one a line.
std::string gateway(const std::vector<std::string>& servers, std::string_view name = "gw",
                    std::string_view name_space = "default") {
  std::string out = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: ";
  out.append(name).append(", namespace: ").append(name_space);
  out += "}\nspec:\n  selector: {istio: ingressgateway}\n  servers:\n";
  for (const auto& server : servers) out += "  - " + server + "\n";
  return out + "---\n";
}
std::string http_server(std::string_view hosts, std::string_view name = "http", int port = 80) {
  return "{port: {number: " + std::to_string(port) + ", name: " + std::string(name) +
         ", protocol: HTTP}, hosts: [" + std::string(hosts) + "]}";
}
std::string https_server(std::string_view hosts, std::string_view name = "https",
                         std::string_view tls = "mode: SIMPLE, credentialName: c", int port = 443,
                         std::string_view protocol = "HTTPS") {
  return "{port: {number: " + std::to_string(port) + ", name: " + std::string(name) +
         ", protocol: " + std::string(protocol) + "}, hosts: [" + std::string(hosts) + "], tls: {" +
         std::string(tls) + "}}";
}
// A VirtualService `name` of namespace default bound to gw; `rules`: lines under spec.
std::string behind(std::string_view name, std::string_view hosts, std::string_view rules,
                   std::string_view gateways = "gw", std::string_view name_space = "default") {
  std::string out = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: ";
  out.append(name).append(", namespace: ").append(name_space).append("}\nspec:\n  hosts: [");
  out.append(hosts).append("]\n  gateways: [").append(gateways).append("]\n");
  return out.append(rules).append("\n---\n");
}
std::string to(std::string_view host) {
  return "  http:\n  - route: [{destination: {host: " + std::string(host) + "}}]";
}

const std::string services = service("web", "80") + service("api", "80") + service("tls", "443");

TEST(Gateway, IsServedByProxiesThatItsSelectorTakesInAnyNamespace) {
  GatewayWorld world;
  world.add(gateway({http_server("a.com")}, "gw", "elsewhere")).compile();
  EXPECT_NE(world.listener(80), nullptr);
  world.input.proxy.labels = {{"istio", "egressgateway"}};
  world.new_mesh = true;
  world.compile();
  EXPECT_EQ(world.listener(80), nullptr);
}

TEST(Gateway, MeansNothingToASidecar) {
  GatewayWorld world;
  world.input.proxy.type = istio::Proxy::Type::sidecar;
  world.add(gateway({http_server("a.com")})).compile();
  EXPECT_TRUE(world.snapshot().gateway.empty());
}

TEST(Gateway, BindsTheTargetPortOfItsOwnService) {
  GatewayWorld world;
  world.add(gateway({http_server("a.com")}));
  world.add(
      "apiVersion: v1\nkind: Service\nmetadata: {name: in, namespace: istio-system}\n"
      "spec:\n  selector: {istio: ingressgateway}\n  ports: [{name: http2, port: 80, targetPort: "
      "8080}]\n");
  world.compile();
  EXPECT_EQ(world.listener(80), nullptr);
  ASSERT_NE(world.listener(8080), nullptr);
  EXPECT_EQ(world.listener(8080)->name, "0.0.0.0_8080");
  EXPECT_EQ(world.listener(8080)->plain->name, "http.8080");
}

TEST(Gateway, AnswersAHostOfItsVirtualServiceAndNoOther) {
  GatewayWorld world;
  world.add(services + gateway({http_server("a.com, '*.b.com'")}));
  world.add(behind("vs", "a.com, x.b.com", to("web"))).compile();
  EXPECT_EQ(world.get(80, "a.com"), "outbound|80||web.default.svc.cluster.local");
  EXPECT_EQ(world.get(80, "A.com:8080"), "outbound|80||web.default.svc.cluster.local");
  EXPECT_EQ(world.get(80, "x.b.com"), "outbound|80||web.default.svc.cluster.local");
  EXPECT_EQ(world.get(80, "y.b.com"), "404");
  EXPECT_EQ(world.get(80, "other.com"), "404");
}

TEST(Gateway, TheNarrowerOfServerHostAndVirtualServiceHostIsServed) {
  GatewayWorld world;
  world.add(services + gateway({http_server("www.a.com")}));
  world.add(behind("vs", "'*.a.com'", to("web"))).compile();
  EXPECT_EQ(world.get(80, "www.a.com"), "outbound|80||web.default.svc.cluster.local");
  EXPECT_EQ(world.get(80, "api.a.com"), "404");
}

TEST(Gateway, WithoutAVirtualServiceAnswers404) {
  GatewayWorld world;
  world.add(gateway({http_server("'*'")})).compile();
  EXPECT_EQ(world.get(80, "a.com"), "404");
}

TEST(Gateway, ADestinationWithoutPortIsTheServicesOnlyOne) {
  GatewayWorld world;
  world.add(service("odd", "9080") + gateway({http_server("a.com")}));
  world.add(behind("vs", "a.com", to("odd"))).compile();
  EXPECT_EQ(world.get(80, "a.com"), "outbound|9080||odd.default.svc.cluster.local");
}

TEST(Gateway, NamespacesOfHostsAreEnforced) {
  GatewayWorld world;
  world.add(services + gateway({http_server("./a.com, team/b.com, '*/c.com'")}));
  world.add(behind("own", "a.com, b.com", to("web")));
  world.add(behind("theirs", "b.com, a.com, c.com", to("web.default.svc.cluster.local"),
                   "default/gw", "team"));
  world.compile();
  EXPECT_EQ(world.get(80, "b.com"), "outbound|80||web.default.svc.cluster.local");
  EXPECT_EQ(world.get(80, "c.com"), "outbound|80||web.default.svc.cluster.local");
  const auto* from = world.plaintext(80).chain->get()->http->hosts.find("b.com")->get();
  EXPECT_EQ(from->from->name, "theirs");
  EXPECT_EQ(world.plaintext(80).chain->get()->http->hosts.find("a.com")->get()->from->name, "own");
}

TEST(Gateway, VirtualServicesMustNameItAndBeExportedToItsProxy) {
  GatewayWorld world;
  world.add(services + gateway({http_server("'*.com'")}));
  world.add(behind("other-gateway", "a.com", to("web"), "other"));
  world.add(behind("of-mesh", "b.com", to("web"), "mesh"));
  world.add(behind("hidden", "c.com", to("web") + "\n  exportTo: ['.']"));
  world.add(behind("shown", "d.com", to("web") + "\n  exportTo: [istio-system]")).compile();
  EXPECT_EQ(world.get(80, "a.com"), "404");
  EXPECT_EQ(world.get(80, "b.com"), "404");
  EXPECT_EQ(world.get(80, "c.com"), "404");
  EXPECT_EQ(world.get(80, "d.com"), "outbound|80||web.default.svc.cluster.local");
}

TEST(Gateway, SeveralVirtualServicesOfOneHostAreMergedTheOldestFirstAndCatchAllsLast) {
  GatewayWorld world;
  world.add(services + gateway({http_server("a.com")}));
  world.add(behind("first", "a.com", to("web")));
  world.add(behind("second", "a.com",
                   "  http:\n  - match: [{uri: {prefix: /api}}]\n    route: [{destination: {host: "
                   "api}}]"));
  world.compile();
  EXPECT_EQ(world.get(80, "a.com", "/api/x"), "outbound|80||api.default.svc.cluster.local");
  EXPECT_EQ(world.get(80, "a.com", "/"), "outbound|80||web.default.svc.cluster.local");
}

TEST(Gateway, RulesOfMatchesNameTheirGatewaysAndPorts) {
  GatewayWorld world;
  world.add(services + gateway({http_server("a.com"), http_server("a.com", "more", 81)}));
  world.add(
      behind("vs", "a.com",
             "  http:\n  - match: [{gateways: [mesh]}]\n    route: [{destination: {host: "
             "tls, port: {number: 443}}}]\n  - match: [{port: 81, gateways: [default/gw]}]\n"
             "    route: [{destination: {host: api}}]\n  - route: [{destination: {host: web}}]",
             "mesh, gw"));
  world.compile();
  EXPECT_EQ(world.get(80, "a.com"), "outbound|80||web.default.svc.cluster.local");
  EXPECT_EQ(world.get(81, "a.com"), "outbound|80||api.default.svc.cluster.local");
}

TEST(Gateway, RedirectsEveryHostOfTheServerEvenWithoutAVirtualService) {
  GatewayWorld world;
  world.add(services + gateway({"{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.com, "
                                "'*.b.com'], tls: {httpsRedirect: true}}"}));
  world.add(behind("vs", "a.com, x.b.com", to("web"))).compile();
  EXPECT_EQ(world.get(80, "a.com"), "to https");
  EXPECT_EQ(world.get(80, "x.b.com"), "to https");
  EXPECT_EQ(world.get(80, "y.b.com"), "to https");
  EXPECT_EQ(world.get(80, "other.com"), "404");
  // What a trusted proxy in front took by HTTPS is served.
  EXPECT_EQ(world.request(world.plaintext(80), "a.com", "/", true),
            "outbound|80||web.default.svc.cluster.local");
}

TEST(Gateway, ServersOfHttpAndGrpcShareAPort) {
  GatewayWorld world;
  world.add(services +
            gateway({http_server("a.com"),
                     "{port: {number: 80, name: grpc, protocol: GRPC}, hosts: [b.com]}"}));
  world.add(behind("vs", "a.com, b.com", to("web"))).compile();
  EXPECT_EQ(world.get(80, "a.com"), "outbound|80||web.default.svc.cluster.local");
  EXPECT_EQ(world.get(80, "b.com"), "outbound|80||web.default.svc.cluster.local");
}

TEST(Gateway, PlaintextOfAnotherProtocolOnATakenPortIsSkippedAndNamed) {
  GatewayWorld world;
  world.add(gateway(
      {http_server("a.com"), "{port: {number: 80, name: tcp, protocol: TCP}, hosts: ['*']}"}));
  world.compile();
  EXPECT_EQ(world.plaintext(80).action, GatewayAction::http);
  EXPECT_NE(world.findings().find("server tcp is skipped: protocol TCP conflicts on port 80 with "
                                  "protocol HTTP of server http of Gateway default/gw"),
            std::string::npos)
      << world.findings();
}

TEST(Gateway, HttpAndHttpsServersShareAPortWhicheverComesFirst) {
  for (const bool http_first : {true, false}) {
    std::vector<std::string> servers{http_server("a.com", "http", 443), https_server("a.com")};
    if (!http_first) std::swap(servers[0], servers[1]);
    GatewayWorld world;
    world.add(services + gateway(servers) + behind("vs", "a.com", to("web"))).compile();
    EXPECT_EQ(world.decided(world.plaintext(443)), "http.443: http");
    EXPECT_EQ(world.decided(world.tls(443, "a.com")), "https.443.https.gw.default: terminate");
    EXPECT_EQ(world.tls(443, "b.com").action, GatewayAction::refuse);
  }
}

TEST(GatewaySni, AnExactNameBeatsTheLongestWildcardAndThatEveryName) {
  GatewayWorld world;
  world.add(gateway({https_server("'*'", "all"), https_server("'*.com'", "com"),
                     https_server("'*.a.com'", "a"), https_server("www.a.com", "www")}));
  world.compile();
  const auto server = [&](const char* sni) { return world.decided(world.tls(443, sni)); };
  EXPECT_EQ(server("www.a.com"), "https.443.www.gw.default: terminate");
  EXPECT_EQ(server("api.a.com"), "https.443.a.gw.default: terminate");
  EXPECT_EQ(server("b.com"), "https.443.com.gw.default: terminate");
  EXPECT_EQ(server("b.org"), "https.443.all.gw.default: terminate");
  EXPECT_EQ(server(""), "https.443.all.gw.default: terminate");
}

TEST(GatewaySni, WhatNoServerHasIsClosed) {
  GatewayWorld world;
  world.add(gateway({https_server("a.com")})).compile();
  EXPECT_EQ(world.decided(world.tls(443, "b.com")),
            "-: refuse: no server of this port has the SNI that was asked for");
  EXPECT_EQ(world.decided(world.tls(443, "")),
            "-: refuse: TLS without an SNI, and no server takes that");
  EXPECT_EQ(world.decided(world.plaintext(443)), "-: refuse: plain HTTP on a port that serves TLS");
}

TEST(GatewaySni, WhatIsNoHttpOnAPortOfPlainHttpIsAnsweredAndNamed) {
  GatewayWorld world;
  world.add(gateway({http_server("a.com")})).compile();
  EXPECT_EQ(world.decided(world.tls(80, "a.com")),
            "http.80: not HTTP: TLS on a port that serves plain HTTP");
  EXPECT_EQ(world.decided(world.plaintext(80, sniff::Protocol::http2)),
            "http.80: not HTTP: HTTP/2 is not read yet: this server speaks HTTP/1.1");
}

TEST(GatewaySni, ServersHaveTheirOwnRoutes) {
  GatewayWorld world;
  world.add(services + gateway({https_server("a.com", "a"), https_server("b.com", "b")}));
  world.add(behind("vs", "a.com, b.com", to("web"))).compile();
  EXPECT_EQ(world.get_tls(443, "a.com", "a.com"), "outbound|80||web.default.svc.cluster.local");
  EXPECT_EQ(world.get_tls(443, "a.com", "b.com"), "404");
}

TEST(GatewaySni, AHostThatIsTakenSkipsTheLaterServerAndNamesBoth) {
  GatewayWorld world;
  world.add(gateway({https_server("'*.a.com'", "first"),
                     https_server("'*.a.com', c.com", "second", "mode: PASSTHROUGH", 443, "TLS")}));
  world.compile();
  EXPECT_EQ(world.decided(world.tls(443, "x.a.com")), "https.443.first.gw.default: terminate");
  EXPECT_EQ(world.tls(443, "c.com").action, GatewayAction::refuse);
  EXPECT_NE(
      world.findings().find("rules.yaml:8: Gateway default/gw: spec.servers: server second is "
                            "skipped: IST0145: on port 443 the host *.a.com is already that "
                            "of server first of Gateway default/gw (rules.yaml:7)"),
      std::string::npos)
      << world.findings();
}

TEST(GatewaySni, ServersWithDistinctBindsNeverConflict) {
  GatewayWorld world;
  auto first = https_server("a.com", "first"), second = https_server("a.com", "second");
  first.insert(1, "bind: 10.0.0.1, ");
  second.insert(1, "bind: 10.0.0.2, ");
  world.add(gateway({first, second})).compile();
  const auto chain = [&](const char* address) {
    const auto* found = find_listener(world.snapshot().gateway, at(address));
    return found ? world.decided(decide_gateway(*found, {sniff::Protocol::tls, "a.com"})) : "-";
  };
  EXPECT_EQ(chain("10.0.0.1:443"), "https.443.first.gw.default.10.0.0.1: terminate");
  EXPECT_EQ(chain("10.0.0.2:443"), "https.443.second.gw.default.10.0.0.2: terminate");
  EXPECT_EQ(chain("10.0.0.3:443"), "-");
}

TEST(GatewayPassthrough, IsRoutedByTheTlsRulesOfVirtualServices) {
  GatewayWorld world;
  world.add(services +
            gateway({https_server("'*.a.com'", "tls", "mode: PASSTHROUGH", 443, "TLS")}));
  world.add(behind("vs", "x.a.com",
                   "  tls:\n  - match: [{port: 443, sniHosts: [x.a.com]}]\n    route: "
                   "[{destination: {host: tls, port: {number: 443}}}]"));
  world.compile();
  EXPECT_EQ(world.decided(world.tls(443, "x.a.com")),
            "tls.443.tls.gw.default.0: tcp to outbound|443||tls.default.svc.cluster.local");
  EXPECT_EQ(world.tls(443, "y.a.com").action, GatewayAction::refuse);
}

TEST(GatewayPassthrough, OfOneSniTwoTlsMatchesTheLaterIsSkipped) {
  GatewayWorld world;
  world.add(services + gateway({https_server("'*.com'", "tls", "mode: PASSTHROUGH", 443, "TLS")}));
  const auto rule = [](const std::string& names, const std::string& host) {
    return "  tls:\n  - match: [{sniHosts: [" + names +
           "]}]\n    route: [{destination: {host: " + host + ", port: {number: 443}}}]";
  };
  world.add(behind("first", "a.com", rule("a.com", "tls")) +
            behind("second", "'*.com'", rule("b.com, a.com", "web")));
  world.compile();
  EXPECT_EQ(world.decided(world.tls(443, "a.com")),
            "tls.443.tls.gw.default.0: tcp to outbound|443||tls.default.svc.cluster.local");
  EXPECT_EQ(world.tls(443, "b.com").chain, nullptr) << "its other names go with it";
  EXPECT_NE(world.findings().find("VirtualService default/second: spec.tls: SNI a.com is already "
                                  "taken on port 443 of gateway default/gw: the match is skipped"),
            std::string::npos)
      << world.findings();
}

TEST(GatewayPassthrough, StandsBesideTerminationOnOnePort) {
  GatewayWorld world;
  world.add(services + gateway({https_server("a.com"),
                                https_server("b.com", "tls", "mode: PASSTHROUGH", 443, "TLS")}));
  world.add(
      behind("vs", "b.com",
             "  tls:\n  - match: [{sniHosts: [b.com]}]\n    route: [{destination: {host: tls, "
             "port: {number: 443}}}]"));
  world.compile();
  EXPECT_TRUE(clients_speak_first(*world.listener(443)));
  EXPECT_EQ(world.decided(world.tls(443, "a.com")), "https.443.https.gw.default: terminate");
  EXPECT_EQ(world.decided(world.tls(443, "b.com")),
            "tls.443.tls.gw.default.0: tcp to outbound|443||tls.default.svc.cluster.local");
}

TEST(GatewayTcp, GoesWhereTheFirstTcpRuleThatHoldsSays) {
  GatewayWorld world;
  world.add(services +
            gateway({"{port: {number: 31400, name: tcp, protocol: TCP}, hosts: ['*']}"}));
  world.add(behind("vs", "'*'",
                   "  tcp:\n  - match: [{port: 1}]\n    route: [{destination: {host: api, port: "
                   "{number: 80}}}]\n  - match: [{port: 31400}]\n    route: [{destination: {host: "
                   "web, port: {number: 80}}}]"));
  world.compile();
  ASSERT_NE(world.listener(31400), nullptr);
  EXPECT_FALSE(must_sniff(*world.listener(31400)));
  EXPECT_FALSE(clients_speak_first(*world.listener(31400)));
  EXPECT_EQ(world.decided(world.plaintext(31400, sniff::Protocol::opaque)),
            "tcp.31400.tcp.gw.default: tcp to outbound|80||web.default.svc.cluster.local");
}

TEST(GatewayServer, OnAPortOfTheProxysOwnIsSkipped) {
  for (const std::string port : {"15000", "15020", "15021", "15090"}) {
    GatewayWorld world;
    world.add(services + gateway({"{port: {number: " + port +
                                  ", name: http, protocol: HTTP}, hosts: ['*']}"}));
    world.compile();
    EXPECT_EQ(world.listener(static_cast<uint16_t>(std::stoi(port))), nullptr);
    EXPECT_NE(world.findings().find("server http is skipped: port " + port + " is the proxy's own"),
              std::string::npos)
        << world.findings();
  }
}

TEST(GatewayTcp, WithoutARouteOpensNoListener) {
  GatewayWorld world;
  world.add(gateway({"{port: {number: 31400, name: tcp, protocol: TCP}, hosts: ['*']}"})).compile();
  EXPECT_EQ(world.listener(31400), nullptr);
  EXPECT_NE(world.findings().find("no VirtualService behind it has a tcp route"),
            std::string::npos);
}

TEST(GatewayTcp, ATlsServerThatEndsTlsIsRoutedByTcpRules) {
  GatewayWorld world;
  world.add(services +
            gateway({https_server("a.com", "tls", "mode: SIMPLE, credentialName: c", 443, "TLS")}));
  world.add(
      behind("vs", "a.com", "  tcp:\n  - route: [{destination: {host: web, port: {number: 80}}}]"));
  world.compile();
  const auto plan = world.tls(443, "a.com");
  ASSERT_EQ(world.decided(plan), "tls.443.tls.gw.default: terminate");
  EXPECT_EQ(after_tls(**plan.chain), GatewayAction::tcp);
  EXPECT_EQ((*plan.chain)->tcp->cluster->name, "outbound|80||web.default.svc.cluster.local");
}

TEST(GatewayAutoPassthrough, ReachesServicesOfTheMeshByTheSniOfTheirClusters) {
  GatewayWorld world;
  world.add(services + entry({.host = "ext.com"}) +
            rule({"web.default.svc.cluster.local", "told", "default", "proxyProtocol: {}"}) +
            gateway({https_server("'*.local'", "mesh", "mode: AUTO_PASSTHROUGH", 15443, "TLS")}));
  world.compile();
  const std::string sni = "outbound_.80_._.web.default.svc.cluster.local";
  EXPECT_EQ(world.decided(world.tls(15443, sni, {"istio"})),
            "tls.15443.mesh.gw.default." + sni + ": tcp to " + sni);
  EXPECT_EQ(world.tls(15443, sni, {"h2"}).action, GatewayAction::refuse);
  EXPECT_EQ(world.tls(15443, "outbound_.80_._.ext.com", {"istio"}).action, GatewayAction::refuse);
  const auto& cluster = *world.tls(15443, sni, {"istio"}).chain->get()->tcp->cluster;
  EXPECT_EQ(cluster.tls.mode, Originate::none);  // the client's TLS goes on to the endpoint
  EXPECT_EQ(cluster.proxy_protocol, ProxyProtocol::none);
}

TEST(GatewayAutoPassthrough, SendsOnlyToEndpointsThatEndMutualTlsWhateverAutoMtlsSays) {
  const auto pod = [](const char* name, const char* ip, const char* more) {
    return std::string("apiVersion: v1\nkind: Pod\nmetadata: {name: ") + name +
           ", namespace: default, labels: {app: web" + more + "}}\nstatus: {podIP: " + ip +
           ", phase: Running}\n---\n";
  };
  const std::string web =
      "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\nspec:\n"
      "  clusterIP: 10.9.0.1\n  selector: {app: web}\n  ports: [{name: http, port: 80}]\n---\n";
  const auto endpoints = [&](const std::string& rule) {
    GatewayWorld world;
    world.input.mesh.enable_auto_mtls = false;
    world.add(web + pod("in", "10.0.0.1", ", security.istio.io/tlsMode: istio") +
              pod("out", "10.0.0.2", "") + rule +
              gateway({https_server("'*.local'", "mesh", "mode: AUTO_PASSTHROUGH", 15443, "TLS")}));
    world.compile();
    const auto plan = world.tls(15443, "outbound_.80_._.web.default.svc.cluster.local", {"istio"});
    std::string out;
    for (const auto& one : (*plan.chain)->tcp->cluster->endpoints) out += one.ip.text() + " ";
    return out;
  };
  const auto rule = [](const std::string& mode) {
    return "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r, "
           "namespace: default}\nspec: {host: web, trafficPolicy: {tls: {mode: " +
           mode + "}}}\n---\n";
  };
  EXPECT_EQ(endpoints(""), "10.0.0.1 ");
  EXPECT_EQ(endpoints(rule("ISTIO_MUTUAL")), "10.0.0.1 10.0.0.2 ");
  EXPECT_EQ(endpoints(rule("SIMPLE")), "");
  EXPECT_EQ(endpoints(rule("DISABLE")), "");
}

TEST(GatewayTls, NamesTheSecretsOfTheProxysNamespace) {
  GatewayWorld world;
  world.add(gateway({https_server("a.com", "one"),
                     https_server("b.com", "two", "mode: MUTUAL, credentialName: kubernetes://d"),
                     https_server("c.com", "three", "mode: SIMPLE, credentialNames: [rsa, ecdsa]"),
                     https_server("d.com", "four",
                                  "mode: OPTIONAL_MUTUAL, credentialName: e, "
                                  "caCertCredentialName: own-ca"),
                     https_server("e.com", "five", "mode: ISTIO_MUTUAL"),
                     https_server("f.com", "six", "mode: SIMPLE, credentialName: sds://ext")}));
  world.compile();
  const auto tls = [&](const char* sni) { return *world.tls(443, sni).chain->get()->tls; };
  EXPECT_EQ(tls("a.com").certificates, std::vector<std::string>{"kubernetes://c"});
  EXPECT_EQ(tls("a.com").roots, "");
  EXPECT_EQ(tls("b.com").roots, "kubernetes://d-cacert");
  EXPECT_TRUE(tls("b.com").needs_client());
  EXPECT_EQ(tls("c.com").certificates,
            (std::vector<std::string>{"kubernetes://rsa", "kubernetes://ecdsa"}));
  EXPECT_EQ(tls("d.com").roots, "kubernetes://own-ca-cacert");
  EXPECT_FALSE(tls("d.com").needs_client());
  EXPECT_EQ(tls("e.com").certificates, std::vector<std::string>{"default"});
  EXPECT_EQ(tls("e.com").roots, "ROOTCA");
  EXPECT_EQ(tls("f.com").certificates, std::vector<std::string>{"kubernetes://ext"});
  EXPECT_EQ(world.compiled.secret_names,
            (std::vector<std::string>{"kubernetes://c", "kubernetes://d", "kubernetes://d-cacert",
                                      "kubernetes://e", "kubernetes://ecdsa", "kubernetes://ext",
                                      "kubernetes://own-ca-cacert", "kubernetes://rsa"}));
}

TEST(GatewayTls, TakesFilesWithTheirCaAndItsCrl) {
  GatewayWorld world;
  world.add(gateway({https_server("a.com", "one",
                                  "mode: MUTUAL, serverCertificate: /c.pem, privateKey: /k.pem, "
                                  "caCertificates: /ca.pem, caCrl: /crl.pem")}));
  world.compile();
  const auto& tls = *world.tls(443, "a.com").chain->get()->tls;
  EXPECT_EQ(tls.certificates, std::vector<std::string>{"file-cert:/c.pem~/k.pem"});
  EXPECT_EQ(tls.roots, "file-root:/ca.pem~/crl.pem");
}

TEST(GatewayTls, ASecretOfAnotherNamespaceClosesTheServerAndNoOther) {
  GatewayWorld world;
  world.add(gateway({https_server("a.com", "bad", "mode: SIMPLE, credentialName: kubernetes://x/c"),
                     https_server("b.com", "good")}));
  world.compile();
  const auto plan = world.tls(443, "a.com");
  EXPECT_EQ(plan.action, GatewayAction::refuse);
  EXPECT_NE(plan.why.find("names a Secret of another namespace than the proxy's (istio-system)"),
            std::string::npos);
  EXPECT_EQ(world.tls(443, "b.com").action, GatewayAction::terminate);
}

TEST(GatewayRefused, ClosesTheHostsThatItNamesWhereAWildcardWouldTakeThem) {
  GatewayWorld world;
  world.add(services + gateway({http_server("'*'"), https_server("'*'")}));
  world.add(behind("vs", "'*.com'", to("web")));
  world.add(
      gateway({http_server("safe.com"), https_server("safe.com", "https", "mode: MUTUAL, typo: 1")},
              "broken"));
  world.compile();
  EXPECT_EQ(world.get(80, "other.com"), "outbound|80||web.default.svc.cluster.local");
  EXPECT_EQ(world.get(80, "safe.com"), "503 closed");
  EXPECT_EQ(world.tls(443, "other.com").action, GatewayAction::terminate);
  const auto plan = world.tls(443, "safe.com");
  EXPECT_EQ(plan.action, GatewayAction::refuse);
  EXPECT_NE(plan.why.find("the Gateway that names this host can't be read"), std::string::npos);
}

TEST(GatewayRefused, NeverTakesAGoodOneDown) {
  GatewayWorld world;
  world.add(services + gateway({http_server("a.com")}) + behind("vs", "a.com", to("web")));
  world.add(gateway({http_server("a.com"), "{hosts: [b.com]}"}, "broken")).compile();
  EXPECT_EQ(world.get(80, "a.com"), "outbound|80||web.default.svc.cluster.local");
}

TEST(GatewayRefused, AVirtualServiceThatCantBeReadAnswers503WhereNoGoodOneHasItsHost) {
  GatewayWorld world;
  world.add(services + gateway({http_server("'*.com'")}) + behind("good", "a.com", to("web")));
  world.add(behind("bad", "a.com, b.com", "  http: [{timeout: nonsense}]")).compile();
  EXPECT_EQ(world.get(80, "a.com"), "outbound|80||web.default.svc.cluster.local");
  EXPECT_EQ(world.get(80, "b.com"), "503 closed");
  EXPECT_EQ(world.get(80, "c.com"), "404");
}

TEST(Gateway, WhatDidNotChangeIsTheSameObjectInTheNextSnapshot) {
  GatewayWorld world;
  world.add(services + gateway({https_server("a.com", "a"), https_server("b.com", "b")}));
  world.add(behind("of-a", "a.com", to("web")) + behind("of-b", "b.com", to("web"))).compile();
  const auto a = *world.tls(443, "a.com").chain, b = *world.tls(443, "b.com").chain;
  world.edit_last(behind("of-b", "b.com", to("api"))).compile();
  EXPECT_EQ(*world.tls(443, "a.com").chain, a);
  EXPECT_NE(*world.tls(443, "b.com").chain, b);
}

TEST(Gateway, AHeadlessServiceIsReachedAtItsPods) {
  GatewayWorld world;
  world.add(gateway({http_server("a.com")}) + behind("vs", "a.com", to("web")));
  world.add(
      "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\nspec:\n  "
      "clusterIP: None\n  ports: [{name: http, port: 80}]\n");
  world.compile();
  const auto* cluster = world.cluster("outbound|80||web.default.svc.cluster.local");
  ASSERT_NE(cluster, nullptr);
  EXPECT_EQ(cluster->discovery, Discovery::static_);
}

TEST(GatewayTermination, ACrlWithIstioMutualClosesTheServerRatherThanLetTheRevokedIn) {
  GatewayWorld world;
  world.add(services +
            gateway({https_server("a.com", "https", "mode: ISTIO_MUTUAL, caCrl: /crl")}));
  world.compile();
  EXPECT_NE(world.findings().find("tls.caCrl is not available with ISTIO_MUTUAL"),
            std::string::npos)
      << world.findings();
  EXPECT_EQ(world.tls(443, "a.com").action, GatewayAction::refuse);
}

}  // namespace
}  // namespace sallyport::mesh
