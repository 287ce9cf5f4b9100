// What the first bytes of a connection are taken for (istio-api.md 2.4 "Detection outbound", 7
// "HTTP/1.0").
#include "agent/sniff/sniff.h"

#include "agent/core/limits.h"
#include "tests/unit/sniff/hello_bytes.h"

namespace sallyport::sniff {
namespace {

struct Case {
  const char* rule;
  std::string bytes;
  Protocol open;   // while more may come; unknown: read on
  Protocol ended;  // when no more will
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.rule; }
class FirstBytes : public testing::TestWithParam<Case> {};
TEST_P(FirstBytes, AreTakenFor) {
  const auto& c = GetParam();
  const auto open = sniff(c.bytes, false);
  EXPECT_EQ(open.preface.protocol, c.open) << c.rule;
  EXPECT_EQ(open.verdict, c.open == Protocol::unknown ? Verdict::more : Verdict::decided) << c.rule;
  const auto ended = sniff(c.bytes, true);
  EXPECT_EQ(ended.preface.protocol, c.ended) << c.rule;
  EXPECT_EQ(ended.verdict, Verdict::decided) << c.rule;
}
constexpr auto more = Protocol::unknown, http1 = Protocol::http1, http2 = Protocol::http2,
               opaque = Protocol::opaque;
const Case cases[] = {
    {"nothing: a silent client", "", more, opaque},
    {"HTTP/1.1", "GET /politics HTTP/1.1\r\nHost: edition.cnn.com\r\n", http1, http1},
    {"HTTP/1.0 is HTTP (ours, section 7)", "GET / HTTP/1.0\r\n", http1, http1},
    {"a bare LF still shows what it claims to be", "GET / HTTP/1.1\n", http1, http1},
    {"a version that the codec will refuse", "GET / HTTP/2.0\r\n", http1, http1},
    {"absolute form", "GET http://edition.cnn.com/ HTTP/1.1\r\n", http1, http1},
    {"CONNECT", "CONNECT a.example:443 HTTP/1.1\r\n", http1, http1},
    {"WebDAV", "PROPFIND /dav HTTP/1.1\r\n", http1, http1},
    {"method with a hyphen", "M-SEARCH * HTTP/1.1\r\n", http1, http1},
    {"method begun: time is over, still HTTP", "G", more, http1},
    {"method whole, blank missing", "GET", more, http1},
    {"two methods possible", "UPDATE", more, http1},
    {"request line cut short: HTTP, so that no rule is passed by", "GET /a", more, http1},
    {"request line without its end", "GET / HTTP/1.1\r", more, http1},
    {"Redis inline command", "GET key\r\n", opaque, opaque},
    {"HTTP/0.9", "GET /\r\n", opaque, opaque},
    {"longer word than the method", "GETS key\r\n", opaque, opaque},
    {"method in lower case: methods are case-sensitive", "get / HTTP/1.1\r\n", opaque, opaque},
    {"no such method", "HELLO / HTTP/1.1\r\n", opaque, opaque},
    {"line of text without an end: nobody waits", "hello", opaque, opaque},
    {"SMTP", "EHLO client.example\r\n", opaque, opaque},
    {"SSH", "SSH-2.0-OpenSSH_9.2\r\n", opaque, opaque},
    {"Redis", "*1\r\n$4\r\nPING\r\n", opaque, opaque},
    {"PostgreSQL", std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8), opaque, opaque},
    {"MQTT", "\x10\x2a", opaque, opaque},
    {"SSLv2 hello", "\x80\x2e\x01\x03\x01", opaque, opaque},
    {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http2, http2},
    {"HTTP/2 preface with frames", std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04", 28),
     http2, http2},
    {"HTTP/2 preface begun", "PRI * HTTP/2.0\r\n\r\n", more, http2},
    {"could be HTTP/2 or a method", "PR", more, http1},
    {"empty lines before a request", "\r\n\r\nGET / HTTP/1.1\r\n", http1, http1},
    {"empty lines and nothing else", "\r\n\r", more, opaque},
    {"garbage after the preface's first line", "PRI * HTTP/2.0\r\n\r\nXX", opaque, opaque},
};
INSTANTIATE_TEST_SUITE_P(Spec, FirstBytes, testing::ValuesIn(cases));

// However the bytes are cut, the verdict is that of the whole: no early guess is wrong.
TEST_P(FirstBytes, AreTakenTheSameHoweverTheyAreCut) {
  const auto& bytes = GetParam().bytes;
  for (std::size_t size = 0; size < bytes.size(); size++) {
    const auto part = sniff(std::string_view(bytes).substr(0, size), false);
    if (part.verdict == Verdict::more) continue;
    EXPECT_EQ(part.preface.protocol, sniff(bytes, false).preface.protocol)
        << "after " << size << " bytes";
    break;
  }
}

TEST(Sniff, StopsAtItsLimit) {
  const std::string endless = "GET /" + std::string(limits::sniff_bytes, 'a');
  EXPECT_EQ(sniff(std::string_view(endless).substr(0, limits::sniff_bytes - 1), false).verdict,
            Verdict::more);
  const auto out = sniff(std::string_view(endless).substr(0, limits::sniff_bytes), false);
  EXPECT_EQ(out.verdict, Verdict::decided);
  EXPECT_EQ(out.preface.protocol, Protocol::http1) << "so that HTTP answers 431";
}

TEST(Sniff, TakesTlsOnlyByAWholeClientHello) {
  EXPECT_EQ(sniff("\x16", false).verdict, Verdict::more);
  EXPECT_EQ(sniff("\x16\x03", false).verdict, Verdict::more);
  EXPECT_EQ(sniff("\x16garbage", false).preface.protocol, Protocol::opaque);
  EXPECT_EQ(sniff(hello_for("a.example"), false).preface.protocol, Protocol::tls);
}

}  // namespace
}  // namespace sallyport::sniff
