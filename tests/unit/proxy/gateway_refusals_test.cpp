// What a gateway does not take for a request: what its client is told, and what the log and the
// metrics are. Status, body, flags and details are Envoy's (measured with 1.40).
#include "tests/unit/proxy/gateway_fixture.h"
#include "tests/unit/sniff/hello_bytes.h"

namespace sallyport::proxy {
namespace {

class GatewayRefusals : public GatewayTest {
protected:
  GatewayRefusals() { log_format_ = default_with_reasons; }

  // All that the client gets.
  std::string answer_to(const std::string& bytes) {
    auto client = connect();
    client.send(bytes);
    return client.read_all();
  }

  static constexpr const char* default_with_reasons =
      "%REQ(:METHOD)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% "
      "[%CONNECTION_TERMINATION_DETAILS%] [%DOWNSTREAM_TRANSPORT_FAILURE_REASON%] "
      "%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME%\n";
};

bool is_bad_request(const std::string& answer) {
  return answer.starts_with("HTTP/1.1 400 Bad Request\r\n") &&
         has(answer, "connection: close\r\n") && answer.ends_with("\r\n\r\nBad Request");
}

TEST_F(GatewayRefusals, TlsOnAPortOfPlainHttpIsAnsweredBadRequestAndNamed) {
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()));
  const auto answer = answer_to(sniff::hello_for("a.com"));
  EXPECT_TRUE(is_bad_request(answer)) << answer;
  const auto log = log_text();
  EXPECT_TRUE(has(log, "- HTTP/1.1 400 DPE http1.codec_error ")) << log;
  EXPECT_TRUE(has(log, "TLS_on_a_port_that_serves_plain_HTTP")) << log;
  EXPECT_TRUE(has(log, " a.com\n")) << log;
  EXPECT_EQ(metrics_.protocol_errors.get(), 1u);
}

TEST_F(GatewayRefusals, Http2OnAPortOfPlainHttpIsAnsweredBadRequestAndNamed) {
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()));
  const auto answer = answer_to("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string(40, '\0'));
  EXPECT_TRUE(is_bad_request(answer)) << answer;
  const auto log = log_text();
  EXPECT_TRUE(has(log, "- HTTP/1.1 400 DPE http1.codec_error ")) << log;
  EXPECT_TRUE(has(log, "HTTP/2_is_not_read_yet")) << log;
}

TEST_F(GatewayRefusals, AMalformedRequestIsNotExplainedToOutsiders) {
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()));
  const std::string cases[] = {
      "GET / HTTP/1.1\r\nHost: a.com\r\nBad Name: x\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
      "G(T / HTTP/1.1\r\nHost: a.com\r\n\r\n",
  };
  for (const std::string& bytes : cases) {
    const auto answer = answer_to(bytes);
    EXPECT_TRUE(is_bad_request(answer)) << bytes << answer;
  }
  const auto large =
      answer_to("GET / HTTP/1.1\r\nHost: a.com\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n");
  EXPECT_TRUE(large.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n")) << large;
  EXPECT_TRUE(large.ends_with("\r\n\r\nRequest Header Fields Too Large")) << large;
}

TEST_F(GatewayRefusals, TheLogSaysWhatOutsidersAreNotTold) {
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()));
  answer_to("POST / HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n");
  const auto log = log_text();
  EXPECT_TRUE(has(log, "POST HTTP/1.1 400 DPE http1.codec_error [chunk_framing]")) << log;
}

TEST_F(GatewayRefusals, AClientBehindALoadBalancerIsLoggedByTheAddressThatIsTold) {
  istio::MeshConfig mesh;
  mesh.default_config.gateway_topology.proxy_protocol = true;
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()), mesh);
  const std::string header = "PROXY TCP4 203.0.113.7 198.51.100.1 4711 80\r\n";
  answer_to(header + sniff::hello_for("a.com"));
  answer_to(header + "G(T / HTTP/1.1\r\nHost: a.com\r\n\r\n");
  const auto log = log_text();
  EXPECT_TRUE(has(log, "] 203.0.113.7:4711 a.com\n")) << log;
  EXPECT_TRUE(has(log, "] 203.0.113.7:4711 -\n")) << log;
}

TEST_F(GatewayRefusals, AServerThatAGatewayClosesIsNamedWithItsReason) {
  serve(server("HTTPS", "a.com", "mode: SIMPLE, credentialName: elsewhere/a"),
        behind("a.com", http_to_app()));
  auto client = connect_by_tls("a.com");
  EXPECT_FALSE(client.handshake());
  const auto log = log_text();
  EXPECT_TRUE(has(log, " 0 NR filter_chain_not_found [credentialName_'elsewhere/a'")) << log;
}

TEST_F(GatewayRefusals, AMalformedRequestOverTlsKeepsItsServerNameInTheLog) {
  serve(server("HTTPS", "a.com", "mode: SIMPLE, credentialName: a"),
        behind("a.com", http_to_app()));
  give_secret("a", root_.issue({.common_name = "a", .dns = {"a.com"}}));
  auto client = connect_by_tls("a.com");
  ASSERT_TRUE(client.handshake());
  client.send("GET / HTTP/1.1\r\nHost: a.com\r\nBad Name: x\r\n\r\n");
  EXPECT_TRUE(client.read_head().starts_with("HTTP/1.1 400 Bad Request\r\n"));
  const auto log = log_text();
  EXPECT_TRUE(has(log, "- HTTP/1.1 400 DPE ")) << log;
  EXPECT_TRUE(has(log, " a.com\n")) << log;
}

TEST_F(GatewayRefusals, AnSniThatNobodyHasIsAFilterChainMissAndNoRequestWithoutARoute) {
  serve(server("HTTPS", "a.com", "mode: SIMPLE, credentialName: a"),
        behind("a.com", http_to_app()));
  auto client = connect_by_tls("b.com");
  EXPECT_FALSE(client.handshake());
  EXPECT_TRUE(has(log_text(), " 0 NR filter_chain_not_found "));
  EXPECT_EQ(metrics_.no_filter_chain_match.get(), 1u);
  EXPECT_EQ(metrics_.no_route.get(), 0u);
}

TEST_F(GatewayRefusals, ARequestWithoutARouteIsCountedOnce) {
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()));
  const auto answer = answer_to("GET / HTTP/1.1\r\nHost: b.com\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 404 Not Found\r\n")) << answer;
  log_text();
  EXPECT_EQ(metrics_.no_route.get(), 1u);
  EXPECT_EQ(metrics_.no_filter_chain_match.get(), 0u);
}

TEST_F(GatewayRefusals, ThePortsProxyHeaderThatIsMissingIsNamed) {
  istio::MeshConfig mesh;
  mesh.default_config.gateway_topology.proxy_protocol = true;
  serve(server("HTTP", "a.com"), behind("a.com", http_to_app()), mesh);
  answer_to("GET / HTTP/1.1\r\nHost: a.com\r\n\r\n");
  const auto log = log_text();
  EXPECT_TRUE(has(log, "[PROXY_protocol:")) << log;
}

}  // namespace
}  // namespace sallyport::proxy
