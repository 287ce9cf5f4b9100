// Istio's standard metrics: which labels (those of github.com/istio/proxy's istio_stats without
// metadata exchange), how many series, and what a request costs.
#include "agent/observe/standard_metrics.h"

#include <gtest/gtest.h>

#include "agent/mesh/telemetry_metrics.h"
#include "tests/support/allocations.h"
#include "tests/unit/observe/log_line.h"

namespace sallyport::observe {
namespace {

const Principals mutual{"spiffe://cluster.local/ns/shop/sa/cart",
                        "spiffe://cluster.local/ns/default/sa/web"};

class StandardMetricsTest : public testing::Test {
protected:
  StandardMetricsTest() {
    config_.client.enabled = config_.server.enabled = true;
    snapshot_.version = 1;
    auto& proxy = snapshot_.proxy;
    proxy.workload_name = "web-v1";
    proxy.cluster_id = "Kubernetes";
    proxy.labels = {{"app", "web"}, {"version", "v1"}};
    cluster_ = service("Service", "cart", "shop", "cart.shop.svc.cluster.local");
  }

  static mesh::ClusterPtr service(const char* kind, const char* name, const char* in,
                                  const char* host) {
    mesh::Cluster cluster;
    cluster.name = std::string("outbound|80||") + host;
    cluster.host = host;
    cluster.service = std::make_shared<const ResourceRef>(
        ResourceRef{.kind = kind, .namespace_name = in, .name = name, .file = {}});
    mesh::Endpoint endpoint;
    endpoint.ip = at("127.0.0.1:1").ip();
    endpoint.port = 18081;
    endpoint.workload =
        mesh::workload_facts({{"app", "cart"}, {"version", "v7"}}, "cart-v7", "shop");
    cluster.endpoints.push_back(endpoint);
    return std::make_shared<const mesh::Cluster>(std::move(cluster));
  }
  StandardMetrics& metrics() {
    snapshot_.metrics = std::make_shared<const mesh::StandardMetricsConfig>(config_);
    metrics_.follow(snapshot_);
    return metrics_;
  }
  void count(const AccessRecord& record, const Principals* principals = nullptr) {
    metrics().count_request(record, {cluster_, principals});
  }
  std::string text() const { return series_text({&store_}); }
  std::size_t series() const {
    std::size_t all = 0;
    store_.each([&](StandardMetric, std::string_view, const Series&) { all++; });
    return all;
  }

  SeriesStore store_;
  StandardMetrics metrics_{store_};
  mesh::Snapshot snapshot_;
  mesh::StandardMetricsConfig config_;
  mesh::ClusterPtr cluster_;
};

testing::AssertionResult has(const std::string& text, const std::string& part) {
  if (text.find(part) != text.npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no " << part << " in:\n" << text;
}

AccessRecord received() {
  AccessRecord record = answered();
  record.server_side = true;
  return record;
}

AccessRecord opaque() {
  AccessRecord record = answered();
  record.http = false;
  record.response_code = 0;
  return record;
}

// It may end in the moment in which its configuration goes, or long after.
TEST_F(StandardMetricsTest, ARequestKeepsNoClusterThatIsGone) {
  const std::weak_ptr<const mesh::Cluster> old = cluster_;
  count(answered());
  cluster_.reset();
  EXPECT_TRUE(old.expired());
  for (int i = 0; i < 8; i++) {  // one of them may get its address
    cluster_ = service("Service", "pay", "shop", "pay.shop.svc.cluster.local");
    count(answered());
    EXPECT_TRUE(has(text(), "destination_service_name=\"pay\""));
    cluster_.reset();
  }
}

TEST_F(StandardMetricsTest, ASourceNamesItselfAndTheWorkloadThatItAsked) {
  count(answered(), &mutual);
  EXPECT_TRUE(has(
      text(),
      "istio_requests_total{reporter=\"source\",source_workload=\"web-v1\","
      "source_canonical_service=\"web\",source_canonical_revision=\"v1\","
      "source_workload_namespace=\"default\","
      "source_principal=\"spiffe://cluster.local/ns/default/sa/web\",source_app=\"web\","
      "source_version=\"v1\",source_cluster=\"Kubernetes\",destination_workload=\"cart-v7\","
      "destination_workload_namespace=\"shop\","
      "destination_principal=\"spiffe://cluster.local/ns/shop/sa/cart\",destination_app=\"cart\","
      "destination_version=\"v7\",destination_service=\"cart.shop.svc.cluster.local\","
      "destination_canonical_service=\"cart\",destination_canonical_revision=\"v7\","
      "destination_service_name=\"cart\",destination_service_namespace=\"shop\","
      "destination_cluster=\"Kubernetes\",request_protocol=\"http\",response_code=\"200\","
      "grpc_response_status=\"\",response_flags=\"-\",connection_security_policy=\"unknown\"} "
      "1\n"));
}

TEST_F(StandardMetricsTest, ADestinationKnowsItsClientByItsCertificate) {
  mesh::Cluster own;
  own.name = "inbound|80||";
  own.service = std::make_shared<const ResourceRef>(
      ResourceRef{.kind = "Service", .namespace_name = "default", .name = "web", .file = {}});
  cluster_ = std::make_shared<const mesh::Cluster>(own);
  count(received(), &mutual);
  count(received());
  for (const char* label :
       {"reporter=\"destination\",source_workload=\"unknown\"",
        "source_workload_namespace=\"shop\"",
        "source_principal=\"spiffe://cluster.local/ns/shop/sa/cart\"",
        "source_canonical_revision=\"latest\"", "destination_workload=\"web-v1\"",
        "destination_service=\"web.default.svc.cluster.local\"", "destination_service_name=\"web\"",
        "connection_security_policy=\"mutual_tls\"", "connection_security_policy=\"none\""})
    EXPECT_TRUE(has(text(), label));
}

TEST_F(StandardMetricsTest, AServiceEntryIsCalledByItsHostAndNobodyKnowsItsWorkload) {
  cluster_ = service("ServiceEntry", "external", "default", "api.test");
  AccessRecord record = answered();
  record.upstream_host = at("9.9.9.9:443");
  count(record);
  for (const char* label :
       {"destination_service=\"api.test\"", "destination_service_name=\"api.test\"",
        "destination_workload=\"unknown\"", "destination_canonical_revision=\"latest\"",
        "destination_service_namespace=\"unknown\"", "destination_cluster=\"unknown\""})
    EXPECT_TRUE(has(text(), label));
}

TEST_F(StandardMetricsTest, WhatNobodyDeclaresIsCalledAsTheClientDid) {
  mesh::Cluster passthrough;
  passthrough.name = "PassthroughCluster";
  cluster_ = std::make_shared<const mesh::Cluster>(passthrough);
  AccessRecord record = answered();
  record.cluster = "PassthroughCluster";
  record.route_name = "allow_any";
  count(record);
  EXPECT_TRUE(has(text(), "destination_service=\"a.test\""));
  EXPECT_TRUE(has(text(), "destination_service_name=\"PassthroughCluster\""));
  cluster_ = nullptr;
  record.cluster = {};
  record.route_name = "block_all";
  count(record);
  EXPECT_TRUE(has(text(), "destination_service_name=\"BlackHoleCluster\""));
}

TEST_F(StandardMetricsTest, AGatewayDoesNotTakeAClientsWordForTheHost) {
  snapshot_.proxy.type = istio::Proxy::Type::router;
  cluster_ = nullptr;
  AccessRecord record = answered();
  record.cluster = {};
  count(record);
  EXPECT_TRUE(has(text(), "reporter=\"source\""));
  EXPECT_TRUE(has(text(), "destination_service=\"unknown\""));
}

TEST_F(StandardMetricsTest, HistogramsHaveEnvoysBuckets) {
  count(answered());  // 51.999 ms, 0 bytes received, 615 sent
  const auto all = text();
  EXPECT_TRUE(has(all, "# TYPE istio_request_duration_milliseconds histogram\n"));
  const auto line = [&](const std::string& metric, const std::string& le, const char* value) {
    const auto begin = all.find(metric + "_bucket{");
    const auto bucket = all.find("le=\"" + le + "\"} ", begin);
    return bucket != all.npos && all.substr(bucket + le.size() + 7, 2) == value + std::string("\n");
  };
  EXPECT_TRUE(line("istio_request_duration_milliseconds", "50", "0"));
  EXPECT_TRUE(line("istio_request_duration_milliseconds", "100", "1"));
  EXPECT_TRUE(line("istio_request_bytes", "0.5", "1"));
  EXPECT_TRUE(line("istio_response_bytes", "500", "0"));
  EXPECT_TRUE(line("istio_response_bytes", "1000", "1"));
  EXPECT_TRUE(line("istio_response_bytes", "3600000", "1"));
  EXPECT_TRUE(line("istio_response_bytes", "+Inf", "1"));
  EXPECT_TRUE(has(all, "connection_security_policy=\"unknown\"} 615\nistio_response_bytes_count{"));
}

TEST_F(StandardMetricsTest, AnOpaqueConnectionHasNeitherCodeNorHost) {
  const auto series = metrics().find_tcp(opaque(), {cluster_});
  series.opened->add(1);
  series.sent->add(100);
  const auto all = text();
  EXPECT_TRUE(has(all, "request_protocol=\"tcp\",response_flags=\"-\""));
  EXPECT_TRUE(has(all, "istio_tcp_sent_bytes_total{"));
  EXPECT_TRUE(has(all, "\"unknown\"} 100\n"));
  EXPECT_FALSE(has(all, "response_code"));
}

TEST_F(StandardMetricsTest, ASteadyRequestAllocatesNothing) {
  mesh::MetricTag tag{.name = "request_host", .expression = "request.host"};
  config_.client.metrics[static_cast<std::size_t>(istio::IstioMetric::request_count)].tags = {tag};
  const AccessRecord record = answered();
  StandardMetrics& all = metrics();
  all.count_request(record, {cluster_, &mutual});
  const auto before = test::allocations;
  for (int i = 0; i < 100; i++) {
    all.follow(snapshot_);
    all.count_request(record, {cluster_, &mutual});
  }
  EXPECT_EQ(test::allocations - before, 0u);
  EXPECT_TRUE(has(text(), "request_host=\"a.test\"} 101\n"));
}

TEST_F(StandardMetricsTest, AfterAChangeOfTheConfigurationCountsGoOn) {
  count(answered());
  snapshot_.version++;
  cluster_ = service("Service", "cart", "shop", "cart.shop.svc.cluster.local");
  count(answered());
  EXPECT_TRUE(has(text(), "connection_security_policy=\"unknown\"} 2\n"));
  EXPECT_EQ(series(), 4u);
}

TEST_F(StandardMetricsTest, WhatTheConfigurationTurnsOffIsNotCounted) {
  config_.client.metrics[static_cast<std::size_t>(istio::IstioMetric::request_size)].disabled =
      true;
  config_.server.enabled = false;
  count(answered());
  count(received());
  const auto all = text();
  EXPECT_TRUE(has(all, "istio_requests_total"));
  EXPECT_FALSE(has(all, "istio_request_bytes"));
  EXPECT_FALSE(has(all, "reporter=\"destination\""));
}

TEST_F(StandardMetricsTest, LabelsAreSetTakenAwayAndAdded) {
  auto& tags =
      config_.client.metrics[static_cast<std::size_t>(istio::IstioMetric::request_count)].tags;
  tags = {{.name = "destination_app", .expression = "'mine'"},
          {.name = "port", .expression = "string(destination.port)"},
          {.name = "response_flags", .remove = true, .expression = {}},
          {.name = "sni", .expression = "connection.requested_server_name"},
          {.name = "wrong", .expression = "no such thing"}};
  count(answered());
  auto all = text();
  all.resize(all.find("# TYPE istio_request_duration"));
  EXPECT_TRUE(has(all, "destination_app=\"mine\""));
  EXPECT_TRUE(has(all, ",port=\"80\""));
  EXPECT_TRUE(has(all, ",sni=\"unknown\""));
  EXPECT_FALSE(has(all, "response_flags"));
  EXPECT_FALSE(has(all, "wrong"));
  EXPECT_TRUE(has(text(), "response_flags"));  // of the other metrics
}

TEST(MetricTags, SayWhatTheyCannotBe) {
  EXPECT_EQ(tag_problem("request.host"), "");
  EXPECT_EQ(tag_problem("response.code >= 500"), "");
  EXPECT_TRUE(has(tag_problem("request.headers['x-a']"), "header fields"));
  EXPECT_TRUE(has(tag_problem("request.headers"), "a map"));
  EXPECT_NE(tag_problem("string(request.host"), "");
  EXPECT_NE(tag_problem("node.id"), "");
}

TEST_F(StandardMetricsTest, WhatFindsNoRoomIsCountedTogether) {
  SeriesStore store(8);  // of two requests
  StandardMetrics few(store);
  metrics();
  few.follow(snapshot_);
  AccessRecord record = answered();
  for (const int code : {200, 201, 202, 203, 203}) {
    record.response_code = code;
    few.count_request(record, {cluster_});
  }
  const auto all = series_text({&store});
  EXPECT_EQ(store.overflows.get(), 3u);
  EXPECT_TRUE(has(all, "response_code=\"201\""));
  EXPECT_FALSE(has(all, "response_code=\"202\""));
  EXPECT_TRUE(has(all, "destination_service=\"overflow\""));
  EXPECT_TRUE(has(all, "connection_security_policy=\"overflow\"} 3\n"));
  EXPECT_TRUE(has(all, "reporter=\"source\",source_workload=\"overflow\""));
}

TEST_F(StandardMetricsTest, WorkersAreSummedUp) {
  SeriesStore other;
  StandardMetrics second(other);
  count(answered());
  second.follow(snapshot_);
  second.count_request(answered(), {cluster_});
  EXPECT_TRUE(has(series_text({&store_, &other}), "connection_security_policy=\"unknown\"} 2\n"));
}

TEST_F(StandardMetricsTest, AHostThatIsNoTextBreaksNoLine) {
  cluster_ = nullptr;
  AccessRecord record = answered();
  record.cluster = {};
  record.authority = "a\"\n\\\xff";
  count(record);
  EXPECT_TRUE(has(text(), "destination_service=\"a\\\"_\\\\_\""));
}

TEST_F(StandardMetricsTest, EqualIdentitiesAreOneObject) {
  EXPECT_EQ(metrics_.intern(mutual), metrics_.intern(Principals(mutual)));
}

}  // namespace
}  // namespace sallyport::observe
