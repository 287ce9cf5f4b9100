// What a request's head may look like. Rules: RFC 9110, RFC 9112; details: Envoy's words.
#include <gtest/gtest.h>

#include "agent/http/message/head.h"

namespace sallyport::http {
namespace {

std::string request(std::string_view line, std::string_view fields) {
  return std::string(line) + "\r\nHost: a.test\r\n" + std::string(fields) + "\r\n";
}
std::string get(std::string_view fields) { return request("GET / HTTP/1.1", fields); }

TEST(RequestHead, IsReadWhereItLies) {
  const std::string text =
      "POST /politics?q=1 HTTP/1.1\r\nHost: edition.cnn.com:8080\r\nUser-Agent: \t curl/8 \t\r\n"
      "X-Empty:\r\nContent-Length: 5\r\nx-request-id: abc\r\nX-Forwarded-For: 1.2.3.4\r\n"
      "x-forwarded-proto: https\r\n\r\nhello";
  Head head;
  ASSERT_EQ(parse_request(text, head), Parse::done);
  EXPECT_EQ(head.size, text.size() - 5);
  EXPECT_EQ(text.substr(0, head.start_line), "POST /politics?q=1 HTTP/1.1\r\n");
  EXPECT_EQ(head.method(), "POST");
  EXPECT_EQ(head.path(), "/politics?q=1");
  EXPECT_EQ(head.origin_path(), "/politics?q=1");
  EXPECT_EQ(head.authority(), "edition.cnn.com:8080");
  EXPECT_EQ(head.value_at(head.user_agent), "curl/8");
  EXPECT_EQ(head.value_at(head.request_id), "abc");
  EXPECT_EQ(head.value_at(head.forwarded_for), "1.2.3.4");
  EXPECT_EQ(head.value_at(head.forwarded_proto), "https");
  EXPECT_EQ(head.value_at(head.upgrade), "");
  EXPECT_EQ(head.find("x-empty"), "");
  EXPECT_EQ(head.find("content-length"), "5");
  EXPECT_EQ(head.count, 7);
  EXPECT_EQ(head.length, 5u);
  EXPECT_TRUE(head.has_length && !head.chunked && head.persistent());
  const Field& field = head.fields[1];
  EXPECT_EQ(text.substr(field.begin, field.end - field.begin), "User-Agent: \t curl/8 \t\r\n");
}

TEST(RequestHead, IsIncompleteUntilItsLastByte) {
  const std::string text =
      get("User-Agent: curl/8.1\r\nAccept: */*\r\nX-Long: " + std::string(100, 'x') +
          "\r\nTransfer-Encoding: chunked\r\n");
  Head head;
  for (std::size_t size = 0; size < text.size(); size++) {
    // An exact allocation, so that a look behind the end is seen by the sanitizer.
    const std::vector<char> part(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(parse_request({part.data(), size}, head), Parse::more) << size;
  }
  EXPECT_EQ(parse_request(text, head), Parse::done);
}

struct Refused {
  const char* name;
  std::string text;
  int status;
  const char* reason;
};
class RefusedRequest : public testing::TestWithParam<Refused> {};
TEST_P(RefusedRequest, IsNamed) {
  const Refused& c = GetParam();
  Head head;
  ASSERT_EQ(parse_request(c.text, head), Parse::bad) << c.name;
  EXPECT_EQ(head.refuse_status, c.status) << c.name;
  EXPECT_STREQ(head.refuse_reason, c.reason) << c.name;
}

const std::string nul(1, '\0');
const char codec[] = "http1.codec_error";
const char characters[] = "http1.invalid_characters";
const char coding[] = "http1.invalid_transfer_encoding";
const char authority[] = "http.invalid_authority";

const Refused framing[] = {
    {"both lengths", get("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400,
     "http1.content_length_and_chunked_not_allowed"},
    {"both, the other way round", get("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), 400,
     "http1.content_length_and_chunked_not_allowed"},
    {"differing lengths", get("Content-Length: 3\r\nContent-Length: 4\r\n"), 400, codec},
    {"the same length twice", get("Content-Length: 3\r\ncontent-length: 3\r\n"), 400, codec},
    {"a list of lengths", get("Content-Length: 3, 3\r\n"), 400, codec},
    {"plus sign", get("Content-Length: +3\r\n"), 400, codec},
    {"minus sign", get("Content-Length: -3\r\n"), 400, codec},
    {"hexadecimal", get("Content-Length: 0x3\r\n"), 400, codec},
    {"blank inside", get("Content-Length: 3 3\r\n"), 400, codec},
    {"empty length", get("Content-Length:\r\n"), 400, codec},
    {"overflow", get("Content-Length: 18446744073709551617\r\n"), 400, codec},
    {"unknown coding", get("Transfer-Encoding: gzip\r\n"), 501, coding},
    {"coding before chunked", get("Transfer-Encoding: gzip, chunked\r\n"), 501, coding},
    {"chunked twice in a list", get("Transfer-Encoding: chunked, chunked\r\n"), 501, coding},
    {"chunked in two fields", get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
     501, coding},
    {"list junk", get("Transfer-Encoding: chunked,\r\n"), 501, coding},
    {"vertical tab before chunked", get("Transfer-Encoding: \vchunked\r\n"), 400, characters},
    {"identity", get("Transfer-Encoding: identity\r\n"), 501, coding},
    {"empty coding", get("Transfer-Encoding:\r\n"), 501, coding},
    {"chunked in HTTP/1.0", request("POST / HTTP/1.0", "Transfer-Encoding: chunked\r\n"), 400,
     "http1.transfer_encoding_not_allowed"},
};
INSTANTIATE_TEST_SUITE_P(Framing, RefusedRequest, testing::ValuesIn(framing));

const Refused lines[] = {
    {"folded line", get("X: a\r\n b\r\n"), 400, codec},
    {"folded by a tab", get("X: a\r\n\tb\r\n"), 400, codec},
    {"blank before the colon", get("X : a\r\n"), 400, codec},
    {"tab before the colon", get("X\t: a\r\n"), 400, codec},
    {"blank before the first field", "GET / HTTP/1.1\r\n Host: a.test\r\n\r\n", 400, codec},
    {"no colon", get("X\r\n"), 400, codec},
    {"empty name", get(": a\r\n"), 400, codec},
    {"name that is no token", get("X(: a\r\n"), 400, codec},
    {"name beyond ASCII", get("X\xc3\xa9: a\r\n"), 400, codec},
    {"bare LF behind a field", get("X: a\nY: b\r\n"), 400, codec},
    {"bare LF as the last line", "GET / HTTP/1.1\r\nHost: a.test\r\n\n", 400, codec},
    {"bare LF behind the request line", "GET / HTTP/1.1\nHost: a.test\r\n\r\n", 400, codec},
    {"bare CR in a value", get("X: a\rb\r\n"), 400, codec},
    {"CR CR LF", get("X: a\r\r\n"), 400, codec},
    {"CR without LF at the end", "GET / HTTP/1.1\r\nHost: a.test\r\n\rX", 400, codec},
    {"NUL in a value", get("X: a" + nul + "b\r\n"), 400, characters},
    {"NUL in a name", get("X" + nul + ": a\r\n"), 400, characters},
    {"DEL in a value", get("X: a\x7f\r\n"), 400, characters},
    {"control character far behind", get("X: " + std::string(40, 'a') + "\x01" + "\r\n"), 400,
     characters},
    {"too many fields",
     [] {
       std::string fields;
       for (int i = 0; i < 100; i++) fields += "X: 1\r\n";
       return get(fields);
     }(),
     431, "http1.too_many_headers"},
    {"a field of a megabyte", get("X: " + std::string(1 << 20, 'a') + "\r\n"), 431,
     "http1.headers_too_large"},
    {"a target without an end", "GET /" + std::string(limits::http_head_bytes, 'a'), 431,
     "http1.headers_too_large"},
    {"one byte too long",
     [] {
       std::string text = get("X: \r\n");
       text.insert(text.size() - 4, limits::http_head_bytes + 1 - text.size(), 'a');
       return text;
     }(),
     431, "http1.headers_too_large"},
};
INSTANTIATE_TEST_SUITE_P(Lines, RefusedRequest, testing::ValuesIn(lines));

const Refused request_lines[] = {
    {"garbage", "garbage\r\n\r\n", 400, codec},
    {"a ClientHello", "\x16\x03\x01", 400, codec},
    {"blank first", " GET / HTTP/1.1\r\n", 400, codec},
    {"method that is no token", request("G(T / HTTP/1.1", ""), 400, codec},
    {"two blanks", request("GET  / HTTP/1.1", ""), 400, codec},
    {"two blanks before the version", request("GET /  HTTP/1.1", ""), 400, codec},
    {"blank in the target", request("GET /a b HTTP/1.1", ""), 400, codec},
    {"blank behind the version", request("GET / HTTP/1.1 ", ""), 400, codec},
    {"tab for a blank", request("GET\t/ HTTP/1.1", ""), 400, codec},
    {"tab behind the target", request("GET /\tHTTP/1.1", ""), 400, codec},
    {"three empty lines", "\r\n\r\n\r\n" + get(""), 400, codec},
    {"empty line of LF", "\n" + get(""), 400, codec},
    {"HTTP/0.9", request("GET /", ""), 505, "http1.unsupported_version"},
    {"HTTP/1.2", request("GET / HTTP/1.2", ""), 505, "http1.unsupported_version"},
    {"HTTP/2.0", request("GET / HTTP/2.0", ""), 505, "http1.unsupported_version"},
    {"HTTP/1.10", request("GET / HTTP/1.10", ""), 400, codec},
    {"lower-case version", request("GET / http/1.1", ""), 400, codec},
    {"another protocol", request("GET / ICAP/1.1", ""), 400, codec},
};
INSTANTIATE_TEST_SUITE_P(RequestLine, RefusedRequest, testing::ValuesIn(request_lines));

const Refused targets[] = {
    {"no slash", request("GET up HTTP/1.1", ""), 400, codec},
    {"fragment", request("GET /a#b HTTP/1.1", ""), 400, "path_normalization_failed"},
    {"control character", request("GET /a\x01 HTTP/1.1", ""), 400, characters},
    {"NUL", request("GET /" + nul + " HTTP/1.1", ""), 400, characters},
    {"beyond ASCII", request("GET /\xc3\xa9 HTTP/1.1", ""), 400, codec},
    {"asterisk with GET", request("GET * HTTP/1.1", ""), 400, "http1.invalid_url"},
    {"tunnel", request("CONNECT a.test:443 HTTP/1.1", ""), 404, "route_not_found"},
    {"tunnel in disguise", request("CONNECT / HTTP/1.1", ""), 404, "route_not_found"},
    {"another scheme", request("GET ftp://a.test/ HTTP/1.1", ""), 400, codec},
    {"userinfo", request("GET http://me@a.test/ HTTP/1.1", ""), 400, authority},
    {"absolute-form without a host", request("GET http:///x HTTP/1.1", ""), 400, authority},
    {"query right behind the host", request("GET http://a.test?x HTTP/1.1", ""), 400,
     "http1.invalid_url"},
    {"absolute-form disagrees with Host", request("GET http://b.test/ HTTP/1.1", ""), 400,
     "http1.host_differs_from_target"},
    {"absolute-form, another port", request("GET http://a.test:81/ HTTP/1.1", ""), 400,
     "http1.host_differs_from_target"},
    {"absolute-form without Host", "GET http://a.test/ HTTP/1.1\r\n\r\n", 400,
     "missing_host_header"},
};
INSTANTIATE_TEST_SUITE_P(Target, RefusedRequest, testing::ValuesIn(targets));

std::string host(std::string_view value) {
  return "GET / HTTP/1.1\r\nHost:" + std::string(value) + "\r\n\r\n";
}
const Refused hosts[] = {
    {"no Host", "GET / HTTP/1.1\r\n\r\n", 400, "missing_host_header"},
    {"two Hosts", get("Host: b.test\r\n"), 400, "http1.repeated_host"},
    {"the same Host twice", get("hOST: a.test\r\n"), 400, "http1.repeated_host"},
    {"empty", host(""), 400, authority},
    {"blank", host(" a b"), 400, authority},
    {"userinfo", host(" a@b"), 400, authority},
    {"path", host(" a/b"), 400, authority},
    {"backslash", host(" a\\b"), 400, authority},
    {"query", host(" a?b"), 400, authority},
    {"list", host(" a.test,b.test"), 400, authority},
    {"percent-encoded", host(" a%2etest"), 400, authority},
    {"beyond ASCII", host(" \xc3\xa9"), 400, authority},
    {"only a port", host(" :80"), 400, authority},
    {"empty port", host(" a.test:"), 400, authority},
    {"port that is no number", host(" a.test:8o"), 400, authority},
    {"signed port", host(" a.test:+80"), 400, authority},
    {"port too large", host(" a.test:65536"), 400, authority},
    {"two ports", host(" a.test:80:80"), 400, authority},
    {"IPv6 without brackets", host(" 2001:db8::1"), 400, authority},
    {"IPv6 not closed", host(" [2001:db8::1"), 400, authority},
    {"not an address in brackets", host(" [a.test]"), 400, authority},
    {"IPv4 in brackets", host(" [10.0.0.1]"), 400, authority},
    {"text behind the brackets", host(" [2001:db8::1]x"), 400, authority},
    {"empty, in HTTP/1.0", "GET / HTTP/1.0\r\nHost: \r\n\r\n", 400, authority},
};
INSTANTIATE_TEST_SUITE_P(Host, RefusedRequest, testing::ValuesIn(hosts));

const Refused connections[] = {
    {"Connection takes Host out", get("Connection: host\r\n"), 400,
     "http1.connection_header_rejected"},
    {"Connection takes the length out", get("Connection: Content-Length\r\nContent-Length: 1\r\n"),
     400, "http1.connection_header_rejected"},
    {"Connection takes the origin out", get("Connection: close, X-Forwarded-For\r\n"), 400,
     "http1.connection_header_rejected"},
    {"Connection names eleven fields", get("Connection: a,b,c,d,e,f,g,h,i,j,k\r\n"), 400,
     "http1.connection_header_rejected"},
};
INSTANTIATE_TEST_SUITE_P(Connection, RefusedRequest, testing::ValuesIn(connections));

struct Accepted {
  const char* name;
  std::string text;
  const char* authority;
  const char* origin_path;
};
class AcceptedRequest : public testing::TestWithParam<Accepted> {};
TEST_P(AcceptedRequest, GoesOn) {
  const Accepted& c = GetParam();
  Head head;
  ASSERT_EQ(parse_request(c.text, head), Parse::done) << c.name << ": " << head.refuse_reason;
  EXPECT_EQ(head.size, c.text.size()) << c.name;
  EXPECT_EQ(head.authority(), c.authority) << c.name;
  EXPECT_EQ(head.origin_path(), c.origin_path) << c.name;
}

const Accepted accepted[] = {
    {"plain", get(""), "a.test", "/"},
    {"one empty line first", "\r\n" + get(""), "a.test", "/"},
    {"two empty lines first", "\r\n\r\n" + get(""), "a.test", "/"},
    {"HTTP/1.0 without Host", "GET /x HTTP/1.0\r\n\r\n", "", "/x"},
    {"host with port", host("a.test:8080"), "a.test:8080", "/"},
    {"underscore", host(" my_nginx.default"), "my_nginx.default", "/"},
    {"trailing dot", host(" a.test."), "a.test.", "/"},
    {"IPv4", host(" 10.0.0.1:80"), "10.0.0.1:80", "/"},
    {"IPv6", host(" [2001:db8::1]"), "[2001:db8::1]", "/"},
    {"IPv6 with port", host(" [2001:db8::1]:80"), "[2001:db8::1]:80", "/"},
    {"IPv4-mapped", host(" [::ffff:10.0.0.1]"), "[::ffff:10.0.0.1]", "/"},
    {"odd but harmless characters", request("GET /a|b\"{}^`\\%zz HTTP/1.1", ""), "a.test",
     "/a|b\"{}^`\\%zz"},
    {"absolute-form", request("GET http://a.test/x?y HTTP/1.1", ""), "a.test", "/x?y"},
    {"absolute-form in capitals", request("GET HTTP://A.test/x HTTP/1.1", ""), "A.test", "/x"},
    {"absolute-form without a path", request("GET http://a.test HTTP/1.1", ""), "a.test", "/"},
    {"absolute-form, default port", request("GET https://a.test:443/ HTTP/1.1", ""), "a.test:443",
     "/"},
    {"absolute-form in HTTP/1.0 without Host", "GET http://b.test:81/ HTTP/1.0\r\n\r\n",
     "b.test:81", "/"},
    {"OPTIONS *", request("OPTIONS * HTTP/1.1", ""), "a.test", "*"},
    {"unknown method", request("BREW /pot HTTP/1.1", ""), "a.test", "/pot"},
    {"obs-text and tab in a value", get("X: a\tb\xff\r\n"), "a.test", "/"},
    {"a hundred fields",
     [] {
       std::string fields;
       for (int i = 0; i < 99; i++) fields += "X: 1\r\n";
       return get(fields);
     }(),
     "a.test", "/"},
    {"as long as may be",
     [] {
       std::string text = get("X: \r\n");
       text.insert(text.size() - 4, limits::http_head_bytes - text.size(), 'a');
       return text;
     }(),
     "a.test", "/"},
};
INSTANTIATE_TEST_SUITE_P(Spec, AcceptedRequest, testing::ValuesIn(accepted));

struct Meaning {
  const char* name;
  std::string text;
  bool Head::*flag;
  bool expect;
};
class RequestMeaning : public testing::TestWithParam<Meaning> {};
TEST_P(RequestMeaning, IsKnown) {
  const Meaning& c = GetParam();
  Head head;
  ASSERT_EQ(parse_request(c.text, head), Parse::done) << c.name;
  EXPECT_EQ(head.*c.flag, c.expect) << c.name;
}
const Meaning meanings[] = {
    {"chunked in any case", get("Transfer-Encoding: ChunKed\r\n"), &Head::chunked, true},
    {"close among others", get("Connection: x, Close\r\n"), &Head::close, true},
    {"keep-alive", get("Connection: Keep-Alive\r\n"), &Head::keep_alive, true},
    {"closer is not close", get("Connection: closer\r\n"), &Head::close, false},
    {"expectation", get("Expect: 100-Continue\r\n"), &Head::expects_continue, true},
    {"expectation of HTTP/1.0 is ignored", request("PUT / HTTP/1.0", "Expect: 100-continue\r\n"),
     &Head::expects_continue, false},
    {"websocket", get("Connection: Upgrade\r\nUpgrade: websocket\r\n"), &Head::wants_upgrade, true},
    {"Upgrade that Connection doesn't name", get("Upgrade: websocket\r\n"), &Head::wants_upgrade,
     false},
    {"Connection: upgrade to nothing", get("Connection: Upgrade\r\n"), &Head::wants_upgrade, false},
    {"h2c is not an upgrade", get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"),
     &Head::wants_upgrade, false},
    {"Upgrade of HTTP/1.0 is ignored",
     request("GET / HTTP/1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
     &Head::wants_upgrade, false},
    {"TE: trailers in a list", get("TE: gzip;q=0.5, trailers\r\n"), &Head::te_trailers, true},
    {"TE without trailers", get("TE: gzip\r\n"), &Head::te_trailers, false},
};
INSTANTIATE_TEST_SUITE_P(Spec, RequestMeaning, testing::ValuesIn(meanings));

TEST(RequestHead, PersistenceIsTheVersionsDefaultUnlessSaid) {
  const auto persistent = [](std::string_view version, std::string_view fields) {
    Head head;
    EXPECT_EQ(parse_request(request("GET / " + std::string(version), fields), head), Parse::done);
    return head.persistent();
  };
  EXPECT_TRUE(persistent("HTTP/1.1", ""));
  EXPECT_FALSE(persistent("HTTP/1.1", "Connection: close\r\n"));
  EXPECT_FALSE(persistent("HTTP/1.0", ""));
  EXPECT_TRUE(persistent("HTTP/1.0", "Connection: keep-alive\r\n"));
  EXPECT_FALSE(persistent("HTTP/1.0", "Connection: keep-alive, close\r\n"));
}

TEST(RequestHead, FieldsOfThisHopAreMarked) {
  const std::string text =
      get("Connection: keep-alive, X-Foo, TE, x-bar\r\nX-Foo: 1\r\nX-FOO: 2\r\nx-Bar: 3\r\n"
          "Keep-Alive: timeout=4\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\n"
          "Upgrade: websocket\r\nHTTP2-Settings: AAA\r\nX-Envoy-Retry-On: 5xx\r\n"
          "x-envoy-internal: true\r\nx-envoy-decorator-operation: d\r\nx-envoy-peer-metadata: m\r\n"
          "x-envoy-attempt-count: 9\r\nx-envoy-foo: 1\r\nx-envoy-external-address: 1.1.1.1\r\n"
          "Trailer: t\r\nX-Foo-2: stays\r\nExpect: 100-continue\r\n");
  Head head;
  ASSERT_EQ(parse_request(text, head), Parse::done);
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < head.count; i++)
    if (!head.fields[i].hop) kept.emplace_back(head.name(head.fields[i]));
  EXPECT_EQ(kept, (std::vector<std::string>{"Host", "x-envoy-foo", "x-envoy-external-address",
                                            "Trailer", "X-Foo-2", "Expect"}));
}

TEST(RequestHead, TheNextOneIsLeftAlone) {
  const std::string first = get("X: 1\r\n");
  Head head;
  ASSERT_EQ(parse_request(first + std::string("\x01garbage"), head), Parse::done);
  EXPECT_EQ(head.size, first.size());
}

TEST(RequestHead, NothingOfAnEarlierOneStays) {
  Head head;
  ASSERT_EQ(parse_request(get("Connection: close\r\nContent-Length: 3\r\nUpgrade: x\r\n"), head),
            Parse::done);
  ASSERT_EQ(parse_request(get(""), head), Parse::done);
  EXPECT_FALSE(head.close || head.has_length || head.length || head.upgrade >= 0);
  EXPECT_EQ(head.count, 1);
}

}  // namespace
}  // namespace sallyport::http
