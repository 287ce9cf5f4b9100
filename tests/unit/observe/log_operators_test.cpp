// Each operator of istio-api.md 3.3: its text and its JSON, of a record that has everything and of
// one that has nothing.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/observe/log_line.h"

namespace sallyport::observe {
namespace {

TlsFacts tls_facts() {
  return {.version = "TLSv1.3",
          .cipher = "TLS_AES_128_GCM_SHA256",
          .session_id = "0a1b",
          .peer_uri_san = "spiffe://td/ns/a/sa/b",
          .peer_dns_san = "a.test,b.test",
          .peer_subject = "CN=a b",
          .peer_issuer = "CN=ca",
          .peer_serial = "1f",
          .peer_fingerprint_256 = "25",
          .peer_fingerprint_1 = "01",
          .peer_certificate = "-----BEGIN%20C",
          .local_uri_san = "spiffe://td/ns/l/sa/l",
          .local_dns_san = "l.test",
          .local_subject = "CN=l",
          .peer_valid_from = 0,
          .peer_valid_to = 86'400};
}

AccessRecord full() {
  AccessRecord r = answered();
  r.flags = UF | URX;
  r.termination_details = "connection closed";
  r.failure_reason = "connect: Connection refused";
  r.downstream_failure_reason = "TLS error";
  r.bytes_received = 7;
  r.request_us = 3'000;
  r.sni = "a.test";
  r.rewritten_path = "/down";
  r.filter_chain = "0.0.0.0_80";
  r.upstream_protocol = "HTTP/1.1";
  r.attempts = 3;
  r.connection_id = 2049;
  AccessExtras& more = r.more();
  more.request.keep("content-type", "application/grpc+proto");
  more.request.keep("cookie", "a=b; c=d");
  more.request.keep("x-empty", "");
  more.response.keep("server", "envoy");
  more.trailers.keep("grpc-status", "5");
  more.trailers.keep("grpc-message", "gone");
  more.upstream_tls = tls_facts();
  more.downstream_tls = tls_facts();
  more.downstream_tls->version = "TLSv1.2";
  return r;
}

AccessRecord empty() {
  AccessRecord r;
  r.http = false;
  return r;
}

struct Case {
  const char* format;
  const char* text;        // of the full record
  const char* json;        // of the same, alone in its string
  const char* empty_text;  // of the empty one
  const char* empty_json;
};
class Operator : public testing::TestWithParam<Case> {};

std::string json_of(const AccessRecord& record, const char* format) {
  return json_line(record, "{\"k\":\"" + std::string(format) + "\"}");
}

TEST_P(Operator, AsTextAndAsJson) {
  const Case& c = GetParam();
  EXPECT_EQ(line(full(), c.format), std::string(c.text) + "\n") << c.format;
  EXPECT_EQ(json_of(full(), c.format), "{\"k\":" + std::string(c.json) + "}\n") << c.format;
  EXPECT_EQ(line(empty(), c.format), std::string(c.empty_text) + "\n") << c.format;
  EXPECT_EQ(json_of(empty(), c.format), "{\"k\":" + std::string(c.empty_json) + "}\n") << c.format;
}

// A string operator without a value is "-" and null.
#define STRING(format, text) \
  { format, text, "\"" text "\"", "-", "null" }
// Numbers that Envoy always has.
#define NUMBER(format, text) \
  { format, text, text, "0", "0" }
#define TIMED(format, text) \
  { format, text, text, "-", "null" }

const Case general[] = {
    {"%START_TIME%", "2026-11-21T07:37:26.439Z", "\"2026-11-21T07:37:26.439Z\"",
     "1970-01-01T00:00:00.000Z", "\"1970-01-01T00:00:00.000Z\""},
    {"%START_TIME(%s.%6f)%", "1795246646.439999", "\"1795246646.439999\"", "0.000000",
     "\"0.000000\""},
    STRING("%PROTOCOL%", "HTTP/1.1"),
    STRING("%REQ(:METHOD)%", "GET"),
    STRING("%REQ(:PATH)%", "/down"),
    STRING("%REQ(X-ENVOY-ORIGINAL-PATH)%", "/up"),
    STRING("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/up"),
    STRING("%REQ(:SCHEME)%", "http"),
    STRING("%REQ(:AUTHORITY)%", "a.test"),
    STRING("%REQ(Host)%", "a.test"),
    STRING("%REQ(X-FORWARDED-FOR)%", "1.2.3.4"),
    STRING("%REQ(X-REQUEST-ID):8%", "586f6569"),
    STRING("%REQ(Cookie)%", "a=b; c=d"),
    STRING("%REQ(COOKIE):3%", "a=b"),
    STRING("%REQ(X-NONE?COOKIE)%", "a=b; c=d"),
    STRING("%REQ(X-NONE?:METHOD)%", "GET"),
    STRING("%REQ(:METHOD?COOKIE)%", "GET"),
    STRING("%REQ(X-EMPTY?COOKIE)%", ""),
    {"%REQ(X-NONE)%", "-", "null", "-", "null"},
    {"%REQ(X-NONE?X-NEITHER)%", "-", "null", "-", "null"},
    STRING("%RESP(SERVER)%", "envoy"),
    STRING("%RESP(SERVER?DATE):2%", "en"),
    STRING("%RESP(:STATUS)%", "200"),
    STRING("%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "50"),
    STRING("%RESP(X-NONE?X-ENVOY-UPSTREAM-SERVICE-TIME)%", "50"),
    STRING("%TRAILER(GRPC-MESSAGE)%", "gone"),
    STRING("%TRAILER(GRPC-MESSAGE):2%", "go"),
    NUMBER("%RESPONSE_CODE%", "200"),
    STRING("%RESPONSE_CODE_DETAILS%", "via_upstream"),
    {"%RESPONSE_FLAGS%", "URX,UF", "\"URX,UF\"", "-", "\"-\""},
    {"%RESPONSE_FLAGS_LONG%", "UpstreamRetryLimitExceeded,UpstreamConnectionFailure",
     "\"UpstreamRetryLimitExceeded,UpstreamConnectionFailure\"", "-", "\"-\""},
    STRING("%CONNECTION_TERMINATION_DETAILS%", "connection_closed"),
    STRING("%UPSTREAM_TRANSPORT_FAILURE_REASON%", "connect:_Connection_refused"),
    STRING("%DOWNSTREAM_TRANSPORT_FAILURE_REASON%", "TLS_error"),
    NUMBER("%BYTES_RECEIVED%", "7"),
    NUMBER("%BYTES_SENT%", "615"),
    NUMBER("%DURATION%", "51"),
    TIMED("%REQUEST_DURATION%", "3"),
    TIMED("%RESPONSE_DURATION%", "50"),
    STRING("%UPSTREAM_CLUSTER%", "outbound|80||a.test"),
    STRING("%UPSTREAM_CLUSTER_RAW%", "outbound|80||a.test"),
    STRING("%REQUESTED_SERVER_NAME%", "a.test"),
    STRING("%ROUTE_NAME%", "default"),
    STRING("%FILTER_CHAIN_NAME%", "0.0.0.0_80"),
    NUMBER("%CONNECTION_ID%", "2049"),
    STRING("%UPSTREAM_PROTOCOL%", "HTTP/1.1"),
    NUMBER("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "3"),
    STRING("%GRPC_STATUS%", "NotFound"),
    STRING("%GRPC_STATUS(CAMEL_STRING)%", "NotFound"),
    STRING("%GRPC_STATUS(SNAKE_STRING)%", "NOT_FOUND"),
    TIMED("%GRPC_STATUS(NUMBER)%", "5"),
    TIMED("%GRPC_STATUS_NUMBER%", "5"),
    {"%EMIT_TIME(%s.%3f)%", "1795246646.491", "\"1795246646.491\"", "0.000", "\"0.000\""},
    TIMED("%RESPONSE_TX_DURATION%", "1"),
    TIMED("%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%", "51999"),
    TIMED("%COMMON_DURATION(DS_RX_END:US_RX_BEG:ms)%", "47"),
    TIMED("%COMMON_DURATION(US_RX_BEG:DS_TX_END:ns)%", "1999000"),
    STRING("%STREAM_ID%", "586f6569-86b0-40dc-abbd-f4488efc6ce1"),
    {"%ACCESS_LOG_TYPE%", "DownstreamEnd", "\"DownstreamEnd\"", "TcpConnectionEnd",
     "\"TcpConnectionEnd\""},
    STRING("%PATH%", "/up"),
    STRING("%PATH(WQ:PATH)%", "/down"),
    STRING("%PATH(NQ:ORIG):2%", "/u"),
    STRING("%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/up"),
};
INSTANTIATE_TEST_SUITE_P(General, Operator, testing::ValuesIn(general));

const Case addresses[] = {
    STRING("%UPSTREAM_HOST%", "127.0.0.1:18081"),
    STRING("%UPSTREAM_HOST_WITHOUT_PORT%", "127.0.0.1"),
    TIMED("%UPSTREAM_HOST_PORT%", "18081"),
    STRING("%UPSTREAM_REMOTE_ADDRESS%", "127.0.0.1:18081"),
    STRING("%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "127.0.0.1"),
    TIMED("%UPSTREAM_REMOTE_PORT%", "18081"),
    TIMED("%UPSTREAM_REMOTE_ADDRESS_PORT%", "18081"),
    STRING("%UPSTREAM_LOCAL_ADDRESS%", "127.0.0.1:60970"),
    STRING("%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "127.0.0.1"),
    TIMED("%UPSTREAM_LOCAL_PORT%", "60970"),
    STRING("%DOWNSTREAM_LOCAL_ADDRESS%", "[2001:db8::1]:80"),
    STRING("%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "2001:db8::1"),
    TIMED("%DOWNSTREAM_LOCAL_PORT%", "80"),
    STRING("%DOWNSTREAM_REMOTE_ADDRESS%", "1.2.3.4:5"),
    STRING("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "1.2.3.4"),
    TIMED("%DOWNSTREAM_REMOTE_PORT%", "5"),
    STRING("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "4.3.2.1:6"),
    STRING("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "4.3.2.1"),
    TIMED("%DOWNSTREAM_DIRECT_REMOTE_PORT%", "6"),
};
INSTANTIATE_TEST_SUITE_P(Addresses, Operator, testing::ValuesIn(addresses));

const Case tls[] = {
    STRING("%UPSTREAM_TLS_VERSION%", "TLSv1.3"),
    STRING("%UPSTREAM_TLS_CIPHER%", "TLS_AES_128_GCM_SHA256"),
    STRING("%UPSTREAM_TLS_SESSION_ID%", "0a1b"),
    STRING("%UPSTREAM_PEER_URI_SAN%", "spiffe://td/ns/a/sa/b"),
    STRING("%UPSTREAM_PEER_DNS_SAN%", "a.test,b.test"),
    STRING("%UPSTREAM_PEER_SUBJECT%", "CN=a b"),
    STRING("%UPSTREAM_PEER_ISSUER%", "CN=ca"),
    STRING("%UPSTREAM_PEER_CERT%", "-----BEGIN%20C"),
    STRING("%UPSTREAM_LOCAL_URI_SAN%", "spiffe://td/ns/l/sa/l"),
    STRING("%UPSTREAM_LOCAL_DNS_SAN%", "l.test"),
    STRING("%UPSTREAM_LOCAL_SUBJECT%", "CN=l"),
    STRING("%DOWNSTREAM_TLS_VERSION%", "TLSv1.2"),
    STRING("%DOWNSTREAM_TLS_CIPHER%", "TLS_AES_128_GCM_SHA256"),
    STRING("%DOWNSTREAM_TLS_SESSION_ID%", "0a1b"),
    STRING("%DOWNSTREAM_PEER_URI_SAN%", "spiffe://td/ns/a/sa/b"),
    STRING("%DOWNSTREAM_PEER_DNS_SAN%", "a.test,b.test"),
    STRING("%DOWNSTREAM_PEER_SUBJECT%", "CN=a b"),
    STRING("%DOWNSTREAM_PEER_ISSUER%", "CN=ca"),
    STRING("%DOWNSTREAM_PEER_SERIAL%", "1f"),
    STRING("%DOWNSTREAM_PEER_FINGERPRINT_256%", "25"),
    STRING("%DOWNSTREAM_PEER_FINGERPRINT_1%", "01"),
    STRING("%DOWNSTREAM_PEER_CERT%", "-----BEGIN%20C"),
    STRING("%DOWNSTREAM_PEER_CERT_V_START%", "1970-01-01T00:00:00.000Z"),
    STRING("%DOWNSTREAM_PEER_CERT_V_END(%Y-%m-%d)%", "1970-01-02"),
    STRING("%DOWNSTREAM_LOCAL_URI_SAN%", "spiffe://td/ns/l/sa/l"),
    STRING("%DOWNSTREAM_LOCAL_DNS_SAN%", "l.test"),
    STRING("%DOWNSTREAM_LOCAL_SUBJECT%", "CN=l"),
};
INSTANTIATE_TEST_SUITE_P(Tls, Operator, testing::ValuesIn(tls));

TEST(OperatorUpstreamHost, IsAUnixSocketsPath) {
  AccessRecord r = full();
  r.upstream_host = *SocketAddress::unix_socket("/run/a.sock");
  EXPECT_EQ(line(r, "%UPSTREAM_HOST% %UPSTREAM_HOST_WITHOUT_PORT% %UPSTREAM_HOST_PORT%"),
            "/run/a.sock /run/a.sock -\n");
  EXPECT_EQ(json_of(r, "%UPSTREAM_HOST%"), "{\"k\":\"/run/a.sock\"}\n");
}

TEST(OperatorHostname, IsTheMachines) {
  char name[256];
  ASSERT_EQ(gethostname(name, sizeof name), 0);
  EXPECT_EQ(line(empty(), "a %HOSTNAME%,%HOSTNAME%."),
            "a " + std::string(name) + "," + name + ".\n");
  EXPECT_EQ(json_of(empty(), "%HOSTNAME%"), "{\"k\":\"" + std::string(name) + "\"}\n");
}

TEST(OperatorPath, WithoutARewriteIsOne) {
  AccessRecord r = full();
  r.rewritten_path = {};
  EXPECT_EQ(line(r, "%REQ(:PATH)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(X-ENVOY-ORIGINAL-PATH)%"),
            "/up /up -\n");
}

TEST(OperatorPath, WithoutItsQueryAndByParameter) {
  AccessRecord r = full();
  r.path = "/up?a=1&b=2?3";
  r.rewritten_path = "/down?b=4&c&b=5";
  EXPECT_EQ(line(r, "%PATH(NQ)% %PATH(NQ:PATH)% %PATH(:ORIG)% %REQ_WITHOUT_QUERY(:PATH):4%"),
            "/up /down /up?a=1&b=2?3 /dow\n");
  EXPECT_EQ(line(r, "%QUERY_PARAM(b)% %QUERY_PARAM(c)% %QUERY_PARAM(a)% %QUERY_PARAM(b):1%"),
            "4  - 4\n");
  EXPECT_EQ(json_of(r, "%PATH(NQ)%?%QUERY_PARAM(b)%"), "{\"k\":\"/up?4\"}\n");
}

TEST(OperatorEnvironment, IsReadWhenTheFormatIs) {
  ::setenv("SALLYPORT_LOG_TEST", "east\n1", 1);
  EXPECT_EQ(line(full(), "%ENVIRONMENT(SALLYPORT_LOG_TEST)% %ENVIRONMENT(SALLYPORT_LOG_TEST):3%"),
            "east_1 eas\n");
  ::unsetenv("SALLYPORT_LOG_TEST");
  EXPECT_EQ(line(full(), "%ENVIRONMENT(SALLYPORT_LOG_TEST)%"), "-\n");
  EXPECT_EQ(json_of(full(), "%ENVIRONMENT(SALLYPORT_LOG_TEST)%"), "{\"k\":null}\n");
}

TEST(OperatorUniqueId, IsAUuidOfTheLine) {
  const std::string both = line(full(), "%UNIQUE_ID% %UNIQUE_ID%");
  ASSERT_EQ(both.size(), 36u + 1 + 36 + 1) << both;
  EXPECT_NE(both.substr(0, 36), both.substr(37, 36));
  EXPECT_EQ(both[14], '4') << both;
  EXPECT_NE(std::string("89ab").find(both[19]), std::string::npos) << both;
}

// What Envoy knows and nobody can answer here must not cost a mesh its whole configuration.
TEST(OperatorNeverKnown, IsAbsentAndNamed) {
  const char* const format =
      "%TRACE_ID% %DYNAMIC_METADATA(a:b):4% %FILTER_STATE(x:PLAIN)% %METADATA(ROUTE:a:b)% "
      "%UPSTREAM_WIRE_BYTES_SENT% %ROUNDTRIP_DURATION% %COMMON_DURATION(US_CX_BEG:US_CX_END:ms)% "
      "%TRACE_ID%";
  EXPECT_EQ(line(full(), format), "- - - - - - - -\n");
  EXPECT_EQ(json_of(full(), "%FILTER_STATE(x)%"), "{\"k\":null}\n");
  EXPECT_EQ(LogFormat::parse(format)->never_known(),
            (std::vector<std::string>{"%TRACE_ID%", "%DYNAMIC_METADATA(a:b):4%",
                                      "%FILTER_STATE(x:PLAIN)%", "%METADATA(ROUTE:a:b)%",
                                      "%UPSTREAM_WIRE_BYTES_SENT%", "%ROUNDTRIP_DURATION%",
                                      "%COMMON_DURATION(US_CX_BEG:US_CX_END:ms)%"}));
  EXPECT_TRUE(LogFormat::parse("")->never_known().empty());
}

TEST(OperatorTls, IsEmptyOnPlaintext) {
  EXPECT_EQ(line(answered(), "%UPSTREAM_TLS_VERSION% %DOWNSTREAM_PEER_CERT_V_START%"), "- -\n");
}

TEST(OperatorTls, CannotBreakALine) {
  AccessRecord r = full();
  r.extras->upstream_tls->peer_subject = "CN=a\r\nb";
  EXPECT_EQ(line(r, "%UPSTREAM_PEER_SUBJECT%"), "CN=a__b\n");
}

struct GrpcCase {
  const char *name, *type, *trailer, *header;
  int code;
  const char* expect;
};
TEST(OperatorGrpcStatus, AsGrpcMapsIt) {
  const GrpcCase cases[] = {
      {"in the trailers", "application/grpc", "0", "13", 200, "OK"},
      {"in the headers of an answer without a body", "application/grpc", nullptr, "16", 200,
       "Unauthenticated"},
      {"from the status where no other is said", "application/grpc", nullptr, nullptr, 503,
       "Unavailable"},
      {"not found is not implemented", "application/grpc;x=y", nullptr, nullptr, 404,
       "Unimplemented"},
      {"a status of its own", "application/grpc", "99", nullptr, 200, "99"},
      {"no number", "application/grpc", "a", nullptr, 200, "-1"},
      {"grpc-web is something else", "application/grpc-web", "0", nullptr, 200, "-"},
      {"no gRPC", "text/html", "0", nullptr, 200, "-"},
      {"no answer", "application/grpc", nullptr, nullptr, 0, "-"},
  };
  for (const GrpcCase& c : cases) {
    AccessRecord r;
    r.response_code = c.code;
    r.more().request.keep("content-type", c.type);
    if (c.trailer) r.more().trailers.keep("grpc-status", c.trailer);
    if (c.header) r.more().response.keep("grpc-status", c.header);
    EXPECT_EQ(line(r, "%GRPC_STATUS%"), std::string(c.expect) + "\n") << c.name;
  }
}

TEST(Needs, AreWhatTheFormatAsksForBesidePlainFields) {
  const auto plain = LogFormat::parse("");
  EXPECT_TRUE(plain->needs().request_headers.empty() && plain->needs().response_headers.empty());
  EXPECT_FALSE(plain->needs().upstream_tls || plain->needs().downstream_tls);
  const auto parsed = LogFormat::parse(
      "%REQ(Cookie?X-A)%%REQ(COOKIE)%%REQ(:METHOD)%%RESP(Server)%%TRAILER(T)%%UPSTREAM_PEER_CERT%");
  ASSERT_TRUE(parsed);
  using Names = std::vector<std::string>;
  EXPECT_EQ(parsed->needs().request_headers, (Names{"cookie", "x-a"}));
  EXPECT_EQ(parsed->needs().response_headers, Names{"server"});
  EXPECT_EQ(parsed->needs().trailers, Names{"t"});
  EXPECT_TRUE(parsed->needs().upstream_tls);
  EXPECT_FALSE(parsed->needs().downstream_tls);
  EXPECT_TRUE(LogFormat::parse("%DOWNSTREAM_PEER_CERT_V_END%")->needs().downstream_tls);
}

}  // namespace
}  // namespace sallyport::observe
