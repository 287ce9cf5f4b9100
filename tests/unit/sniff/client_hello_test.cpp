// The ClientHello reader: which bytes are TLS, and which SNI and ALPN they carry (hardening.md
// "TLS"; RFC 8446 4.1.2).
#include <algorithm>

#include "agent/core/limits.h"
#include "agent/sniff/sniff.h"
#include "tests/unit/sniff/hello_bytes.h"

namespace sallyport::sniff {
namespace {

// What `openssl s_client -servername edition.cnn.com -alpn h2,http/1.1` of OpenSSL 3.0 sends, key
// share shortened to X25519.
std::string like_openssl() {
  HelloParts parts;
  parts.session_id = std::string(32, 's');
  parts.ciphers = std::string("\x13\x02\x13\x03\x13\x01\xc0\x2c\xc0\x30\x00\xff", 12);
  parts.extensions =
      server_name("edition.cnn.com") + extension(11, std::string("\x03\x00\x01\x02", 4)) +
      extension(10, std::string("\x00\x04\x00\x1d\x00\x17", 6)) + extension(35, "") +
      alpn("h2", "http/1.1") + extension(22, "") + extension(23, "") +
      extension(13, std::string("\x00\x04\x04\x03\x08\x07", 6)) +
      extension(43, std::string("\x04\x03\x04\x03\x03", 5)) +
      extension(45, std::string("\x01\x01", 2)) +
      extension(51, vector(2, std::string("\x00\x1d", 2) + vector(2, std::string(32, 'k'))));
  return records(message(parts));
}

TEST(ClientHello, OfACommonClientGivesNameAndProtocols) {
  const auto out = sniff(like_openssl(), false);
  ASSERT_EQ(out.verdict, Verdict::decided);
  EXPECT_EQ(out.preface.protocol, Protocol::tls);
  EXPECT_EQ(out.preface.sni, "edition.cnn.com");
  EXPECT_EQ(out.preface.alpn, (std::vector<std::string>{"h2", "http/1.1"}));
  EXPECT_STREQ(out.note, "");
}

struct NameCase {
  const char* rule;
  std::string sent, sni;
};
void PrintTo(const NameCase& c, std::ostream* out) { *out << c.rule; }
class ServerName : public testing::TestWithParam<NameCase> {};
TEST_P(ServerName, IsNormalised) {
  const auto& c = GetParam();
  const auto out = sniff(hello_for(c.sent), false);
  ASSERT_EQ(out.verdict, Verdict::decided) << c.rule;
  EXPECT_EQ(out.preface.protocol, Protocol::tls) << c.rule;
  EXPECT_EQ(out.preface.sni, c.sni) << c.rule;
  EXPECT_EQ(std::string_view(out.note).empty(), !c.sni.empty()) << c.rule;
}
const std::string label63(63, 'a');
INSTANTIATE_TEST_SUITE_P(
    Spec, ServerName,
    testing::Values(NameCase{"as sent", "edition.cnn.com", "edition.cnn.com"},
                    NameCase{"case is ignored", "Edition.CNN.com", "edition.cnn.com"},
                    NameCase{"one trailing dot is dropped", "edition.cnn.com.", "edition.cnn.com"},
                    NameCase{"underscore is served", "_dmarc.example.org", "_dmarc.example.org"},
                    NameCase{"one label", "localhost", "localhost"},
                    NameCase{"label of 63", label63 + ".example", label63 + ".example"},
                    NameCase{"label of 64 is no name", label63 + "a.example", ""},
                    NameCase{"more than 253 is no name",
                             label63 + "." + label63 + "." + label63 + "." + label63, ""},
                    NameCase{"IPv4 literal is no name", "192.0.2.1", ""},
                    NameCase{"IPv6 literal is no name", "2001:db8::1", ""},
                    NameCase{"two trailing dots", "example.org..", ""},
                    NameCase{"empty label", "a..b", ""},
                    NameCase{"leading dot", ".example.org", ""}, NameCase{"only a dot", ".", ""},
                    NameCase{"NUL inside", std::string("good.test\0.evil.test", 20), ""},
                    NameCase{"blank inside", "a b.test", ""},
                    NameCase{"wildcard", "*.example.org", ""},
                    NameCase{"bytes above 127", "m\xc3\xbcnchen.example", ""}));

TEST(ClientHello, WithoutServerNameOrExtensionsIsTlsWithoutName) {
  HelloParts old;
  old.has_extensions = false;
  for (const auto& bytes : {records(message(old)), records(message_with(""))}) {
    const auto out = sniff(bytes, false);
    EXPECT_EQ(out.preface.protocol, Protocol::tls);
    EXPECT_EQ(out.preface.sni, "");
  }
}

// hardening.md: "A ClientHello may come in any number of segments and records".
TEST(ClientHello, IsReadAcrossRecordsOfAnySize) {
  const auto whole = message_with(server_name("a.example") + alpn("h2"));
  for (std::size_t size = 1; size <= whole.size(); size++) {
    const auto out = sniff(records(whole, size), false);
    ASSERT_EQ(out.verdict, Verdict::decided) << "records of " << size;
    EXPECT_EQ(out.preface.sni, "a.example") << "records of " << size;
    EXPECT_EQ(out.preface.alpn, std::vector<std::string>{"h2"});
  }
}

TEST(ClientHello, IsAwaitedAtEverySegmentBoundary) {
  for (const std::size_t record : {std::size_t{7}, std::size_t{16384}}) {
    const auto bytes = records(message_with(server_name("a.example")), record);
    for (std::size_t size = 0; size < bytes.size(); size++) {
      const auto part = std::string_view(bytes).substr(0, size);
      EXPECT_EQ(sniff(part, false).verdict, Verdict::more) << size;
      const auto cut = sniff(part, true);
      EXPECT_EQ(cut.verdict, Verdict::decided) << size;
      EXPECT_EQ(cut.preface.protocol, Protocol::opaque) << size;
      EXPECT_STREQ(cut.note, size == 0 ? "" : "ClientHello cut short") << size;
    }
  }
}

TEST(ClientHello, MayFillTheLimitAndNotExceedIt) {
  const auto of_size = [](std::size_t bytes_in_all) {
    auto bytes = records(message_with(server_name("big.example") + padding(0)));
    // Four records carry it: three more headers than the one counted above.
    return records(
        message_with(server_name("big.example") + padding(bytes_in_all - bytes.size() - 15)));
  };
  const auto fits = of_size(limits::sniff_bytes);
  ASSERT_EQ(fits.size(), limits::sniff_bytes);
  EXPECT_EQ(sniff(fits, false).preface.sni, "big.example");
  const auto longer =
      sniff(std::string_view(of_size(limits::sniff_bytes + 16)).substr(0, 9), false);
  EXPECT_EQ(longer.verdict, Verdict::decided) << "known from its header";
  EXPECT_STREQ(longer.note, "ClientHello longer than 64 KiB");
}

TEST(ClientHello, IsDecidedAtTheLimitThoughRecordsAreTiny) {
  const auto bytes = records(message_with(server_name("a.example") + padding(30'000)), 1);
  const auto out = sniff(std::string_view(bytes).substr(0, limits::sniff_bytes), false);
  EXPECT_EQ(out.verdict, Verdict::decided);
  EXPECT_EQ(out.preface.protocol, Protocol::opaque);
}

TEST(ClientHello, MayBeFollowedByAnotherRecord) {
  const auto early_data = std::string("\x17\x03\x03\x00\x01x", 6);
  EXPECT_EQ(sniff(hello_for("a.example") + early_data, false).preface.sni, "a.example");
}

struct BrokenCase {
  const char* rule;
  std::string bytes;
};
void PrintTo(const BrokenCase& c, std::ostream* out) { *out << c.rule; }
class BrokenHello : public testing::TestWithParam<BrokenCase> {};
TEST_P(BrokenHello, IsOpaqueWithAReason) {
  const auto& c = GetParam();
  const auto out = sniff(c.bytes, false);
  EXPECT_EQ(out.verdict, Verdict::decided) << c.rule;
  EXPECT_EQ(out.preface.protocol, Protocol::opaque) << c.rule;
  EXPECT_STRNE(out.note, "") << c.rule;
  EXPECT_EQ(out.preface.sni, "") << c.rule;
}
HelloParts with(auto change) {
  HelloParts parts;
  parts.extensions = server_name("a.example");
  change(parts);
  return parts;
}
std::string list_of(std::string_view entries) { return extension(0, vector(2, entries)); }
const BrokenCase broken_cases[] = {
    {"not version 3.x", "\x16\x02"},
    {"record of no bytes", std::string("\x16\x03\x01\x00\x00", 5)},
    {"record longer than 2^14", std::string("\x16\x03\x01\x40\x01", 5)},
    {"another handshake message first", std::string("\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9)},
    {"alert between its records", records(message_with(server_name("a.example"))).substr(0, 0) +
                                      std::string("\x16\x03\x01\x00\x02\x01\x00", 7) +
                                      std::string("\x15\x03\x01\x00\x02\x02\x28", 7)},
    {"bytes after the message in its record",
     records(message_with(server_name("a.example")) + "x")},
    {"bytes after the extensions", records(message(with([](auto& p) { p.after = "x"; })))},
    {"client version 2",
     records(message(with([](auto& p) { p.version = std::string("\x02\x00", 2); })))},
    {"session id of 33",
     records(message(with([](auto& p) { p.session_id = std::string(33, 's'); })))},
    {"no cipher", records(message(with([](auto& p) { p.ciphers = ""; })))},
    {"half a cipher", records(message(with([](auto& p) { p.ciphers = "abc"; })))},
    {"no compression method", records(message(with([](auto& p) { p.compressions = ""; })))},
    {"extension longer than its place", records(message_with(number(0, 2) + number(9, 2) + "abc"))},
    {"two server_name extensions",
     records(message_with(server_name("a.example") + server_name("b.example")))},
    {"two names in one list",
     records(message_with(
         list_of(number(0, 1) + vector(2, "a.example") + number(0, 1) + vector(2, "b.example"))))},
    {"name of another type", records(message_with(list_of(number(1, 1) + vector(2, "a.example"))))},
    {"empty name", records(message_with(server_name("")))},
    {"empty server_name extension", records(message_with(extension(0, "")))},
    {"two ALPN extensions", records(message_with(alpn("h2") + alpn("http/1.1")))},
    {"empty ALPN list", records(message_with(alpn()))},
    {"empty ALPN name", records(message_with(alpn("")))},
    {"ALPN list shorter than its extension",
     records(message_with(extension(16, vector(2, vector(1, "h2")) + "x")))},
    {"malformed ALPN after a good name",
     records(message_with(server_name("a.example") + extension(16, "x")))},
};
INSTANTIATE_TEST_SUITE_P(Spec, BrokenHello, testing::ValuesIn(broken_cases));

TEST(ClientHello, OffersALimitedNumberOfProtocols) {
  std::string names;
  for (std::size_t i = 0; i < limits::alpn_protocols; i++) names += vector(1, "x");
  EXPECT_EQ(
      sniff(records(message_with(extension(16, vector(2, names)))), false).preface.alpn.size(),
      limits::alpn_protocols);
  const auto more =
      sniff(records(message_with(extension(16, vector(2, names + vector(1, "x"))))), false);
  EXPECT_EQ(more.preface.protocol, Protocol::opaque);
}

}  // namespace
}  // namespace sallyport::sniff
