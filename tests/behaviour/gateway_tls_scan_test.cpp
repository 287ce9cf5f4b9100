// What testssl.sh and sslscan (Debian's packages) say of a gateway's TLS port.
//
// Compared by hand with Envoy 1.40.0 as an Istio gateway configures it (TLS 1.2 at least, ALPN h2
// and http/1.1, nothing else), with the same certificate: no finding has another severity. Envoy
// besides offers h2 and resumes by session ID, and takes ChaCha20 before AES-128 from a client that
// does; the versions, cipher suites and curves are the same.
#include <map>
#include <regex>
#include <set>

#include "tests/behaviour/gateway_scenario.h"

namespace sallyport::behaviour {
namespace {

const std::string scanned = "webapp.istioinaction.io";

// What testssl.sh finds of the demonstration's certificate: its CA is nobody's, it is valid for a
// hundred years, and neither OCSP, a CRL nor DNS says a word of it.
const std::set<std::string> of_the_certificate = {"cert_chain_of_trust", "cert_validityPeriod",
                                                  "cert_revocation", "DNS_CAArecord"};
// What it can't find out with the OpenSSL of this machine; RC4 is no suite that sslscan is given,
// and secure_client_renego, which it can, is asked below.
const std::set<std::string> unknown_to_the_scanner = {"engine_problem", "RC4", "secure_renego"};

struct Finding {
  std::string severity, text;
};

// testssl.sh's flat JSON has a key and its value on each line.
std::map<std::string, Finding> findings_in(const std::string& json) {
  const std::regex pair("^ *\"(id|severity|finding)\" *: *\"(.*)\",?$");
  std::map<std::string, Finding> out;
  std::istringstream lines(json);
  std::string id;
  std::smatch found;
  for (std::string line; std::getline(lines, line);) {
    if (line.size() > 2000 || !std::regex_match(line, found, pair)) continue;
    if (found[1] == "id")
      id = found[2];
    else
      (found[1] == "severity" ? out[id].severity : out[id].text) = found[2];
  }
  return out;
}

class GatewayScan : public GatewayScenario {
protected:
  void SetUp() override { up("ingress-simple"); }

  std::string sh(const std::string& command) {
    const auto result = exec("client", {"sh", "-c", command});
    EXPECT_EQ(result.code, 0) << result.out << result.err;
    return result.out;
  }
};

TEST_F(GatewayScan, TestsslFindsNothingWorseThanOfEnvoy) {
  const std::string scan =
      "TERM=dumb timeout 80 testssl --quiet --color 0 --warnings batch --openssl-timeout 5 "
      "--nodns min --fast --ip " +
      gateway();
  const auto part = [&](const std::string& asked, const std::string& file) {
    return scan + " " + asked + " --jsonfile " + file + " " + scanned + ":443 >/dev/null & ";
  };
  const auto found =
      findings_in(sh(part("-p -s -f -P -S -g", "/tmp/offers.json") + part("-U", "/tmp/holes.json") +
                     "wait; cat /tmp/offers.json /tmp/holes.json"));
  for (const auto& [id, finding] : found) {
    if (of_the_certificate.contains(id) || unknown_to_the_scanner.contains(id)) continue;
    EXPECT_TRUE(finding.severity == "OK" || finding.severity == "INFO")
        << finding.severity << " " << id << ": " << finding.text;
  }
  const std::pair<const char*, const char*> told[] = {{"SSLv2", "OK"},
                                                      {"SSLv3", "OK"},
                                                      {"TLS1", "INFO"},
                                                      {"TLS1_1", "INFO"},
                                                      {"TLS1_2", "OK"},
                                                      {"TLS1_3", "OK"},
                                                      {"cipherlist_NULL", "OK"},
                                                      {"cipher_order", "OK"},
                                                      {"cipherlist_aNULL", "OK"},
                                                      {"PFS", "OK"},
                                                      {"heartbleed", "OK"},
                                                      {"secure_client_renego", "OK"},
                                                      {"CCS", "OK"},
                                                      {"ticketbleed", "OK"},
                                                      {"ROBOT", "OK"},
                                                      {"CRIME_TLS", "OK"},
                                                      {"POODLE_SSL", "OK"},
                                                      {"SWEET32", "OK"},
                                                      {"FREAK", "OK"},
                                                      {"DROWN", "OK"},
                                                      {"LOGJAM", "OK"},
                                                      {"BEAST", "OK"},
                                                      {"LUCKY13", "OK"},
                                                      {"BREACH", "OK"}};
  for (const auto& [id, severity] : told) {
    ASSERT_TRUE(found.contains(id)) << id << ": the scan did not come to it";
    EXPECT_EQ(found.at(id).severity, severity) << id << ": " << found.at(id).text;
  }
  EXPECT_EQ(found.at("TLS1").text, "not offered");
  EXPECT_EQ(found.at("TLS1_1").text, "not offered");
}

// All that sslscan's `element` has, as "ATTRIBUTE ATTRIBUTE".
std::set<std::string> elements(const std::string& xml, const std::string& pattern) {
  std::set<std::string> out;
  const std::regex wanted(pattern);
  for (std::sregex_iterator at(xml.begin(), xml.end(), wanted), end; at != end; ++at)
    out.insert((*at)[1].str() + " " + (*at)[2].str());
  return out;
}

// Its heartbleed probe names no host, is refused with a reset, and gives up if that is quick:
// testssl.sh asks for that.
TEST_F(GatewayScan, SslscanIsOfferedEnvoysVersionsSuitesAndCurves) {
  const auto xml = sh("timeout 80 sslscan --no-heartbleed --xml=- --sni-name=" + scanned + " " +
                      gateway() + ":443");
  using Set = std::set<std::string>;
  EXPECT_EQ(elements(xml, "<protocol type=\"(\\w+)\" version=\"([^\"]+)\" enabled=\"1\""),
            (Set{"tls 1.2", "tls 1.3"}))
      << xml;
  // istio-api.md 2.13, of an RSA certificate.
  EXPECT_EQ(elements(xml,
                     "<cipher status=\"\\w+\" sslversion=\"([^\"]+)\" bits=\"\\d+\" "
                     "cipher=\"([^\"]+)\""),
            (Set{"TLSv1.3 TLS_AES_128_GCM_SHA256", "TLSv1.3 TLS_AES_256_GCM_SHA384",
                 "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256", "TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256",
                 "TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384", "TLSv1.2 ECDHE-RSA-CHACHA20-POLY1305"}))
      << xml;
  EXPECT_EQ(elements(xml, "<group sslversion=\"([^\"]+)\" bits=\"\\d+\" name=\"(\\w+)"),
            (Set{"TLSv1.2 secp256r1", "TLSv1.2 x25519", "TLSv1.3 secp256r1", "TLSv1.3 x25519"}))
      << xml;
  EXPECT_TRUE(has(xml, "<renegotiation supported=\"0\"")) << xml;
}

}  // namespace
}  // namespace sallyport::behaviour
