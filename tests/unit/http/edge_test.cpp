// What a gateway does to a request from outside (istio-api.md 2.14, 3.5; Envoy's
// ConnectionManagerUtility::mutateRequestHeaders with use_remote_address).
#include "agent/http/edge.h"

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

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

struct TrustedCase {
  const char* rule;
  std::string fields;
  uint32_t trusted_proxies;
  const char* client;
};
void PrintTo(const TrustedCase& c, std::ostream* out) { *out << c.rule; }
class TrustedClient : public testing::TestWithParam<TrustedCase> {};
TEST_P(TrustedClient, Is) {
  const auto& c = GetParam();
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n" + c.fields + "\r\n";
  Head head;
  ASSERT_EQ(parse_request(text, head), Parse::done) << head.refuse_reason;
  EXPECT_EQ(trusted_client(head, c.trusted_proxies, ip("192.0.2.1")).text(), c.client) << c.rule;
}

const std::string three = "X-Forwarded-For: 1.1.1.1, 2.2.2.2,3.3.3.3\r\n";
const std::string peer = "192.0.2.1";
INSTANTIATE_TEST_SUITE_P(
    Spec, TrustedClient,
    testing::Values(
        TrustedCase{"the peer where no proxy is trusted", three, 0, "192.0.2.1"},
        TrustedCase{"what the one trusted proxy has seen", three, 1, "3.3.3.3"},
        TrustedCase{"what the first of two has seen", three, 2, "2.2.2.2"},
        TrustedCase{"the list's first", three, 3, "1.1.1.1"},
        TrustedCase{"the peer where the list is too short", three, 4, "192.0.2.1"},
        TrustedCase{"the peer however many are trusted", three, UINT32_MAX, "192.0.2.1"},
        TrustedCase{"the peer where nothing came", "", 1, "192.0.2.1"},
        TrustedCase{"the peer where an empty field came", "X-Forwarded-For:\r\n", 1, "192.0.2.1"},
        TrustedCase{"counted over all fields",
                    "x-forwarded-for: 1.1.1.1,2.2.2.2\r\nX-A: b\r\nX-FORWARDED-FOR: 3.3.3.3\r\n", 2,
                    "2.2.2.2"},
        TrustedCase{"an empty field is not counted",
                    "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: \r\n", 1, "1.1.1.1"},
        TrustedCase{"an empty item is counted", "X-Forwarded-For: 1.1.1.1,,2.2.2.2\r\n", 3,
                    "1.1.1.1"},
        TrustedCase{"an item of a lone comma is two",
                    "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: ,\r\n", 3, "1.1.1.1"},
        TrustedCase{"the peer where that place is empty", "X-Forwarded-For: 1.1.1.1,\r\n", 1,
                    "192.0.2.1"},
        TrustedCase{"the peer where that place holds a name",
                    "X-Forwarded-For: 1.1.1.1, unknown\r\n", 1, "192.0.2.1"},
        TrustedCase{"the peer where that place holds a port", "X-Forwarded-For: 1.1.1.1:80\r\n", 1,
                    "192.0.2.1"},
        TrustedCase{"blanks around it", "X-Forwarded-For: 9.9.9.9,\t 1.1.1.1 \t,2.2.2.2\r\n", 2,
                    "1.1.1.1"},
        TrustedCase{"IPv6", "X-Forwarded-For: 2001:DB8::1\r\n", 1, "2001:db8::1"},
        TrustedCase{"a long list", "X-Forwarded-For: 1.1.1.1" + std::string(60'000, ',') + "\r\n",
                    60'001, "1.1.1.1"}));

struct EdgeCase {
  const char* rule;
  std::string fields;
  std::string expect;  // between Host and what ends every request
  Edge edge = {};
  std::string_view forwarded_cert = {};
  ForwardClientCert mode = ForwardClientCert::sanitize_set;
};
void PrintTo(const EdgeCase& c, std::ostream* out) { *out << c.rule; }
class RequestFromOutside : public testing::TestWithParam<EdgeCase> {
protected:
  void SetUp() override {
    edge = GetParam().edge;
    if (!edge.peer.is_set()) edge.peer = edge.client = ip(peer);
    adds.request_id = "our-id";
    adds.scheme = "https";
    adds.forwarded_cert = GetParam().forwarded_cert;
    adds.forward_client_cert = GetParam().mode;
    adds.edge = &edge;
    text = "GET / HTTP/1.1\r\nHost: a\r\n" + GetParam().fields + "\r\n";
    ASSERT_EQ(parse_request(text, head), Parse::done) << head.refuse_reason;
  }
  std::string text;
  Head head;
  Outgoing out;
  Edge edge;
  RequestAdds adds;
};
TEST_P(RequestFromOutside, GoesOnAs) {
  write_request(head, adds, out);
  EXPECT_EQ(joined(out), "GET / HTTP/1.1\r\nHost: a\r\n" + GetParam().expect +
                             "x-envoy-attempt-count: 1\r\n\r\n");
}
// In two steps, for rules that look between them.
TEST_P(RequestFromOutside, GoesOnAsTheSameWhenItIsAdmittedFirst) {
  admit_request(head, adds, out);
  const std::string admitted = joined(out);
  ASSERT_EQ(parse_request(admitted, head), Parse::done) << head.refuse_reason;
  EXPECT_FALSE(head.asks_envoy);
  adds.edge = nullptr;
  adds.forward_client_cert = ForwardClientCert::always_forward_only;
  adds.request_id = "another";
  write_request(head, adds, out);
  EXPECT_EQ(joined(out), "GET / HTTP/1.1\r\nHost: a\r\n" + GetParam().expect +
                             "x-envoy-attempt-count: 1\r\n\r\n");
}

const std::string from_peer = "x-forwarded-for: 192.0.2.1\r\n";
const std::string secure = "x-forwarded-proto: https\r\n";
const std::string external = "x-envoy-external-address: 192.0.2.1\r\n";
const std::string named = "x-request-id: our-id\r\n";
const std::string rest = secure + external + named;

INSTANTIATE_TEST_SUITE_P(
    XForwardedFor, RequestFromOutside,
    testing::Values(
        EdgeCase{"says who the client is", "", from_peer + rest},
        EdgeCase{"the peer is appended", "X-Forwarded-For: 1.1.1.1, x\r\nX-A: b\r\n",
                 "X-A: b\r\nx-forwarded-for: 1.1.1.1, x,192.0.2.1\r\n" + rest},
        EdgeCase{"several fields become one",
                 "X-Forwarded-For: 1.1.1.1\r\nX-A: b\r\nx-forwarded-for:\r\n"
                 "x-forwarded-for: 2.2.2.2\r\n",
                 "X-A: b\r\nx-forwarded-for: 1.1.1.1,2.2.2.2,192.0.2.1\r\n" + rest},
        EdgeCase{"IPv6",
                 "X-Forwarded-For: 1.1.1.1\r\n",
                 "x-forwarded-for: 1.1.1.1,2001:db8::1\r\n" + secure +
                     "x-envoy-external-address: 2001:db8::1\r\n" + named,
                 {.peer = ip("2001:db8::1"), .client = ip("2001:db8::1")}},
        EdgeCase{"our own address for a loopback peer",
                 "",
                 "x-forwarded-for: 10.0.0.9\r\n" + secure +
                     "x-envoy-external-address: 127.0.0.1\r\n" + named,
                 {.peer = ip("127.0.0.1"), .own = ip("10.0.0.9"), .client = ip("127.0.0.1")}},
        EdgeCase{"nothing for a loopback peer where we have none",
                 "X-Forwarded-For: 1.1.1.1\r\n",
                 "x-forwarded-for: 1.1.1.1\r\n" + secure + named,
                 {.peer = ip("::1")}},
        EdgeCase{"the client that a trusted proxy named",
                 "X-Forwarded-For: 1.1.1.1\r\n",
                 "x-forwarded-for: 1.1.1.1,192.0.2.1\r\n" + secure +
                     "x-envoy-external-address: 1.1.1.1\r\n" + named,
                 {.peer = ip(peer), .client = ip("1.1.1.1"), .trusted_proxies = 1}}));

const Edge behind_a_proxy{.peer = ip(peer), .own = {}, .client = ip(peer), .trusted_proxies = 1};
INSTANTIATE_TEST_SUITE_P(
    OtherFields, RequestFromOutside,
    testing::Values(
        EdgeCase{"a client's scheme is not believed",
                 "X-Forwarded-Proto: http\r\nx-forwarded-proto: ftp\r\n", from_peer + rest},
        EdgeCase{"a trusted proxy's scheme is", "X-Forwarded-Proto: http\r\n",
                 "X-Forwarded-Proto: http\r\n" + from_peer + external + named, behind_a_proxy},
        EdgeCase{"a trusted proxy that says none", "", from_peer + rest, behind_a_proxy},
        EdgeCase{"a client doesn't name its request", "X-Request-Id: a\r\nx-request-id: b\r\n",
                 from_peer + rest},
        EdgeCase{"nor itself", "x-envoy-external-address: 1.1.1.1\r\n", from_peer + rest},
        EdgeCase{"what only the mesh may say",
                 "x-envoy-internal: true\r\nx-envoy-decorator-operation: d\r\n"
                 "x-envoy-downstream-service-cluster: c\r\nX-Envoy-Downstream-Service-Node: n\r\n"
                 "x-envoy-original-path: /p\r\nx-envoy-peer-metadata-id: i\r\n",
                 from_peer + rest},
        EdgeCase{
            "how it is delivered",
            "x-envoy-retry-on: 5xx\r\nx-envoy-retry-grpc-on: cancelled\r\n"
            "x-envoy-max-retries: 9\r\nx-envoy-retriable-status-codes: 409\r\n"
            "x-envoy-retriable-header-names: x\r\nx-envoy-upstream-alt-stat-name: s\r\n"
            "x-envoy-upstream-rq-timeout-ms: 9\r\nx-envoy-upstream-rq-per-try-timeout-ms: 9\r\n"
            "x-envoy-upstream-rq-timeout-alt-response: 1\r\n"
            "x-envoy-expected-rq-timeout-ms: 9\r\nx-envoy-force-trace: 1\r\n"
            "x-envoy-ip-tags: t\r\nx-envoy-original-url: u\r\n"
            "x-envoy-hedge-on-per-try-timeout: 1\r\nx-envoy-attempt-count: 7\r\n",
            from_peer + rest},
        EdgeCase{"what Envoy doesn't know goes on", "X-Envoy-Own: 1\r\nX-Forwarded-Host: b\r\n",
                 "X-Envoy-Own: 1\r\nX-Forwarded-Host: b\r\n" + from_peer + rest},
        EdgeCase{"naming ours in Connection takes none of ours",
                 "Connection: x-request-id, x-envoy-external-address, x-forwarded-client-cert\r\n",
                 from_peer + rest + "x-forwarded-client-cert: Hash=1\r\n",
                 {},
                 "Hash=1"}));

const std::string theirs = "X-Forwarded-Client-Cert: Hash=a\r\nx-forwarded-client-cert: Hash=b\r\n";
const std::string kept = "x-forwarded-client-cert: Hash=a,Hash=b\r\n";
EdgeCase client_cert(const char* rule, ForwardClientCert mode, bool shown, const std::string& added,
                     const std::string& sent = theirs) {
  return {rule, sent, from_peer + rest + added, {}, shown ? "Hash=own" : "", mode};
}
using enum ForwardClientCert;
INSTANTIATE_TEST_SUITE_P(
    XForwardedClientCert, RequestFromOutside,
    testing::Values(
        client_cert("SANITIZE drops it", sanitize, true, ""),
        client_cert("SANITIZE drops it without a certificate, too", sanitize, false, ""),
        client_cert("FORWARD_ONLY passes it on", forward_only, true, kept),
        client_cert("FORWARD_ONLY believes nobody without a certificate", forward_only, false, ""),
        client_cert("FORWARD_ONLY adds nothing", forward_only, true, "", ""),
        client_cert("APPEND_FORWARD appends ours", append_forward, true,
                    "x-forwarded-client-cert: Hash=a,Hash=b,Hash=own\r\n"),
        client_cert("APPEND_FORWARD sends ours alone", append_forward, true,
                    "x-forwarded-client-cert: Hash=own\r\n", ""),
        client_cert("APPEND_FORWARD drops it without a certificate", append_forward, false, ""),
        client_cert("SANITIZE_SET replaces it", sanitize_set, true,
                    "x-forwarded-client-cert: Hash=own\r\n"),
        client_cert("SANITIZE_SET drops it without a certificate", sanitize_set, false, ""),
        client_cert("ALWAYS_FORWARD_ONLY passes it on", always_forward_only, true, kept),
        client_cert("ALWAYS_FORWARD_ONLY passes anybody's on", always_forward_only, false, kept),
        client_cert("ALWAYS_FORWARD_ONLY adds nothing", always_forward_only, true, "", "")));

TEST(RequestOverAUnixSocket, HasNoAddressToTell) {
  const Edge edge;
  Outgoing out;
  Head head;
  for (const std::string came : {"", "X-Forwarded-For: 1.1.1.1\r\n"}) {
    const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n" + came + "\r\n";
    ASSERT_EQ(parse_request(text, head), Parse::done);
    write_request(head, {.request_id = "i", .edge = &edge}, out);
    EXPECT_EQ(joined(out), "GET / HTTP/1.1\r\nHost: a\r\n" +
                               std::string(came.empty() ? "" : "x-forwarded-for: 1.1.1.1\r\n") +
                               "x-forwarded-proto: http\r\nx-request-id: i\r\n"
                               "x-envoy-attempt-count: 1\r\n\r\n");
  }
}

TEST(RequestOfASidecar, KeepsWhatAnEdgeWouldNot) {
  const std::string fields =
      "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Request-Id: a\r\n"
      "x-envoy-external-address: 1.1.1.1\r\nx-envoy-original-path: /p\r\n"
      "x-envoy-downstream-service-cluster: c\r\nx-envoy-downstream-service-node: n\r\n";
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
  Head head;
  ASSERT_EQ(parse_request(text, head), Parse::done);
  Outgoing out;
  write_request(head, {.request_id = "our-id"}, out);
  EXPECT_EQ(joined(out),
            "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "x-envoy-attempt-count: 1\r\n\r\n");
}

TEST(AdmittedRequest, KeepsWhatItsSenderWantsOfThisHop) {
  const std::string text =
      "\r\nGET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n"
      "Connection: close, Upgrade, keep-alive, X-Foo, TE\r\nX-Foo: 1\r\n"
      "Upgrade: websocket\r\nTE: trailers, gzip\r\nExpect: 100-continue\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  Head head, again;
  ASSERT_EQ(parse_request(text, head), Parse::done) << head.refuse_reason;
  const Edge edge{.peer = ip(peer), .own = {}, .client = ip(peer)};
  Outgoing out;
  admit_request(head, {.request_id = "i", .edge = &edge}, out);
  const std::string admitted = joined(out);
  ASSERT_EQ(parse_request(admitted, again), Parse::done) << again.refuse_reason;
  EXPECT_TRUE(again.close && again.keep_alive && again.te_trailers && again.expects_continue);
  EXPECT_TRUE(again.wants_upgrade && again.chunked);
  EXPECT_EQ(again.value_at(again.upgrade), "websocket");
  EXPECT_EQ(again.path(), "http://a.test/x");
  EXPECT_EQ(again.authority(), "a.test");
  EXPECT_FALSE(again.has("x-foo"));
  EXPECT_FALSE(again.connection_names);
}

TEST(AdmittedRequest, HasThePathThatRulesSaw) {
  for (const auto& [line, expect] : {std::pair<std::string, std::string>(
                                         "GET /a/../%62?c=%64 HTTP/1.1", "GET /b?c=%64 HTTP/1.1"),
                                     {"GET http://a/x/./%79 HTTP/1.1", "GET http://a/x/y HTTP/1.1"},
                                     {"GET http://a HTTP/1.1", "GET http://a HTTP/1.1"},
                                     {"OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1"}}) {
    std::string text = line + "\r\nHost: a\r\n\r\n";
    Head head;
    ASSERT_EQ(parse_request(text, head), Parse::done) << line;
    ASSERT_TRUE(normalize_path(head, text.data(), {})) << line;
    const std::string path(head.origin_path());
    const Edge edge{.peer = ip(peer), .own = {}, .client = ip(peer)};
    Outgoing out;
    admit_request(head, {.request_id = "i", .edge = &edge}, out);
    const std::string admitted = joined(out);
    EXPECT_TRUE(admitted.starts_with(expect + "\r\nHost: a\r\nx-forwarded-for: ")) << admitted;
    ASSERT_EQ(parse_request(admitted, head), Parse::done) << admitted;
    EXPECT_EQ(head.origin_path(), path);
  }
}

// Both fields are two pieces for each value, and lie between runs of what stays.
TEST(RequestFullOfListedFields, FitsWhatGoesOut) {
  const Edge edge{.peer = ip("2001:db8:1111:2222:3333:4444:5555:6666"),
                  .own = {},
                  .client = ip("2001:db8:1111:2222:3333:4444:5555:6666"),
                  .trusted_proxies = 1};
  const std::string_view listed[] = {"X-Forwarded-For: v\r\n", "X-Forwarded-Client-Cert: v\r\n"};
  const std::string long_value(Outgoing::copied_value_max, 'i');
  for (const std::size_t every : {1u, 2u, 3u}) {
    std::string in = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (std::size_t i = 1; i < limits::http_headers - 2; i++)
      in += i % every == 0 ? listed[i / every % 2] : "X-A: b\r\n";
    in += "TE: trailers\r\nUpgrade: " + long_value + "\r\n\r\n";
    Head head;
    ASSERT_EQ(parse_request(in, head), Parse::done) << head.refuse_reason;
    ASSERT_EQ(head.count, limits::http_headers);
    Outgoing out;
    write_request(head,
                  {.request_id = long_value,
                   .scheme = long_value,
                   .attempt = UINT32_MAX,
                   .forwarded_cert = "Hash=own",
                   .expected_timeout_ms = INT64_MAX,
                   .upgrade = true,
                   .edge = &edge},
                  out);
    EXPECT_LT(out.count, Outgoing::pieces_max);
    EXPECT_TRUE(joined(out).ends_with("x-envoy-attempt-count: 4294967295\r\n\r\n"));
    EXPECT_NE(joined(out).find("v,Hash=own\r\n"), std::string::npos);
  }
}

// As above without a list, in HTTP/1.0 and absolute-form: where most is copied.
TEST(RequestWithTheLongestFieldsOfOurs, FitsWhatIsCopied) {
  const auto longest = ip("2001:db8:1111:2222:3333:4444:5555:6666");
  const Edge edge{.peer = longest, .own = {}, .client = longest};
  const std::string value(Outgoing::copied_value_max, 'h');
  const std::string text = "GET http://" + value + "/ HTTP/1.0\r\nUpgrade: " + value +
                           "\r\nConnection: Upgrade, close, keep-alive\r\nTE: trailers\r\n"
                           "X-Forwarded-For: 1.1.1.1\r\n\r\n";
  Head head;
  ASSERT_EQ(parse_request(text, head), Parse::done) << head.refuse_reason;
  RequestAdds adds{.request_id = value,
                   .scheme = value,
                   .attempt = UINT32_MAX,
                   .forwarded_cert = "Hash=own",
                   .expected_timeout_ms = INT64_MAX,
                   .upgrade = true,
                   .edge = &edge};
  Outgoing out;
  write_request(head, adds, out);
  const std::string text_out = joined(out);
  EXPECT_TRUE(text_out.starts_with("GET / HTTP/1.1\r\nhost: " + value + "\r\n"));
  EXPECT_TRUE(text_out.ends_with("x-envoy-attempt-count: 4294967295\r\n\r\n"));
  admit_request(head, adds, out);
  EXPECT_TRUE(joined(out).ends_with("x-forwarded-client-cert: Hash=own\r\n\r\n"));
}

}  // namespace
}  // namespace sallyport::http
