// Failure is part of the interface: each cause in the words an operator reads in the log.
#include "tests/unit/tls/tls_pair.h"

namespace sallyport::tls {
namespace {

struct Case {
  const char* name;
  TestServerSettings server;
  std::function<void(ClientSettings&)> change;
  Fault fault;
  std::string text;  // the whole of it; a leading "~": this is contained
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const auto unchanged = [](ClientSettings&) {};

test::Issued good() { return root().issue({.common_name = "server", .dns = {"a.example.com"}}); }

std::string day(long seconds_from_now) {
  char text[16];
  const time_t then = std::time(nullptr) + seconds_from_now;
  std::strftime(text, sizeof text, "%F", std::gmtime(&then));
  return text;
}

// A server whose certificate is refused with this text.
Case refused(const char* name, const test::Issued& issued, std::string text,
             std::function<void(ClientSettings&)> change = unchanged) {
  return {name,
          {issued},
          std::move(change),
          Fault::tls_verify,
          "TLS error: CERTIFICATE_VERIFY_FAILED: " + std::move(text)};
}

std::vector<Case> date_cases() {
  const long past = -5 * test::day_s, future = 5 * test::day_s;
  const auto issue = [](const test::Authority& by, long from_s, long to_s) {
    return by.issue({.common_name = "server",
                     .dns = {"a.example.com"},
                     .valid_from_s = from_s,
                     .valid_to_s = to_s});
  };
  const test::Authority old =
      root().intermediate("Old", {.valid_from_s = 2 * past, .valid_to_s = past});
  return {
      refused("expired", issue(root(), 2 * past, past),
              "certificate expired on " + day(past) + ": subject \"CN=server\""),
      refused("not yet valid", issue(root(), future, 2 * future),
              "certificate not valid before " + day(future) + ": subject \"CN=server\""),
      refused("expired intermediate", issue(old, past, future),
              "CA certificate expired on " + day(past) + ": subject \"CN=Old\""),
  };
}

std::vector<Case> name_cases() {
  const auto two_names = [](ClientSettings& s) { s.names = {"a.example.com", "spiffe://td/x"}; };
  return {
      refused("another name",
              root().issue({.dns = {"b.example.com", "*.c.example.com"}, .ips = {"10.0.0.1"}}),
              "no SAN of the server certificate matches [a.example.com, spiffe://td/x]; it has "
              "[b.example.com, *.c.example.com, 10.0.0.1]",
              two_names),
      refused("only a common name", root().issue({.common_name = "a.example.com"}),
              "no SAN of the server certificate matches [a.example.com]; it has none"),
      refused("a name that would break the line of a log", root().issue({.dns = {"evil\nline"}}),
              "no SAN of the server certificate matches [a.example.com]; it has [evil\\x0aline]"),
  };
}

std::vector<Case> chain_cases() {
  const test::CertificateSpec server{.common_name = "server", .dns = {"a.example.com"}};
  test::CertificateSpec of_a_client = server;
  of_a_client.extended_key_usage = "clientAuth";
  return {
      refused("unknown CA", stranger().issue(server),
              "unknown CA: issuer \"CN=Stranger\" of subject \"CN=server\" is not among the "
              "trusted ones"),
      refused("unknown CA with an intermediate", stranger().intermediate("Half").issue(server),
              "unknown CA: issuer \"CN=Stranger\" of subject \"CN=Half\" is not among the "
              "trusted ones"),
      refused("self-signed", {stranger().pem(), stranger().key_pem()},
              "unknown CA: the self-signed subject \"CN=Stranger\" is not among the trusted ones"),
      refused("a certificate for clients at the server", root().issue(of_a_client),
              "certificate not meant for this end of TLS (key usage): subject \"CN=server\""),
  };
}

std::vector<Case> revocation_cases() {
  const test::Issued revoked = good();
  char serial[32];
  std::snprintf(serial, sizeof serial, "%lx", revoked.serial);
  const auto with_crl = [](const std::string& crl) {
    return [crl](ClientSettings& s) {
      s.roots = trust(root().pem(), crl);
      s.roots_name = "file-root:/ca~/crl";
    };
  };
  const std::string where = " (CRL of file-root:/ca~/crl)";
  return {
      refused(
          "revoked", revoked,
          "certificate revoked: serial " + std::string(serial) + ", subject \"CN=server\"" + where,
          with_crl(root().crl({revoked.serial}))),
      refused("stale CRL", good(), "CRL has expired: issuer \"CN=Test Root\"" + where,
              with_crl(root().crl({}, -60))),
      refused("a CRL of another issuer", good(),
              "no CRL of its issuer \"CN=Test Root\" for subject \"CN=server\": with CRLs, every "
              "CA of a chain needs one" +
                  where,
              with_crl(stranger().crl({}))),
      refused("a CRL under a false name", good(),
              "CRL was not signed by the CA that it names: issuer \"CN=Test Root\"" + where,
              with_crl(test::Authority::root("Test Root").crl({}))),
      refused("a CRL of a kind that is not used", good(),
              "CRL cannot be used: issuer \"CN=Test Root\"" + where,
              with_crl(root().crl({}, test::day_s, true))),
  };
}

std::vector<Case> negotiation_cases() {
  TestServerSettings old{good(), TLS1_VERSION, TLS1_1_VERSION};
  old.ciphers = "ALL:@SECLEVEL=0";
  TestServerSettings plain_rsa{root().issue({.dns = {"a.example.com"}, .rsa = true}),
                               TLS1_2_VERSION, TLS1_2_VERSION};
  plain_rsa.ciphers = "AES128-SHA";
  TestServerSettings h2{good()};
  h2.alpn = "h2";
  TestServerSettings nameless{good()};
  nameless.knows_sni = false;
  const auto offers_http1 = [](ClientSettings& s) { s.alpn = {"http/1.1"}; };
  return {
      {"server speaks only TLS 1.0 and 1.1", old, unchanged, Fault::tls_handshake,
       "TLS error: TLSV1_ALERT_PROTOCOL_VERSION: alert protocol version (70): the server has no "
       "TLS version in common with us"},
      {"server has only RSA key exchange", plain_rsa, unchanged, Fault::tls_handshake,
       "TLS error: SSLV3_ALERT_HANDSHAKE_FAILURE: alert handshake failure (40): the server finds "
       "no cipher suite, curve or signature in common (SNI a.example.com)"},
      {"no ALPN protocol in common", h2, offers_http1, Fault::tls_handshake,
       "~alert no application protocol (120): the server has no ALPN protocol in common (SNI "
       "a.example.com, ALPN [http/1.1])"},
      {"server does not know the name", nameless, unchanged, Fault::tls_handshake,
       "TLS error: TLSV1_UNRECOGNIZED_NAME: alert unrecognized name (112): the server does not "
       "know the name asked for (SNI a.example.com)"},
  };
}

// With TLS 1.2 the server's refusal ends the handshake; with 1.3 it comes after the client's is
// done.
std::vector<Case> client_certificate_cases() {
  TestServerSettings asks12{good(), TLS1_2_VERSION, TLS1_2_VERSION, root().pem()};
  TestServerSettings asks13{good(), TLS1_3_VERSION, TLS1_3_VERSION, root().pem()};
  const auto foreign = [](ClientSettings& s) { s.certificate = key_pair(stranger().issue({})); };
  const auto expired = [](ClientSettings& s) {
    s.certificate = key_pair(root().issue({.valid_to_s = -60}));
  };
  return {
      {"TLS 1.2: none is set", asks12, unchanged, Fault::tls_handshake,
       "TLS error: SSLV3_ALERT_HANDSHAKE_FAILURE: alert handshake failure (40): the server wants a "
       "client certificate and none is set (SNI a.example.com)"},
      {"TLS 1.3: none is set", asks13, unchanged, Fault::tls_handshake,
       "TLS error: TLSV13_ALERT_CERTIFICATE_REQUIRED: alert certificate required (116): the server "
       "wants a client "
       "certificate"},
      {"TLS 1.2: of a CA it does not know", asks12, foreign, Fault::tls_handshake,
       "TLS error: TLSV1_ALERT_UNKNOWN_CA: alert unknown CA (48): the server does not trust the CA "
       "of our certificate"},
      {"TLS 1.3: of a CA it does not know", asks13, foreign, Fault::tls_handshake,
       "~alert unknown CA (48): the server does not trust the CA of our certificate"},
      {"TLS 1.3: expired", asks13, expired, Fault::tls_handshake,
       "~alert certificate expired (45): the server says that our certificate has expired"},
  };
}

class FailureCauses : public testing::TestWithParam<Case> {};

TEST_P(FailureCauses, AreNamed) {
  const Case& c = GetParam();
  ClientContext context;
  Server server(c.server);
  ClientSettings settings;
  settings.sni = "a.example.com";
  settings.names = {"a.example.com"};
  settings.roots = trust(root().pem());
  c.change(settings);
  auto ssl = context.open(settings, nullptr);
  ASSERT_TRUE(ssl) << ssl.error().context;
  Pair pair(std::move(*ssl), server.accept());
  ASSERT_FALSE(pair.handshake()) << c.name;
  if (pair.client_done) {
    pair.receive(*pair.client, 1);
    ASSERT_TRUE(pair.failed) << c.name;
  }
  const Error error = failure_of(*pair.client, Side::upstream);
  EXPECT_EQ(error.fault, c.fault) << c.name;
  EXPECT_EQ(error.side, Side::upstream);
  EXPECT_EQ(error.retryable, !pair.client_done) << "as Envoy's connect-failure";
  if (c.text.starts_with('~')) {
    EXPECT_NE(error.context.find(c.text.substr(1)), std::string::npos) << error.context;
  } else {
    EXPECT_EQ(error.context, c.text);
  }
  EXPECT_EQ(ERR_peek_error(), 0u);
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  std::string name;
  for (const char c : std::string_view(info.param.name)) name += std::isalnum(c) ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Dates, FailureCauses, testing::ValuesIn(date_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Names, FailureCauses, testing::ValuesIn(name_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Chains, FailureCauses, testing::ValuesIn(chain_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Revocation, FailureCauses, testing::ValuesIn(revocation_cases()),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Negotiation, FailureCauses, testing::ValuesIn(negotiation_cases()),
                         case_name);
INSTANTIATE_TEST_SUITE_P(ClientCertificate, FailureCauses,
                         testing::ValuesIn(client_certificate_cases()), case_name);

// --- Peers that speak something else, or nothing

struct Stranger {
  const char* name;
  std::string answer;
  bool closes, breaks;
  std::string text;
};

// Record head, handshake head, version 3.1, random, no session, a cipher suite, no compression.
std::string server_hello_of_tls10() {
  using namespace std::string_literals;
  return "\x16\x03\x01\x00\x2a"s + "\x02\x00\x00\x26"s + "\x03\x01"s + std::string(32, 'r') +
         "\x00\xc0\x2f\x00"s;
}

TEST(FailureOfHandshake, NamesPeersThatDoNotSpeakOurTls) {
  const Stranger cases[] = {
      {"plain HTTP", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", true, false,
       "TLS error: WRONG_VERSION_NUMBER: the server speaks plain HTTP here: it sent \"HTTP/1.1 400 "
       "Bad Request\""},
      {"mail", "220 mail.example.com ESMTP\r\n", false, false,
       "TLS error: WRONG_VERSION_NUMBER: the server speaks no TLS here: it sent \"220 "
       "mail.example.com ESMTP\""},
      {"bytes that would break the log's line", "\x01\x02\x1b[2Jxyz", false, false,
       "TLS error: WRONG_VERSION_NUMBER: the server speaks no TLS here: it sent "
       "\"\\x01\\x02\\x1b[2Jxyz\""},
      {"closes silently", "", true, false,
       "TLS error: the server closed the connection in the handshake without an answer: perhaps it "
       "speaks no TLS here"},
      {"resets", "", false, true, "TLS error: the connection broke in the handshake"},
      {"chooses TLS 1.0", server_hello_of_tls10(), false, false,
       "TLS error: UNSUPPORTED_PROTOCOL: no TLS version in common: the server speaks another than "
       "TLS 1.2 and 1.3"},
      {"speaks TLS, but out of turn", std::string("\x16\x03\x03\x00\x04\x63\x00\x00\x00", 9), false,
       false, "TLS error: UNEXPECTED_MESSAGE: error:0A0000F4:SSL routines::unexpected message"},
      {"answers with an alert", std::string("\x15\x03\x01\x00\x02\x02\x46", 7), true, false,
       "TLS error: TLSV1_ALERT_PROTOCOL_VERSION: alert protocol version (70): the server has no "
       "TLS version in "
       "common with us"},
  };
  ClientContext context;
  ClientSettings settings;
  settings.skip_verify = true;
  for (const Stranger& c : cases) {
    Pair pair(std::move(*context.open(settings, nullptr)), nullptr);
    EXPECT_EQ(handshake_step(*pair.client).want, Want::read);
    pair.wire.to_client = c.answer;
    pair.wire.client.peer_closed = c.closes;
    pair.wire.client.broken = c.breaks;
    const IoStep step = handshake_step(*pair.client);
    ASSERT_EQ(step.want, Want::nothing) << c.name;
    ASSERT_EQ(step.bytes, -1) << c.name;
    const Error error = failure_of(*pair.client, Side::upstream);
    EXPECT_EQ(error.context, c.text) << c.name;
    EXPECT_EQ(error.fault, Fault::tls_handshake) << c.name;
    EXPECT_TRUE(error.retryable) << c.name;
  }
}

TEST(FailureOfHandshake, OfAServerNamesTheClient) {
  Server server({good()});
  Wire wire;
  const SslPtr ssl = server.accept();
  attach(*ssl, wire.server);
  wire.to_server = "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n";
  ASSERT_EQ(handshake_step(*ssl).bytes, -1);
  const Error error = failure_of(*ssl, Side::downstream);
  EXPECT_EQ(
      error.context,
      "TLS error: HTTP_REQUEST: the client speaks plain HTTP here: it sent \"GET / HTTP/1.1\"");
  EXPECT_EQ(error.side, Side::downstream);
}

TEST(FailureOf, IsKeptUntilAskedForWhateverTheThreadDoesMeanwhile) {
  ClientContext context;
  Server unknown({stranger().issue({.dns = {"a.example.com"}})}), known({good()});
  ClientSettings settings;
  settings.roots = trust(root().pem());
  Pair bad(std::move(*context.open(settings, nullptr)), unknown.accept());
  ASSERT_FALSE(bad.handshake());
  Pair fine(std::move(*context.open(settings, nullptr)), known.accept());
  EXPECT_TRUE(fine.handshake());
  EXPECT_NE(failure_of(*bad.client, Side::upstream).context.find("unknown CA"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::tls
