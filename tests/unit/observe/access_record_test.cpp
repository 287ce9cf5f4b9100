// Errors as Envoy tells them: flag, status, detail; and the metrics' names.
#include "agent/observe/access_record.h"

#include <gtest/gtest.h>

#include "agent/observe/metrics.h"

namespace sallyport::observe {
namespace {

struct Case {
  const char* name;
  Fault fault;
  Side side;
  bool retryable;
  uint32_t flag;
  int status;
  const char* details;
};
class ErrorAsEnvoyTellsIt : public testing::TestWithParam<Case> {};
TEST_P(ErrorAsEnvoyTellsIt, FlagStatusDetail) {
  const Case& c = GetParam();
  const Error error{c.fault, c.side, c.retryable};
  EXPECT_EQ(flag_of(error), c.flag) << c.name;
  EXPECT_EQ(status_of(error), c.status) << c.name;
  EXPECT_EQ(details_of(error), c.details) << c.name;
}

constexpr char unconnected[] = "upstream_reset_before_response_started{remote_connection_failure}";
const Case cases[] = {
    {"connect refused", Fault::refused, Side::upstream, true, UF, 503, unconnected},
    {"connect timed out", Fault::timed_out, Side::upstream, true, UF, 503,
     "upstream_reset_before_response_started{connection_timeout}"},
    {"request timed out", Fault::timed_out, Side::upstream, false, UT, 504, "response_timeout"},
    {"route's time is over", Fault::timed_out, Side::local, false, UT, 504, "response_timeout"},
    {"handshake failed", Fault::tls_handshake, Side::upstream, true, UF, 503, unconnected},
    {"certificate refused", Fault::tls_verify, Side::upstream, true, UF, 503, unconnected},
    {"secret is missing", Fault::missing_secret, Side::local, false, UF, 503, unconnected},
    {"dynamic DNS found no address", Fault::unresolved, Side::upstream, false, DF, 503,
     "dns_resolution_failure"},
    {"upstream closed", Fault::reset, Side::upstream, false, UC, 503,
     "upstream_reset_before_response_started{connection_termination}"},
    {"upstream spoke no HTTP", Fault::protocol, Side::upstream, false, UPE, 502,
     "upstream_reset_before_response_started{protocol_error}"},
    {"pool is full", Fault::overflow, Side::upstream, false, UO, 503,
     "upstream_reset_before_response_started{overflow}"},
    {"no descriptors for a connect", Fault::internal, Side::upstream, false, UF, 503,
     "upstream_reset_before_response_started{local_connection_failure}"},
    {"nobody to send to", Fault::no_endpoint, Side::upstream, false, UH, 503,
     "no_healthy_upstream"},
    {"no route", Fault::no_route, Side::local, false, NR, 404, "route_not_found"},
    {"no cluster", Fault::no_cluster, Side::local, false, NC, 503, "cluster_not_found"},
    {"a broken rule closes the cluster", Fault::denied, Side::local, false, UH, 503,
     "no_healthy_upstream"},
    {"client left", Fault::reset, Side::downstream, false, DC, 0, "downstream_remote_disconnect"},
    {"client's handshake failed", Fault::tls_handshake, Side::downstream, false, DC, 0,
     "downstream_remote_disconnect"},
    {"client is silent", Fault::timed_out, Side::downstream, false, SI, 408, "stream_idle_timeout"},
    {"client broke the protocol", Fault::protocol, Side::downstream, false, DPE, 400,
     "http1.codec_error"},
    {"client's head is too large", Fault::overflow, Side::downstream, false, DPE, 431,
     "http1.headers_too_large"},
    {"a bug of ours", Fault::internal, Side::local, false, LR, 503,
     "upstream_reset_before_response_started{local_reset}"},
};
INSTANTIATE_TEST_SUITE_P(Spec, ErrorAsEnvoyTellsIt, testing::ValuesIn(cases));

std::string flags(uint32_t bits, bool http = true) {
  char room[flags_max];
  return std::string(room, write_flags(room, bits, http));
}
std::string long_flags(uint32_t bits, bool http = true) {
  char room[long_flags_max];
  return std::string(room, write_long_flags(room, bits, http));
}

TEST(Flags, AreJoinedInEnvoysOrder) {
  EXPECT_EQ(flags(no_flag), "-");
  EXPECT_EQ(flags(UF), "UF");
  EXPECT_EQ(flags(UF | URX), "URX,UF");
  EXPECT_EQ(flags(UF | URX, false), "UF,URX");
  EXPECT_EQ(flags(DI | FI), "DI,FI");
  EXPECT_EQ(flags(~0u),
            "DI,URX,UH,UF,UO,NR,NC,UT,UC,UR,LR,DC,DR,DT,UMSDR,SI,DPE,UPE,IH,LH,FI,RL,RLSE,UAEX,DF,"
            "OM,DO,RFCF,NFCF");
}

struct FlagCase {
  uint32_t flag;
  const char *name, *long_name;
};
const FlagCase flag_cases[] = {{UH, "UH", "NoHealthyUpstream"},
                               {UF, "UF", "UpstreamConnectionFailure"},
                               {UO, "UO", "UpstreamOverflow"},
                               {NR, "NR", "NoRouteFound"},
                               {NC, "NC", "NoClusterFound"},
                               {URX, "URX", "UpstreamRetryLimitExceeded"},
                               {UT, "UT", "UpstreamRequestTimeout"},
                               {UC, "UC", "UpstreamConnectionTermination"},
                               {UR, "UR", "UpstreamRemoteReset"},
                               {LR, "LR", "LocalReset"},
                               {DC, "DC", "DownstreamConnectionTermination"},
                               {DR, "DR", "DownstreamRemoteReset"},
                               {DT, "DT", "DurationTimeout"},
                               {UMSDR, "UMSDR", "UpstreamMaxStreamDurationReached"},
                               {SI, "SI", "StreamIdleTimeout"},
                               {DPE, "DPE", "DownstreamProtocolError"},
                               {UPE, "UPE", "UpstreamProtocolError"},
                               {LH, "LH", "FailedLocalHealthCheck"},
                               {DI, "DI", "DelayInjected"},
                               {FI, "FI", "FaultInjected"},
                               {RL, "RL", "RateLimited"},
                               {RLSE, "RLSE", "RateLimitServiceError"},
                               {UAEX, "UAEX", "UnauthorizedExternalService"},
                               {IH, "IH", "InvalidEnvoyRequestHeaders"},
                               {DF, "DF", "DnsResolutionFailed"},
                               {OM, "OM", "OverloadManagerTerminated"},
                               {DO, "DO", "DropOverload"},
                               {RFCF, "RFCF", "ResponseFromCacheFilter"},
                               {NFCF, "NFCF", "NoFilterConfigFound"}};
TEST(Flags, HaveEnvoysNames) {
  for (const FlagCase& c : flag_cases) {
    EXPECT_EQ(flags(c.flag), c.name);
    EXPECT_EQ(long_flags(c.flag), c.long_name);
  }
  EXPECT_EQ(long_flags(no_flag), "-");
  EXPECT_EQ(long_flags(UF | URX, false), "UpstreamConnectionFailure,UpstreamRetryLimitExceeded");
}

TEST(Metrics, CountAnEndOnce) {
  WorkerMetrics metrics;
  AccessRecord record;
  record.bytes_received = 3;
  record.bytes_sent = 5;
  for (int code : {0, 101, 200, 204, 301, 404, 503, 799}) {
    record.response_code = code;
    record.flags = code == 404 ? NR : no_flag;
    metrics.count_end(record);
  }
  record.http = false;
  metrics.count_end(record);
  const uint64_t expect[] = {2, 1, 2, 1, 1, 1};
  for (int i = 0; i < 6; i++) EXPECT_EQ(metrics.downstream_rq_by_class[i].get(), expect[i]) << i;
  EXPECT_EQ(metrics.downstream_cx_rx_bytes.get(), 27u);
  EXPECT_EQ(metrics.downstream_cx_tx_bytes.get(), 45u);
  EXPECT_EQ(metrics.no_route.get(), 1u);
}

TEST(Metrics, AreSummedOverWorkers) {
  WorkerMetrics a, b;
  a.downstream_rq_total.add(3);
  b.downstream_rq_total.add(4);
  a.upstream_cx_active.add(2);
  b.upstream_cx_active.sub(1);  // opened on a, counted off on b
  b.downstream_rq_by_class[5].add(9);
  const std::string text = prometheus_text({&a, &b});
  const auto has = [&](std::string_view part) {
    EXPECT_NE(text.find(part), text.npos) << part << "\n" << text;
  };
  has("# TYPE envoy_http_downstream_rq_total counter\nenvoy_http_downstream_rq_total{} 7\n");
  has("# TYPE envoy_cluster_upstream_cx_active gauge\nenvoy_cluster_upstream_cx_active{} 1\n");
  has("envoy_http_downstream_rq_xx{envoy_response_code_class=\"5\"} 9\n");
}

TEST(Metrics, EveryLineIsPrometheusText) {
  WorkerMetrics metrics;
  std::istringstream lines(prometheus_text({&metrics}));
  for (std::string text; std::getline(lines, text);) {
    if (text.starts_with("# TYPE ")) continue;
    const auto brace = text.find('{'), close = text.find("} ");
    ASSERT_NE(close, text.npos) << text;
    EXPECT_EQ(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), brace) << text;
    EXPECT_EQ(text.substr(close + 2), "0") << text;
  }
}

}  // namespace
}  // namespace sallyport::observe
