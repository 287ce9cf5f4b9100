// What /config_dump, /clusters and /certs say of a configuration.
#include "agent/admin/config_dump.h"

#include <gtest/gtest.h>

#include "agent/admin/certificates.h"
#include "agent/admin/clusters.h"
#include "tests/support/test_certs.h"

namespace sallyport::admin {
namespace {

ResourceRefPtr ref(const char* kind, const char* name) {
  return std::make_shared<ResourceRef>(ResourceRef{kind, "default", name, "rules.yaml", 12});
}

mesh::ClusterPtr cluster() {
  auto out = std::make_shared<mesh::Cluster>();
  out->name = "outbound|80||a.test";
  out->host = "a.test";
  out->discovery = mesh::Discovery::strict_dns;
  out->endpoints = {{{}, "a.test", 443, 1}, {*IpAddress::parse("10.0.0.1"), "", 443, 2}};
  out->tls.mode = mesh::Originate::mutual;
  out->tls.sni = "sni.test";
  out->tls.names = {"name.test"};
  out->tls.certificate = "kubernetes://client";
  out->tls.roots = "kubernetes://client-cacert";
  out->rule = ref("DestinationRule", "originate");
  out->service = ref("ServiceEntry", "external");
  return out;
}

mesh::Snapshot snapshot() {
  mesh::Snapshot out;
  out.version = 7;
  const auto to = cluster();
  out.clusters[to->name] = to;
  auto passthrough = std::make_shared<mesh::Cluster>();
  passthrough->name = "PassthroughCluster";
  passthrough->discovery = mesh::Discovery::original_dst;
  out.passthrough = passthrough;
  out.unmatched.cluster = passthrough;
  auto host = std::make_shared<mesh::VirtualHost>();
  host->name = "a.test:80";
  host->routes.push_back(mesh::Route{.name = "default", .cluster = to});
  auto block = std::make_shared<mesh::VirtualHost>();
  block->name = "block_all";
  block->routes.push_back(mesh::Route{.name = "block_all", .direct_status = 502});
  auto table = std::make_shared<mesh::RouteTable>();
  table->name = "80";
  table->hosts.exact["a.test"] = host;
  table->hosts.suffix[".a.test"] = host;
  table->fallback = block;
  auto http = std::make_shared<mesh::Listener>();
  http->name = "0.0.0.0_80";
  http->http = table;
  out.by_port[80] = http;
  auto tls = std::make_shared<mesh::Listener>();
  tls->name = "0.0.0.0_443";
  tls->by_sni.exact["tls.test"] = {"", to};
  out.by_port[443] = tls;
  return out;
}

// The dump without white space, so that expectations read as JSON.
std::string compact(const std::string& json) {
  std::string out;
  for (const char c : json) {
    if (c != ' ' && c != '\n') out += c;
  }
  return out;
}

void expect_in(const std::string& all, const std::vector<std::string>& parts) {
  for (const auto& part : parts)
    EXPECT_NE(all.find(part), std::string::npos) << part << "\nin\n" << all;
}

TEST(ConfigDump, ShowsClustersWithTheirOrigin) {
  expect_in(compact(config_dump(snapshot(), {})),
            {R"("@type":"type.googleapis.com/envoy.admin.v3.ClustersConfigDump",)"
             R"("version_info":"7")",
             R"("name":"outbound|80||a.test","type":"STRICT_DNS","connect_timeout":"10s",)"
             R"("lb_policy":"LEAST_REQUEST")",
             R"("socket_address":{"address":"a.test","port_value":443})",
             R"("socket_address":{"address":"10.0.0.1","port_value":443})",
             R"("tls_certificate_sds_secret_configs":[{"name":"kubernetes://client"}])",
             R"("match_subject_alt_names":[{"exact":"name.test"}])",
             R"("validation_context_sds_secret_config":{"name":"kubernetes://client-cacert"})",
             R"("sni":"sni.test")",
             R"("config":"/apis/networking.istio.io/v1alpha3/namespaces/default/)"
             R"(destination-rule/originate")",
             R"("source":"DestinationRuledefault/originate(rules.yaml:12))",
             R"("name":"PassthroughCluster","type":"ORIGINAL_DST")"});
}

TEST(ConfigDump, ShowsAutoMtlsAsIstiodWritesIt) {
  auto config = snapshot();
  auto in_mesh = std::make_shared<mesh::Cluster>();
  in_mesh->name = "outbound|80||web";
  in_mesh->tls.mode = mesh::Originate::istio_mutual;
  in_mesh->tls.automatic = true;
  in_mesh->tls.sni = "outbound_.80_._.web";
  in_mesh->tls.names = {"spiffe://td/ns/a/sa/b"};
  in_mesh->tls.certificate = "default";
  in_mesh->tls.roots = "ROOTCA";
  for (const char* ip : {"10.0.0.1", "10.0.0.2"}) {
    auto& endpoint = in_mesh->endpoints.emplace_back();
    endpoint.ip = *IpAddress::parse(ip);
    endpoint.port = 8080;
  }
  in_mesh->endpoints[0].mesh_tls = true;
  config.clusters[in_mesh->name] = in_mesh;
  const std::string endpoint = R"({"endpoint":{"address":{"socket_address":{"address":")";
  expect_in(compact(config_dump(config, {})),
            {R"("transport_socket_matches":[{"name":"tlsMode-istio","match":{"tlsMode":"istio"},)"
             R"("transport_socket":{"name":"envoy.transport_sockets.tls")",
             R"("alpn_protocols":["istio"])",
             R"("sni":"outbound_.80_._.web"}}},)"
             R"({"name":"tlsMode-disabled","match":{},"transport_socket":)"
             R"({"name":"envoy.transport_sockets.raw_buffer")",
             R"("tls_certificate_sds_secret_configs":[{"name":"default"}])",
             R"("match_subject_alt_names":[{"exact":"spiffe://td/ns/a/sa/b"}])",
             endpoint + R"(10.0.0.1","port_value":8080}}},"metadata":{"filter_metadata":)"
                        R"({"envoy.transport_socket_match":{"tlsMode":"istio"}}})",
             endpoint + R"(10.0.0.2","port_value":8080}}},"load_balancing_weight":1})"});
}

TEST(ConfigDump, ShowsTheProxyProtocolAroundTheTransportSocketAsIstiodWritesIt) {
  const std::string around =
      R"("transport_socket":{"name":"envoy.transport_sockets.upstream_proxy_protocol",)"
      R"("typed_config":{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.)"
      R"(proxy_protocol.v3.ProxyProtocolUpstreamTransport","config":)";
  auto config = snapshot();
  auto plain = std::make_shared<mesh::Cluster>();
  plain->name = "outbound|80||plain";
  plain->proxy_protocol = mesh::ProxyProtocol::v1;
  config.clusters = {{plain->name, plain}};
  expect_in(compact(config_dump(config, {})),
            {around + R"({},"transport_socket":{"name":"raw_buffer")"});
  auto by_tls = std::make_shared<mesh::Cluster>(*plain);
  by_tls->proxy_protocol = mesh::ProxyProtocol::v2;
  by_tls->tls.mode = mesh::Originate::simple;
  config.clusters = {{by_tls->name, by_tls}};
  expect_in(
      compact(config_dump(config, {})),
      {around + R"({"version":"V2"},"transport_socket":{"name":"envoy.transport_sockets.tls")"});
  by_tls->tls.mode = mesh::Originate::istio_mutual;
  by_tls->tls.automatic = true;
  expect_in(compact(config_dump(config, {})),
            {R"("match":{"tlsMode":"istio"},)" + around,
             R"("match":{},)" + around +
                 R"({"version":"V2"},"transport_socket":)"
                 R"({"name":"envoy.transport_sockets.raw_buffer")"});
}

TEST(ConfigDump, TheEndpointsOfAKubernetesServiceComeByEds) {
  auto config = snapshot();
  auto web = std::make_shared<mesh::Cluster>();
  web->name = "outbound|80||web.default.svc.cluster.local";
  web->service =
      std::make_shared<ResourceRef>(ResourceRef{"Service", "default", "web", "web.yaml", 1});
  config.clusters[web->name] = web;
  expect_in(compact(config_dump(config, {})),
            {R"("name":"outbound|80||web.default.svc.cluster.local","type":"EDS")"});
}

TEST(ConfigDump, TheWorkloadsOwnSecretsComeFirst) {
  certs::Vault vault;
  for (const char* name : {"ROOTCA", "default", "file-root:ca.pem"})
    vault.entries[name].problem = "not yet";
  const auto text = compact(config_dump(snapshot(), vault));
  const auto at = [&](const std::string& name) { return text.find("{\"name\":\"" + name); };
  EXPECT_LT(at("default"), at("ROOTCA")) << text;
  EXPECT_LT(at("ROOTCA"), at("file-root:ca.pem")) << text;
  EXPECT_NE(at("file-root:ca.pem"), std::string::npos) << text;
}

TEST(ConfigDump, ShowsWhatAConnectionPoolAndALoadBalancerAskFor) {
  auto config = snapshot();
  auto tuned = std::make_shared<mesh::Cluster>(*cluster());
  tuned->name = "outbound|82||tuned.test";
  tuned->balancing = mesh::Balancing::round_robin;
  tuned->http_idle = std::chrono::seconds(7);
  tuned->max_requests_per_connection = 3;
  tuned->load.emplace();
  tuned->load->max_connection_duration = std::chrono::seconds(9);
  tuned->load->keepalive = mesh::KeepalivePolicy{
      .probes = 4, .time = std::chrono::seconds(60), .interval = std::chrono::seconds(5)};
  tuned->load->warmup =
      mesh::WarmupPolicy{.duration = std::chrono::seconds(30), .minimum = 0.2, .aggression = 1.5};
  config.clusters[tuned->name] = tuned;
  auto hashed = std::make_shared<mesh::Cluster>(*cluster());
  hashed->name = "outbound|83||hashed.test";
  hashed->load.emplace();
  hashed->load->hash =
      mesh::HashPolicy{.table = mesh::HashPolicy::Table::maglev, .table_size = 65'537};
  config.clusters[hashed->name] = hashed;
  expect_in(compact(config_dump(config, {})),
            {R"("upstream_connection_options":{"tcp_keepalive":{"keepalive_probes":4,)"
             R"("keepalive_time":60,"keepalive_interval":5}})",
             R"("round_robin_lb_config":{"slow_start_config":{"slow_start_window":"30s",)"
             R"("aggression":{"default_value":1.5},"min_weight_percent":{"value":20}}})",
             R"("common_http_protocol_options":{"idle_timeout":"7s",)"
             R"("max_connection_duration":"9s","max_requests_per_connection":3})",
             R"("maglev_lb_config":{"table_size":"65537"})"});
}

TEST(ConfigDump, ShowsAUnixSocketAsAPipe) {
  auto config = snapshot();
  auto local = std::make_shared<mesh::Cluster>();
  local->name = "outbound|82||c.test";
  local->endpoints.emplace_back().unix_socket = *SocketAddress::unix_socket("/run/c.sock");
  config.clusters[local->name] = local;
  const std::string pipe = R"("address":{"pipe":{"path":"/run/c.sock"}})";
  expect_in(compact(config_dump(config, {})), {pipe});
  const auto all = merged(config, {});
  expect_in(compact(clusters_json(all)), {pipe});
  expect_in(clusters_text(config, all), {"outbound|82||c.test::/run/c.sock::cx_active::0\n"});
}

TEST(ConfigDump, ShowsListenersAndRoutes) {
  expect_in(
      compact(config_dump(snapshot(), {})),
      {R"("name":"0.0.0.0_80","address":{"socket_address":{"address":"0.0.0.0","port_value":80}})",
       R"("rds":{"route_config_name":"80"})",
       R"("filter_chain_match":{"server_names":["tls.test"]})",
       R"("default_filter_chain":{"filters":[{"name":"envoy.filters.network.tcp_proxy")",
       R"("name":"a.test:80","domains":["*.a.test","a.test"])",
       R"("route":{"cluster":"outbound|80||a.test","timeout":"0s")",
       R"("name":"block_all","domains":["*"])", R"("direct_response":{"status":502})"});
}

struct Secrets {
  test::Issued client;
  certs::Vault vault;
};

Secrets secrets() {
  const auto ca = test::Authority::root("Test CA");
  Secrets out{ca.issue({.common_name = "client", .dns = {"client.test"}}), {}};
  out.vault.entries["kubernetes://client"].pair =
      *certs::KeyPair::parse(out.client.chain_pem, out.client.key_pem);
  out.vault.entries["kubernetes://client-cacert"].roots = *certs::TrustStore::parse(ca.pem());
  out.vault.entries["kubernetes://gone"].problem = "no such Secret";
  return out;
}

TEST(ConfigDump, ShowsSecretsWithoutKeys) {
  const auto all = secrets();
  const auto dump = config_dump(snapshot(), all.vault);
  expect_in(
      compact(dump),
      {R"("dynamic_active_secrets":[{"name":"kubernetes://client")",
       R"("certificate_chain":{"inline_bytes":")" + base64(all.client.chain_pem) + R"("})",
       R"("private_key":{"inline_bytes":"W3JlZGFjdGVkXQ=="})",
       R"("dynamic_warming_secrets":[{"name":"kubernetes://gone")",
       R"("error_state":{"details":"nosuchSecret"})", R"("trusted_ca_subjects":["CN=TestCA"])"});
  const auto key_body = all.client.key_pem.substr(28, 40);
  EXPECT_EQ(dump.find(key_body), std::string::npos);
  EXPECT_EQ(dump.find(base64(all.client.key_pem).substr(0, 60)), std::string::npos);
}

TEST(Certificates, SayWhoseTheyAreAndForHowLong) {
  const auto all = secrets();
  const int64_t three_days_before = all.client.not_after - 3 * 86'400 - 5;
  const auto json = certificates_json(all.vault, three_days_before);
  expect_in(compact(json),
            {R"("path":"kubernetes://client")", R"("subject":"CN=client")",
             R"("subject_alt_names":[{"dns":"client.test"}])", R"("days_until_expiration":"3")",
             R"("ca_cert":[{"path":"kubernetes://client-cacert")"});
  EXPECT_EQ(json.find("PRIVATE"), std::string::npos);
  EXPECT_NE(certificates_json(all.vault, all.client.not_after + 1).find("\"0\""),
            std::string::npos);
}

TEST(Certificates, TellTimeAsEnvoyDoes) {
  EXPECT_EQ(utc_text(1'000'000'000), "2001-09-09T01:46:40Z");
}

TEST(Clusters, AreTheSumOverWorkersAndWhatNobodyHasUsedYet) {
  const SocketAddress a = *SocketAddress::parse("10.0.0.1:443"),
                      b = *SocketAddress::parse("[2001:db8::1]:443");
  auto config = snapshot();
  auto unused = std::make_shared<mesh::Cluster>();
  unused->name = "outbound|81||b.test";
  unused->endpoints = {{*IpAddress::parse("10.0.0.9"), "", 81, 1}};
  config.clusters[unused->name] = unused;
  const ClusterInfos infos = {
      {"outbound|80||a.test", {{a, "healthy", 1, 2}}, ""},
      {"outbound|80||a.test", {{a, "healthy", 3, 4}, {b, "healthy", 0, 1}}, "late"}};
  const auto all = merged(config, infos);
  const auto text = clusters_text(config, all);
  expect_in(text,
            {"outbound|80||a.test::observability_name::outbound|80||a.test\n",
             "outbound|80||a.test::default_priority::max_connections::4294967295\n",
             "outbound|80||a.test::added_via_api::true\n", "outbound|80||a.test::problem::late\n",
             "outbound|80||a.test::10.0.0.1:443::cx_active::10\n",
             "outbound|80||a.test::10.0.0.1:443::rq_active::4\n",
             "outbound|80||a.test::[2001:db8::1]:443::health_flags::healthy\n",
             "outbound|81||b.test::10.0.0.9:81::cx_active::0\n"});
  expect_in(compact(clusters_json(all)),
            {R"("name":"outbound|80||a.test")", R"("address":"2001:db8::1","port_value":443)",
             R"({"type":"GAUGE","name":"cx_active","value":"10"})"});
}

}  // namespace
}  // namespace sallyport::admin
