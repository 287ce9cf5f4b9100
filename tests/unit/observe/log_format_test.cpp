// Lines of the access log, to the letter as Envoy 1.40 wrote them with Istio's format.
#include <gtest/gtest.h>

#include "agent/observe/log_plan.h"
#include "tests/unit/observe/log_line.h"

namespace sallyport::observe {
namespace {

TEST(IstioFormat, OfAnAnsweredRequest) {
  EXPECT_EQ(
      line(answered()),
      "[2026-11-21T07:37:26.439Z] \"GET /up HTTP/1.1\" 200 - via_upstream - \"-\" 0 615 51 50 "
      "\"1.2.3.4\" \"curl \"q\" \\ \xc3\xa9\" \"586f6569-86b0-40dc-abbd-f4488efc6ce1\" "
      "\"a.test\" \"127.0.0.1:18081\" outbound|80||a.test 127.0.0.1:60970 [2001:db8::1]:80 "
      "1.2.3.4:5 - default\n");
}

TEST(IstioFormat, OfARefusedConnectPutsTheReasonIntoTheDetails) {
  AccessRecord r = answered();
  r.response_code = 503;
  r.flags = UF | URX;
  r.details = "upstream_reset_before_response_started{remote_connection_failure}";
  r.failure_reason = "delayed_connect_error: Connection refused";
  r.bytes_sent = 121;
  r.upstream_service_us = -1;
  r.forwarded_for = r.user_agent = "";
  r.upstream_local = {};
  EXPECT_EQ(
      line(r),
      "[2026-11-21T07:37:26.439Z] \"GET /up HTTP/1.1\" 503 URX,UF "
      "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:"
      "_Connection_refused} - \"delayed_connect_error:_Connection_refused\" 0 121 51 - \"-\" "
      "\"-\" \"586f6569-86b0-40dc-abbd-f4488efc6ce1\" \"a.test\" \"127.0.0.1:18081\" "
      "outbound|80||a.test - [2001:db8::1]:80 1.2.3.4:5 - default\n");
}

TEST(IstioFormat, OfAHeadThatWasRefused) {
  AccessRecord r;
  r.start_us = start;
  r.protocol = "HTTP/1.1";
  r.response_code = 400;
  r.flags = DPE;
  r.details = "http1.codec_error";
  r.bytes_sent = 11;
  r.downstream_local = at("127.0.0.1:18080");
  r.downstream_remote = at("127.0.0.1:46336");
  EXPECT_EQ(
      line(r),
      "[2026-11-21T07:37:26.439Z] \"- - HTTP/1.1\" 400 DPE http1.codec_error - \"-\" 0 11 0 - "
      "\"-\" \"-\" \"-\" \"-\" \"-\" - - 127.0.0.1:18080 127.0.0.1:46336 - -\n");
}

TEST(IstioFormat, OfAnOpaqueConnection) {
  AccessRecord r;
  r.http = false;
  r.start_us = start;
  r.duration_us = 1'000'000;
  r.flags = UF | URX;
  r.bytes_received = 10;
  r.bytes_sent = 20;
  r.upstream_host = at("10.0.0.7:443");
  r.downstream_local = at("10.0.0.7:443");
  r.downstream_remote = at("10.0.0.1:5");
  r.cluster = "PassthroughCluster";
  r.sni = "edition.cnn.com";
  EXPECT_EQ(
      line(r),
      "[2026-11-21T07:37:26.439Z] \"- - -\" 0 UF,URX - - \"-\" 10 20 1000 - \"-\" \"-\" \"-\" "
      "\"-\" \"10.0.0.7:443\" PassthroughCluster - 10.0.0.7:443 10.0.0.1:5 edition.cnn.com "
      "-\n");
}

TEST(IstioFormat, CannotBeBrokenByWhatAPeerSays) {
  AccessRecord r = answered();
  r.failure_reason = "certificate of \"x\n[2026-01-01\"\x7f";
  r.sni = "a\r\nb";
  const std::string text = line(r);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_NE(text.find("\"certificate_of_\"x_[2026-01-01\"_\""), text.npos) << text;
  EXPECT_NE(text.find(" a__b default\n"), text.npos) << text;
}

TEST(LogTime, IsMadeAnewForEachSecond) {
  LogTime time;
  const auto text = [&](int64_t us) {
    char room[LogTime::size_max];
    return std::string(room, time.write(room, us));
  };
  EXPECT_EQ(text(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(text(start), "2026-11-21T07:37:26.439Z");
  EXPECT_EQ(text(start + 560'000), "2026-11-21T07:37:26.999Z");
  EXPECT_EQ(text(start + 560'001), "2026-11-21T07:37:27.000Z");
  EXPECT_EQ(text(start), "2026-11-21T07:37:26.439Z");
}

struct FormatCase {
  const char* format;
  const char* expect;
};
class CustomFormat : public testing::TestWithParam<FormatCase> {};
TEST_P(CustomFormat, IsWritten) {
  EXPECT_EQ(line(answered(), GetParam().format), GetParam().expect) << GetParam().format;
}
const FormatCase formats[] = {
    {"%RESPONSE_CODE%", "200\n"},
    {"%RESPONSE_CODE%\n", "200\n"},
    {"100%% %PROTOCOL%", "100% HTTP/1.1\n"},
    {"%REQ(:method)% %REQ(:PATH)%", "GET /up\n"},
    {"%REQ(USER-AGENT):4%|", "curl|\n"},
    {"%START_TIME(%Y/%m/%d %H.%6f)%", "2026/11/21 07.439999\n"},
    {"%START_TIME(%s.%3f)% %START_TIME%", "1795246646.439 2026-11-21T07:37:26.439Z\n"},
    {"%START_TIME(%f)%", "439999000\n"},
    {"%UPSTREAM_HOST_WITHOUT_PORT%!", "127.0.0.1!\n"},
    {"%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_ADDRESS_PORT%", "127.0.0.1 18081\n"},
    {"%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "2001:db8::1\n"},
    {"%UPSTREAM_CLUSTER% %ROUTE_NAME%", "outbound|80||a.test default\n"},
};
INSTANTIATE_TEST_SUITE_P(Spec, CustomFormat, testing::ValuesIn(formats));

class BadFormat : public testing::TestWithParam<const char*> {};
TEST_P(BadFormat, IsRefusedWithTheOperatorsName) {
  const auto parsed = LogFormat::parse(GetParam());
  ASSERT_FALSE(parsed) << GetParam();
  const std::string text = GetParam();
  EXPECT_NE(parsed.error().context.find(text.substr(text.find('%'))), std::string::npos)
      << parsed.error().context;
}
INSTANTIATE_TEST_SUITE_P(
    Spec, BadFormat,
    testing::Values("a %NO_SUCH_THING%", "%PROTOCOL(x)%", "%PROTOCOL", "%REQ(:METHOD", "%",
                    "%PROTOCOL:3%", "%protocol%", "%REQ()%", "%REQ(?a)%", "%REQ(a?b?c)%",
                    "%START_TIME:4%", "%PATH(XQ)%", "%PATH(WQ:NONE)%", "%QUERY_PARAM()%",
                    "%ENVIRONMENT%", "%COMMON_DURATION(DS_RX_BEG:DS_TX_END)%",
                    "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:s)%", "%STREAM_ID(x)%",
                    "%GRPC_STATUS(UPPER)%", "%GRPC_STATUS_NUMBER(NUMBER)%", "%GRPC_STATUS:3%",
                    "%UPSTREAM_TLS_VERSION(x)%", "%UPSTREAM_PEER_SHOE%", "%UPSTREAM_REMOTE%",
                    "%UPSTREAM_WITHOUT_PORT%", "%HOSTNAME(x)%", "%RESPONSE_FLAGS(x)%",
                    "%REQ(:METHOD):0%", "%REQ(:METHOD):x%", "%START_TIME(%f%f%f%f%f)%"));

TEST(LogFormat, NeverWritesMoreThanItsBound) {
  AccessRecord r = answered();
  const std::string text(70'000, '\x01'), valid(70'000, 'x');
  r.path = r.failure_reason = r.cluster = text;
  r.details = "upstream_reset_before_response_started{x}";
  r.flags = ~0u;
  r.bytes_received = r.bytes_sent = r.connection_id = UINT64_MAX;
  r.attempts = UINT32_MAX;
  r.duration_us = r.upstream_service_us = r.request_us = INT64_MAX;
  r.more().request.keep("a", valid);
  r.more().response.keep("a", valid);
  r.more().upstream_tls.emplace().peer_certificate = valid;
  const char* formats[] = {LogFormat::istio,
                           "%REQ(:PATH)%%REQ(X?:PATH)%%UPSTREAM_CLUSTER%%UPSTREAM_CLUSTER_RAW%",
                           "%REQ(A)%%REQ(A)%%RESP(A?:STATUS)%%REQ(B?A)%%UPSTREAM_PEER_CERT%",
                           "%RESPONSE_FLAGS%%RESPONSE_FLAGS_LONG%%BYTES_SENT%%CONNECTION_ID%",
                           "%HOSTNAME%%HOSTNAME%%DURATION%%REQUEST_DURATION%%START_TIME(\"\")%"};
  for (const char* format : formats) {  // line_of checks
    EXPECT_FALSE(line(r, format).empty());
    EXPECT_FALSE(json_line(r, "{\"a\": \"" + json_text(format) + "\"}").starts_with("refused"));
  }
  EXPECT_FALSE(json_line(r).empty());
}

}  // namespace
}  // namespace sallyport::observe
