// What goes on to the next hop, byte for byte. Measured at Envoy 1.40 as Istio sets it up.
#include <gtest/gtest.h>

#include "agent/http/message/normalize.h"
#include "agent/http/rewrite.h"

namespace sallyport::http {
namespace {

std::string joined(const Outgoing& out) {
  std::string text;
  for (std::size_t i = 0; i < out.count; i++)
    text.append(static_cast<const char*>(out.pieces[i].iov_base), out.pieces[i].iov_len);
  EXPECT_EQ(text.size(), out.bytes);
  return text;
}

constexpr std::string_view id = "586f6569-86b0-40dc-abbd-f4488efc6ce1";
const std::string added = "x-forwarded-proto: http\r\nx-request-id: " + std::string(id) +
                          "\r\nx-envoy-attempt-count: 1\r\n\r\n";

// Each is two pieces between runs of what stays.
TEST(ARequestFullOfForwardedCerts, FitsWhatGoesOut) {
  for (const std::size_t every : {std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
    std::string in = "GET / HTTP/1.1\r\nHost: a\r\n", values;
    for (std::size_t i = 1; i < limits::http_headers; i++) {
      const bool is_cert = i % every == 0;
      in += is_cert ? "X-Forwarded-Client-Cert: v\r\n" : "X-A: b\r\n";
      if (is_cert) values += "v,";
    }
    in += "\r\n";
    Head head;
    ASSERT_EQ(parse_request(in, head), Parse::done) << head.refuse_reason;
    ASSERT_EQ(head.count, limits::http_headers);
    Outgoing out;
    write_request(head, {.request_id = id, .forwarded_cert = "By=own"}, out);
    EXPECT_LT(out.count, Outgoing::pieces_max);
    EXPECT_NE(joined(out).find("x-forwarded-client-cert: " + values + "By=own\r\n"),
              std::string::npos);
  }
}

struct RequestCase {
  const char* name;
  std::string in;
  std::string expect;
  RequestAdds adds = {};
};
class RequestGoesOn : public testing::TestWithParam<RequestCase> {};
TEST_P(RequestGoesOn, As) {
  const auto& c = GetParam();
  Head head;
  ASSERT_EQ(parse_request(c.in, head), Parse::done) << c.name << ": " << head.refuse_reason;
  RequestAdds adds = c.adds;
  adds.request_id = id;
  Outgoing out;
  write_request(head, adds, out);
  EXPECT_EQ(joined(out), c.expect) << c.name;
}

const RequestCase requests[] = {
    {"as it came, with what a sidecar adds",
     "GET /a?b HTTP/1.1\r\nHOST: a.test\r\nX-Y:  1 \r\n\r\n",
     "GET /a?b HTTP/1.1\r\nHOST: a.test\r\nX-Y:  1 \r\n" + added},
    {"what is there is not added again",
     "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: abc\r\nX-Forwarded-Proto: https\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: abc\r\nX-Forwarded-Proto: https\r\n"
     "x-envoy-attempt-count: 1\r\n\r\n"},
    {"fields of the hop end here",
     "GET / HTTP/1.1\r\nConnection: close, X-Foo\r\nX-Foo: 1\r\nHost: a\r\nKeep-Alive: 4\r\n"
     "Accept: */*\r\nProxy-Connection: x\r\nx-envoy-retry-on: 5xx\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n" + added},
    {"metadata and decorators don't leave",
     "GET / HTTP/1.1\r\nHost: a\r\nx-envoy-peer-metadata: m\r\nx-envoy-peer-metadata-id: i\r\n"
     "x-envoy-decorator-operation: d\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a\r\n" + added},
    {"TE keeps trailers only", "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a\r\nte: trailers\r\n" + added},
    {"the body's framing stays", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + added},
    {"the expectation is passed on", "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
     "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + added},
    {"HTTP/1.0 becomes 1.1",
     "GET /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n",
     "GET /x HTTP/1.1\r\nHost: a\r\n" + added},
    {"HTTP/1.0 without Host gets the dialled one",
     "GET /x HTTP/1.0\r\n\r\n",
     "GET /x HTTP/1.1\r\nhost: 10.0.0.7:80\r\n" + added,
     {.host = "10.0.0.7:80"}},
    {"absolute-form becomes origin-form",
     "GET http://a.test:81/x?y HTTP/1.1\r\nHost: a.test:81\r\n\r\n",
     "GET /x?y HTTP/1.1\r\nHost: a.test:81\r\n" + added},
    {"absolute-form without a path", "GET http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a.test\r\n" + added},
    {"absolute-form of HTTP/1.0 names the host",
     "GET http://a.test/x HTTP/1.0\r\n\r\n",
     "GET /x HTTP/1.1\r\nhost: a.test\r\n" + added,
     {.host = "10.0.0.7:80"}},
    {"empty lines before it are dropped", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a\r\n" + added},
    {"an upgrade that is granted",
     "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
     "Sec-WebSocket-Version: 13\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 13\r\nconnection: Upgrade\r\n"
     "upgrade: websocket\r\n" +
         added,
     {.upgrade = true}},
    {"an upgrade that is not",
     "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
     "HTTP2-Settings: AAA\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a\r\n" + added},
    {"a later try of a request with a timeout",
     "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a\r\nx-forwarded-proto: https\r\nx-request-id: " + std::string(id) +
         "\r\nx-envoy-expected-rq-timeout-ms: 500\r\nx-envoy-attempt-count: 3\r\n\r\n",
     {.scheme = "https", .attempt = 3, .expected_timeout_ms = 500}},
};
INSTANTIATE_TEST_SUITE_P(Spec, RequestGoesOn, testing::ValuesIn(requests));

TEST(NormalizedRequest, GoesOnWithThePathThatRulesSaw) {
  std::string in = "GET /a/../%62?c=%64 HTTP/1.1\r\nHost: a\r\n\r\n";
  Head head;
  ASSERT_EQ(parse_request(in, head), Parse::done);
  ASSERT_TRUE(normalize_path(head, in.data(), {}));
  RequestAdds adds;
  adds.request_id = id;
  Outgoing out;
  write_request(head, adds, out);
  EXPECT_EQ(joined(out), "GET /b?c=%64 HTTP/1.1\r\nHost: a\r\n" + added);
}

TEST(RequestGoesOn, AsTwoPiecesWhenNothingIsDropped) {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
  Head head;
  ASSERT_EQ(parse_request(text, head), Parse::done);
  Outgoing out;
  write_request(head, {.request_id = id}, out);
  EXPECT_EQ(out.count, 2u);
  EXPECT_EQ(out.pieces[0].iov_base, text.data());
}

TEST(RequestGoesOn, WithinItsPiecesWhateverIsDropped) {
  std::string text = "\r\nGET http://a/ HTTP/1.0\r\n";
  for (std::size_t i = 0; i < limits::http_headers / 2 - 1; i++)
    text += "Keep-Alive: 1\r\nX: 2\r\n";
  text += "Upgrade: " + std::string(100, 'u') + "\r\nTE: trailers\r\n\r\n";
  Head head;
  ASSERT_EQ(parse_request(text, head), Parse::done) << head.refuse_reason;
  const std::string long_id(100, 'i');
  Outgoing out;
  write_request(head,
                {.request_id = long_id,
                 .attempt = UINT32_MAX,
                 .expected_timeout_ms = INT64_MAX,
                 .upgrade = true},
                out);
  EXPECT_LT(out.count, Outgoing::pieces_max - 8);  // room for a body behind it
  const std::string result = joined(out);
  EXPECT_TRUE(result.starts_with("GET / HTTP/1.1\r\nX: 2\r\n"));
  EXPECT_TRUE(result.ends_with("x-envoy-attempt-count: 4294967295\r\n\r\n"));
}

struct ResponseCase {
  const char* name;
  std::string in;
  std::string expect;
  ResponseAdds adds = {};
};
class ResponseGoesOn : public testing::TestWithParam<ResponseCase> {};
TEST_P(ResponseGoesOn, As) {
  const auto& c = GetParam();
  Head head;
  ASSERT_EQ(parse_response(c.in, head), Parse::done) << c.name;
  Outgoing out;
  write_response(head, c.adds, out);
  EXPECT_EQ(joined(out), c.expect) << c.name;
}

constexpr std::string_view date = "Sat, 21 Nov 2026 07:37:26 GMT";
const std::string dated = "date: " + std::string(date) + "\r\n";
const ResponseCase responses[] = {
    {"with what a sidecar adds",
     "HTTP/1.1 200 Fine\r\nServer: nginx\r\nContent-Length: 2\r\n\r\n",
     "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nx-envoy-upstream-service-time: 50\r\n" + dated +
         "server: envoy\r\n\r\n",
     {.date = date, .service_time_ms = 50}},
    {"the upstream's date stays",
     "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\n",
     "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\nserver: envoy\r\n\r\n",
     {.date = date}},
    {"the upstream's server stays when told so",
     "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\n\r\n",
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nserver: nginx\r\n\r\n",
     {.server = ""}},
    {"fields of the hop end here",
     "HTTP/1.1 200 OK\r\nConnection: keep-alive, x-foo\r\nX-Foo: 1\r\nKeep-Alive: timeout=5\r\n"
     "Content-Length: 2\r\nx-envoy-upstream-service-time: 99\r\nUpgrade: h2\r\n\r\n",
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nserver: envoy\r\n\r\n"},
    {"an HTTP/1.0 upstream", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nserver: envoy\r\n\r\n"},
    {"an HTTP/1.0 client that keeps the connection",
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
     "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nserver: envoy\r\nconnection: keep-alive\r\n\r\n",
     {.client_minor = 0}},
    {"an HTTP/1.0 client that doesn't",
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
     "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nserver: envoy\r\nconnection: close\r\n\r\n",
     {.client_minor = 0, .keep = false}},
    {"chunks for an HTTP/1.0 client",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: t\r\n\r\n",
     "HTTP/1.0 200 OK\r\nTrailer: t\r\nserver: envoy\r\nconnection: close\r\n\r\n",
     {.client_minor = 0, .keep = false, .framing = Framing::dechunked}},
    {"chunks go on as they are", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nserver: envoy\r\n\r\n"},
    {"the connection's end is the body's end",
     "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
     "HTTP/1.1 200 OK\r\nserver: envoy\r\nconnection: close\r\n\r\n",
     {.keep = false, .framing = Framing::until_close}},
    {"204 speaks of no body", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nX: 1\r\n\r\n",
     "HTTP/1.1 204 No Content\r\nX: 1\r\nserver: envoy\r\n\r\n"},
    {"304 tells the length of the 200", "HTTP/1.1 304 Not Modified\r\nContent-Length: 55\r\n\r\n",
     "HTTP/1.1 304 Not Modified\r\nContent-Length: 55\r\nserver: envoy\r\n\r\n"},
    {"interim answers get nothing added",
     "HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
     "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
     {.date = date, .service_time_ms = 1}},
    {"a switch of protocols",
     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Accept: x\r\n\r\n",
     "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n" + dated +
         "server: envoy\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n",
     {.date = date}},
};
INSTANTIATE_TEST_SUITE_P(Spec, ResponseGoesOn, testing::ValuesIn(responses));

TEST(Framing, IsDecidedByBodyAndClient) {
  const auto framing = [](const std::string& text, uint8_t minor) {
    Head head;
    EXPECT_EQ(parse_response(text, head), Parse::done);
    return framing_of(head, Body::of_response(head, "GET"), minor);
  };
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(framing(chunked, 1), Framing::as_is);
  EXPECT_EQ(framing(chunked, 0), Framing::dechunked);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\n\r\n", 1), Framing::until_close);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\n\r\n", 0), Framing::until_close);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", 0), Framing::as_is);
}

}  // namespace
}  // namespace sallyport::http
