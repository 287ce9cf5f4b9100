// `sallyport proxy-config`: a dump as istioctl's tables, its filters, JSON and YAML.
#include "agent/cli/proxy_config_view.h"

#include <gtest/gtest.h>

#include <regex>

#include "agent/admin/certificates.h"
#include "tests/support/test_certs.h"

namespace sallyport::cli {
namespace {

// Shortened from what Istio's own proxy and ours give.
constexpr const char* dump_text = R"({"configs": [
{"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {"node": {
  "user_agent_build_version": {"version": {"major_number": 1, "minor_number": 2, "patch": 3}}}}},
{"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
 "dynamic_active_clusters": [
  {"cluster": {"name": "outbound|443|v1|b.test", "type": "STRICT_DNS", "connect_timeout": "10s",
    "load_assignment": {"cluster_name": "outbound|443|v1|b.test", "endpoints": [
      {"locality": {"region": "eu", "zone": "a"}, "lb_endpoints": [{"endpoint": {"address":
        {"socket_address": {"address": "b.test", "port_value": 8443}}}}]}]},
    "metadata": {"filter_metadata": {"istio": {"config":
      "/apis/networking.istio.io/v1alpha3/namespaces/default/destination-rule/originate"}}}}},
  {"cluster": {"name": "outbound|80||b.test", "type": "STATIC", "refused": "no such Secret"}},
  {"cluster": {"name": "BlackHoleCluster", "refused": "it is so by nature"}},
  {"cluster": {"name": "inbound|80||", "type": "ORIGINAL_DST"}}]},
{"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
 "dynamic_listeners": [
  {"name": "virtualOutbound", "active_state": {"listener": {"name": "virtualOutbound",
    "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15001}},
    "filter_chains": [
      {"filter_chain_match": {"destination_port": 15001}, "filters": [{"name":
        "envoy.filters.network.tcp_proxy", "typed_config": {"cluster": "BlackHoleCluster"}}]},
      {"filters": [{"name": "envoy.filters.network.tcp_proxy",
        "typed_config": {"cluster": "PassthroughCluster"}}]}]}}},
  {"name": "0.0.0.0_80", "active_state": {"listener": {"name": "0.0.0.0_80",
    "address": {"socket_address": {"address": "0.0.0.0", "port_value": 80}},
    "filter_chains": [{"filter_chain_match": {"transport_protocol": "raw_buffer",
      "application_protocols": ["http/1.1", "h2c"]}, "filters": [{"name":
      "envoy.filters.network.http_connection_manager",
      "typed_config": {"rds": {"route_config_name": "80"}}}]}],
    "default_filter_chain": {"filters": [{"name": "envoy.filters.network.tcp_proxy",
      "typed_config": {"cluster": "PassthroughCluster"}}]}}}},
  {"name": "10.0.0.9_443", "active_state": {"listener": {"name": "10.0.0.9_443",
    "address": {"socket_address": {"address": "10.0.0.9", "port_value": 443}},
    "filter_chains": [{"filter_chain_match": {"server_names": ["b.test", "*.b.test"],
      "prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}, "filters": [{"name":
      "envoy.filters.network.tcp_proxy",
      "typed_config": {"cluster": "outbound|443||b.test"}}]}]}}}]},
{"@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump",
 "dynamic_route_configs": [
  {"route_config": {"name": "8080", "virtual_hosts": [
    {"name": "empty:8080", "domains": ["empty"]}]}},
  {"route_config": {"name": "80", "virtual_hosts": [
    {"name": "b.test:80", "domains": ["b.test", "b.test:80", "*.b.test", "b", "10.0.0.9"],
     "routes": [
      {"match": {"path_separated_prefix": "/get"}, "route": {"cluster": "outbound|80||b.test"},
       "metadata": {"filter_metadata": {"istio": {"config":
         "/apis/networking.istio.io/v1alpha3/namespaces/prod/virtual-service/reviews"}}}},
      {"match": {"safe_regex": {"regex": "/a.*"}}, "redirect": {"host_redirect": "c.test"}},
      {"match": {"prefix": "/"}, "route": {"cluster": "outbound|80||b.test"}}]},
    {"name": "allow_any", "domains": ["*"], "routes": [
      {"match": {"prefix": "/"}, "route": {"cluster": "PassthroughCluster"}}]}]}}]}
]})";

constexpr const char* clusters_text = R"({"cluster_statuses": [
 {"name": "outbound|443||b.test", "host_statuses": [
  {"address": {"socket_address": {"address": "10.0.0.9", "port_value": 443}},
   "health_status": {"failed_outlier_check": true, "eds_health_status": "UNHEALTHY"}},
  {"address": {"socket_address": {"address": "10.0.0.10", "port_value": 443}},
   "health_status": {"eds_health_status": "HEALTHY"}}]},
 {"name": "PassthroughCluster"}]})";

using View = Result<std::string> (*)(const Json*, const ProxyConfigQuery&);

std::string shown(View view, const ProxyConfigQuery& query = {}, const char* text = dump_text) {
  const auto document = JsonDocument::parse(text);
  EXPECT_TRUE(document);
  const auto out = view(document->root(), query);
  if (!out) return "error: " + out.error().context;
  return std::regex_replace(*out, std::regex(" +\n"), "\n");  // The last column is padded too.
}

TEST(ProxyConfig, ClustersAsIstioctlHasThem) {
  EXPECT_EQ(
      shown(view_clusters),
      R"(SERVICE FQDN         PORT     SUBSET     DIRECTION     TYPE             DESTINATION RULE
                     80       -          inbound       ORIGINAL_DST
BlackHoleCluster     -        -          -             STATIC
b.test               80       -          outbound      STATIC
b.test               443      v1         outbound      STRICT_DNS       originate.default

outbound|80||b.test is closed: no such Secret
)");
}

TEST(ProxyConfig, ListenersAsIstioctlHasThem) {
  EXPECT_EQ(shown(view_listeners),
            R"(ADDRESSES PORT  MATCH                                  DESTINATION
0.0.0.0   80    Trans: raw_buffer; App: http/1.1,h2c   Route: 80
0.0.0.0   80    ALL                                    PassthroughCluster
10.0.0.9  443   SNI: b.test,*.b.test; Addr: 10.0.0.0/8 Cluster: outbound|443||b.test
0.0.0.0   15001 ALL                                    PassthroughCluster
0.0.0.0   15001 Addr: *:15001                          Non-HTTP/Non-TCP
)");
  ProxyConfigQuery query;
  query.verbose = false;
  EXPECT_EQ(shown(view_listeners, query),
            "ADDRESSES PORT  TYPE\n"
            "0.0.0.0   80    HTTP+TCP\n"
            "10.0.0.9  443   TCP\n"
            "0.0.0.0   15001 TCP\n");
}

// Under REGISTRY_ONLY the rest goes there.
TEST(ProxyConfig, ACatchAllThatIsClosedIsTheBlackHoleCluster) {
  constexpr const char* text = R"({"configs": [
{"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "dynamic_listeners": [
  {"name": "virtualOutbound", "active_state": {"listener": {"name": "virtualOutbound",
    "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15001}},
    "filter_chains": [
      {"filter_chain_match": {"destination_port": 15001}, "filters": [{"name":
        "envoy.filters.network.tcp_proxy", "typed_config": {"cluster": "BlackHoleCluster"}}]},
      {"filters": [{"name": "envoy.filters.network.tcp_proxy",
        "typed_config": {"cluster": "BlackHoleCluster"}}]}]}}}]}]})";
  EXPECT_EQ(shown(view_listeners, {}, text),
            "ADDRESSES PORT  MATCH         DESTINATION\n"
            "0.0.0.0   15001 Addr: *:15001 Non-HTTP/Non-TCP\n"
            "0.0.0.0   15001 ALL           BlackHoleCluster\n");
}

// istioctl's getMatchAllCluster: scripts look for inbound|8080|| there.
TEST(ProxyConfig, ARouteOfEverythingToOneClusterIsThatCluster) {
  constexpr const char* text = R"({"configs": [
{"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "dynamic_listeners": [
  {"name": "virtualInbound", "active_state": {"listener": {"name": "virtualInbound",
    "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15006}},
    "filter_chains": [
      {"filter_chain_match": {"destination_port": 8080}, "filters": [{"name":
        "envoy.filters.network.http_connection_manager", "typed_config": {"route_config":
        {"virtual_hosts": [{"domains": ["*"], "routes": [{"match": {"prefix": "/"},
         "route": {"cluster": "inbound|8080||"}}]}]}}}]},
      {"filter_chain_match": {"destination_port": 9090}, "filters": [{"name":
        "envoy.filters.network.http_connection_manager", "typed_config": {"route_config":
        {"virtual_hosts": [{"domains": ["*"], "routes": [{"match": {"prefix": "/a"},
         "route": {"cluster": "inbound|9090||"}}]}]}}}]}]}}}]}]})";
  EXPECT_EQ(shown(view_listeners, {}, text),
            "ADDRESSES PORT  MATCH        DESTINATION\n"
            "0.0.0.0   15006 Addr: *:9090 Inline Route: /a*\n"
            "0.0.0.0   15006 Addr: *:8080 Cluster: inbound|8080||\n");
}

TEST(ProxyConfig, AnIpv6EndpointHasBrackets) {
  constexpr const char* text = R"({"cluster_statuses": [{"name": "c", "host_statuses": [
  {"address": {"socket_address": {"address": "2001:db8::1", "port_value": 80}},
   "health_status": {"eds_health_status": "HEALTHY"}}]}]})";
  EXPECT_NE(shown(view_endpoints, {}, text).find("[2001:db8::1]:80"), std::string::npos);
}

TEST(ProxyConfig, RoutesAsIstioctlHasThem) {
  EXPECT_EQ(shown(view_routes),
            "NAME     VHOST NAME     DOMAINS                          MATCH               "
            R"(VIRTUAL SERVICE
80       b.test:80      b.test, *.b.test + 2 more...     PathPrefix:/get     reviews.prod
80       b.test:80      b.test, *.b.test + 2 more...     regex /a.*
80       b.test:80      b.test, *.b.test + 2 more...     /*
8080     empty:8080     empty                            /*                  404
)");
  ProxyConfigQuery query;
  query.verbose = false;
  EXPECT_EQ(shown(view_routes, query),
            "NAME     VIRTUAL HOSTS\n"
            "80       2\n"
            "8080     1\n");
}

TEST(ProxyConfig, LiveEndpointsHaveTheirStateAndConfiguredOnesTheirPlace) {
  EXPECT_EQ(shown(view_endpoints, {}, clusters_text),
            "ENDPOINT          STATUS        OUTLIER CHECK     CLUSTER\n"
            "10.0.0.10:443     HEALTHY       OK                outbound|443||b.test\n"
            "10.0.0.9:443      UNHEALTHY     FAILED            outbound|443||b.test\n");
  EXPECT_EQ(shown(view_endpoints),
            "NAME            STATUS      LOCALITY     CLUSTER\n"
            "b.test:8443     UNKNOWN     eu/a         outbound|443|v1|b.test\n");
}

struct FilterCase {
  const char* name;
  View view;
  ProxyConfigQuery query;
  std::vector<std::string> lines;  // first words of the rows that stay
  const char* text = dump_text;
};

ProxyConfigQuery with(std::string ProxyConfigQuery::*field, const char* value) {
  ProxyConfigQuery query;
  query.*field = value;
  return query;
}
ProxyConfigQuery with_port(uint16_t port) {
  ProxyConfigQuery query;
  query.port = port;
  return query;
}

const FilterCase filter_cases[] = {
    {"--fqdn: a part of the name",
     view_clusters,
     with(&ProxyConfigQuery::fqdn, "b.te"),
     {"b.test", "b.test"}},
    {"--fqdn finds Envoy's own",
     view_clusters,
     with(&ProxyConfigQuery::fqdn, "BlackHole"),
     {"BlackHoleCluster"}},
    {"--direction", view_clusters, with(&ProxyConfigQuery::direction, "inbound"), {"80"}},
    {"--subset", view_clusters, with(&ProxyConfigQuery::subset, "v1"), {"b.test"}},
    {"--port of a cluster is no prefix", view_clusters, with_port(44), {}},
    {"--port of a cluster", view_clusters, with_port(443), {"b.test"}},
    {"--port of a listener", view_listeners, with_port(443), {"10.0.0.9"}},
    {"--address of a listener",
     view_listeners,
     with(&ProxyConfigQuery::address, "10.0.0.9"),
     {"10.0.0.9"}},
    {"--type, in any case",
     view_listeners,
     with(&ProxyConfigQuery::type, "http+tcp"),
     {"0.0.0.0", "0.0.0.0"}},
    {"--name of a route, whole", view_routes, with(&ProxyConfigQuery::name, "8080"), {"8080"}},
    {"--status",
     view_endpoints,
     with(&ProxyConfigQuery::status, "healthy"),
     {"10.0.0.10:443"},
     clusters_text},
    {"--address of an endpoint",
     view_endpoints,
     with(&ProxyConfigQuery::address, "10.0.0.9"),
     {"10.0.0.9:443"},
     clusters_text},
    {"--cluster, whole",
     view_endpoints,
     with(&ProxyConfigQuery::cluster, "outbound|443||b"),
     {},
     clusters_text},
    {"--port of an endpoint", view_endpoints, with_port(80), {}, clusters_text},
};

TEST(ProxyConfig, AUnixSocketIsAnEndpointWithoutAPort) {
  EXPECT_EQ(shown(view_endpoints, {}, R"({"cluster_statuses": [{"name": "outbound|80||c.test",
              "host_statuses": [{"address": {"pipe": {"path": "/run/c.sock"}},
                                 "health_status": {"eds_health_status": "HEALTHY"}}]}]})"),
            "ENDPOINT               STATUS      OUTLIER CHECK     CLUSTER\n"
            "unix:///run/c.sock     HEALTHY     OK                outbound|80||c.test\n");
}

TEST(ProxyConfig, FiltersLeaveTheRestOut) {
  for (const auto& c : filter_cases) {
    std::istringstream lines(shown(c.view, c.query, c.text));
    std::vector<std::string> firsts;
    std::string line;
    std::getline(lines, line);  // titles
    while (std::getline(lines, line) && !line.empty()) {
      std::string word;
      std::istringstream(line) >> word;
      firsts.push_back(word);
    }
    EXPECT_EQ(firsts, c.lines) << c.name;
  }
}

TEST(ProxyConfig, JsonAndYamlHaveEnvoysMessagesInIstioctlsSpelling) {
  ProxyConfigQuery query;
  query.subset = "v1";
  query.output = Output::json;
  const auto json = shown(view_clusters, query);
  EXPECT_TRUE(json.starts_with("[\n    {\n        \"name\": \"outbound|443|v1|b.test\",\n"))
      << json;
  EXPECT_NE(json.find("\n        \"connectTimeout\": \"10s\",\n"), json.npos) << json;
  EXPECT_NE(json.find("\"filterMetadata\": {\n                \"istio\": {"), json.npos) << json;
  query.output = Output::yaml;
  const auto yaml = shown(view_clusters, query);
  EXPECT_TRUE(
      yaml.starts_with("- connectTimeout: \"10s\"\n  loadAssignment:\n"
                       "    clusterName: outbound|443|v1|b.test\n"
                       "    endpoints:\n    - lbEndpoints:\n"))
      << yaml;
}

TEST(ProxyConfig, YamlQuotesWhatWouldBeReadAsSomethingElse) {
  const auto document = JsonDocument::parse(
      R"({"z": ["yes", "8080", "a: b", "", "it's", "1e3", "- x", "plain text"],
          "a": {"e": [], "nil": null, "t": true, "i": 7}})");
  EXPECT_EQ(print(*document->root(), Output::yaml, Names::as_they_are),
            "a:\n  e: []\n  i: 7\n  nil: null\n  t: true\n"
            "z:\n- \"yes\"\n- \"8080\"\n- \"a: b\"\n- \"\"\n- \"it's\"\n- \"1e3\"\n- \"- x\"\n"
            "- plain text\n");
}

// As Envoy dumps it.
std::string secrets_text(const test::Issued& client, const std::string& ca_pem) {
  return R"({"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump",
    "dynamic_active_secrets": [
     {"name": "kubernetes://client-credential", "secret": {"tls_certificate":
       {"certificate_chain": {"inline_bytes": ")" +
         admin::base64(client.chain_pem) + R"("}}},
       "error_state": {"details": "the key does not match"}},
     {"name": "kubernetes://client-credential-cacert", "secret": {"validation_context":
       {"trusted_ca": {"inline_bytes": ")" +
         admin::base64(ca_pem) + R"("}}}}],
    "dynamic_warming_secrets": [{"name": "kubernetes://later", "secret": {},
     "error_state": {"details": "there is no Secret later in namespace default"}}]}]})";
}

TEST(ProxyConfig, ASecretThatWasDeletedIsSaidToBe) {
  const auto ca = test::Authority::root("ca");
  std::string text = secrets_text(ca.issue({}), ca.pem());
  const std::string reason = "the key does not match";
  text.replace(text.find(reason), reason.size(), "Secret default/x: missing");
  EXPECT_NE(shown(view_secrets, {}, text.c_str())
                .find("kubernetes://client-credential is ACTIVE: it was deleted (Secret default/x: "
                      "missing); the last good version stays in force"),
            std::string::npos);
}

TEST(ProxyConfig, AFailedRenewalOfTheWorkloadsCertificateIsSaidToBeOne) {
  const auto ca = test::Authority::root("ca");
  std::string text = secrets_text(ca.issue({}), ca.pem());
  for (const auto& [from, to] :
       {std::pair<std::string, std::string>("kubernetes://client-credential\"", "default\""),
        {"the key does not match", "the renewal failed: connect ca:15012: Connection refused"}})
    text.replace(text.find(from), from.size(), to);
  EXPECT_NE(shown(view_secrets, {}, text.c_str())
                .find("\ndefault is ACTIVE, but the renewal failed: connect ca:15012: Connection "
                      "refused\n"),
            std::string::npos);
}

TEST(ProxyConfig, SecretsAsIstioctlHasThemAndTheReasonBelow) {
  const auto ca = test::Authority::root("Test CA");
  const auto client = ca.issue({.common_name = "client", .dns = {"client.test"}});
  const auto info = (*certs::KeyPair::parse(client.chain_pem, client.key_pem))->info();
  const auto trust = *certs::TrustStore::parse(ca.pem());
  const auto& ca_info = trust->certificates().front();
  ProxyConfigQuery query;
  query.now = info.not_before + 60;
  const auto pad = [](const std::string& serial) {
    return std::string(serial.size() < 32 ? 32 - serial.size() : 0, '0') + serial;
  };
  const auto text = secrets_text(client, ca.pem());
  const auto out = shown(view_secrets, query, text.c_str());
  const auto line = [&out](int number) {
    std::istringstream lines(out);
    std::string one;
    for (int i = 0; i <= number; i++) std::getline(lines, one);
    return one;
  };
  const std::string blanks(5, ' ');
  const auto serial = std::max(pad(info.serial).size(), pad(ca_info.serial).size());
  const auto cell = [](std::string word, std::size_t width) {
    word.resize(std::max(word.size(), width), ' ');
    return word + "     ";
  };
  const auto row = [&](const char* name, const char* type, const char* status, const char* valid,
                       const std::string& number, const std::string& after,
                       const std::string& before) {
    std::string text = cell(name, 37) + cell(type, 10) + cell(status, 7) + cell(valid, 10) +
                       cell(number, serial) + cell(after, 20) + before;
    while (text.ends_with(' ')) text.pop_back();  // as shown() does
    return text;
  };
  EXPECT_EQ(line(0), row("RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER",
                         "NOT AFTER", "NOT BEFORE"));
  EXPECT_EQ(line(1), row("kubernetes://later", "", "WARMING", "false", "", "", ""));
  EXPECT_EQ(line(2),
            row("kubernetes://client-credential", "Cert Chain", "ACTIVE", "true", pad(info.serial),
                admin::utc_text(info.not_after), admin::utc_text(info.not_before)));
  EXPECT_EQ(line(3), row("kubernetes://client-credential-cacert", "CA", "ACTIVE", "true",
                         pad(ca_info.serial), admin::utc_text(ca_info.not_after),
                         admin::utc_text(ca_info.not_before)));
  EXPECT_EQ(line(4), "");
  EXPECT_EQ(line(5),
            "kubernetes://later is WARMING: there is no Secret later in namespace default");
  EXPECT_EQ(line(6),
            "kubernetes://client-credential is ACTIVE, but a newer version was not taken: the key "
            "does not match");
  query.now = info.not_after + 1;
  query.name = "kubernetes://client-credential";
  EXPECT_NE(shown(view_secrets, query, text.c_str()).find("ACTIVE     false"), std::string::npos)
      << "expired";
}

TEST(ProxyConfig, AllHasEveryPartUnderItsTitle) {
  auto text = std::string(dump_text);
  text.insert(text.rfind(']'), R"(,
{"@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump"},
{"@type": "type.googleapis.com/sallyport.admin.v1.FindingsDump", "findings": [{"severity": "error",
 "file": "r.yaml", "line": 3, "kind": "DestinationRule", "namespace": "default", "name": "x",
 "field": "spec.host", "reason": "is missing"}]})");
  const auto dump = JsonDocument::parse(text);
  const auto clusters = JsonDocument::parse(clusters_text);
  ASSERT_TRUE(dump && clusters);
  ProxyConfigQuery query;
  query.with_headers = true;
  const auto out = view_all(dump->root(), clusters->root(), query);
  ASSERT_TRUE(out) << out.error().context;
  std::size_t at = 0;
  for (const char* part :
       {"------ BOOTSTRAP INFO ------\n\nSallyport Version: 1.2.3\n", "------ CLUSTER INFO ------",
        "cluster/outbound|443|v1|b.test ", "------ LISTENER INFO ------", "listener/0.0.0.0_80 ",
        "------ ROUTE INFO ------", "route/80 ", "------ SECRET INFO ------",
        "No active or warming secrets found.", "------ ENDPOINTS INFO ------",
        "endpoint/10.0.0.9:443 ", "------ REFUSED AND WARNED ABOUT ------",
        "r.yaml:3: error: DestinationRule default/x: spec.host: is missing\n"}) {
    at = out->find(part, at);
    ASSERT_NE(at, out->npos) << part << "\nis not in its place in\n" << *out;
  }
}

TEST(ProxyConfig, WhatIsNoDumpIsSaid) {
  EXPECT_EQ(shown(view_clusters, {}, "{}"),
            "error: this is no configuration dump: it has no \"configs\"");
  EXPECT_EQ(shown(view_secrets), "error: the dump has no SecretsConfigDump");
  EXPECT_EQ(shown(view_endpoints, {}, "[1]"),
            "error: this is no configuration dump: it has no \"configs\"");
  EXPECT_FALSE(JsonDocument::parse("{"));
  EXPECT_FALSE(JsonDocument::parse(std::string(1000, '[')));
}

}  // namespace
}  // namespace sallyport::cli
