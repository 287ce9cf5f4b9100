// `sallyport explain --live`: what the server says after the handshake counts; and what of our own
// material would fail.
#include <filesystem>
#include <fstream>

#include "agent/cli/explain.h"
#include "tests/support/tls_server.h"
#include "tests/unit/cli/run.h"

namespace sallyport::cli {
namespace {

using test::Authority;
using test::TlsServer;

class ExplainLive : public testing::Test {
protected:
  ExplainLive() {
    char path[] = "/tmp/sallyport-live-XXXXXX";
    directory_ = mkdtemp(path);
    write("ca.pem", ca_.pem());
  }
  ~ExplainLive() override { std::filesystem::remove_all(directory_); }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
    return (directory_ / name).string();
  }
  // `tls`: fields of the DestinationRule's tls block beside the CA.
  Outcome ask(const SocketAddress& server, const std::string& tls) {
    const auto port = std::to_string(server.port());
    const auto rules =
        write("rules.yaml",
              "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec:\n"
              "  hosts: [a.test]\n  ports: [{number: 80, name: http, protocol: HTTP, targetPort: " +
                  port +
                  "}]\n  resolution: STATIC\n  endpoints: [{address: 127.0.0.1}]\n---\n"
                  "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\n"
                  "spec:\n  host: a.test\n  trafficPolicy:\n    tls: {" +
                  tls + ", caCertificates: " + (directory_ / "ca.pem").string() + "}\n");
    return run_command(run_explain, {"--live", "--to", "http://a.test/", rules});
  }
  std::string mutual(const test::Issued& own) {
    return "mode: MUTUAL, clientCertificate: " + write("own.pem", own.chain_pem) +
           ", privateKey: " + write("own.key", own.key_pem);
  }
  TlsServer::Options wanting_clients() {
    return {.certificate = ca_.issue({.dns = {"a.test"}}), .client_ca_pem = ca_.pem()};
  }
  Authority ca_ = Authority::root("ca");
  std::filesystem::path directory_;
};

TEST_F(ExplainLive, AServerThatTakesUsIsGood) {
  const TlsServer plain({.certificate = ca_.issue({.dns = {"a.test"}})});
  const auto simple = ask(plain.address(), "mode: SIMPLE");
  EXPECT_EQ(simple.exit_code, 0) << simple.output << simple.errors;
  EXPECT_TRUE(has(simple.output, "the server takes us: it sent a session ticket") ||
              has(simple.output, "has not objected within 1 s"))
      << simple.output;
  const TlsServer strict(wanting_clients());
  const auto told = ask(strict.address(), mutual(ca_.issue({.common_name = "me"})));
  EXPECT_EQ(told.exit_code, 0) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, "It goes through.")) << told.output;
}

TEST_F(ExplainLive, AServerThatWantsAClientCertificateIsHeard) {
  const TlsServer server(wanting_clients());
  const auto told = ask(server.address(), "mode: SIMPLE");
  EXPECT_EQ(told.exit_code, 1) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, "FAILED: ")) << told.output;
  EXPECT_TRUE(has(told.output, "alert certificate required (116)")) << told.output;
  EXPECT_TRUE(has(told.output, "the live connection FAILED")) << told.output;
}

TEST_F(ExplainLive, AServerThatRefusesOurCertificateIsHeard) {
  const TlsServer server(wanting_clients());
  const auto foreign =
      ask(server.address(), mutual(Authority::root("other").issue({.common_name = "me"})));
  EXPECT_EQ(foreign.exit_code, 1) << foreign.output << foreign.errors;
  EXPECT_TRUE(has(foreign.output, "alert unknown CA (48)")) << foreign.output;
  const auto expired =
      ask(server.address(),
          mutual(ca_.issue({.valid_from_s = -2 * test::day_s, .valid_to_s = -test::day_s})));
  EXPECT_EQ(expired.exit_code, 1) << expired.output << expired.errors;
  EXPECT_TRUE(has(expired.output, "alert certificate expired (45)")) << expired.output;
  EXPECT_TRUE(has(expired.output, "- EXPIRED on ")) << "the plan says so too\n" << expired.output;
}

TEST_F(ExplainLive, ACrlThatHasRunOutIsNamedByThePlan) {
  const TlsServer server({.certificate = ca_.issue({.dns = {"a.test"}})});
  const auto crl = write("ca.crl", ca_.crl({}, -60));
  const auto told = ask(server.address(), "mode: SIMPLE, caCrl: " + crl);
  EXPECT_EQ(told.exit_code, 1) << told.output << told.errors;
  EXPECT_TRUE(has(told.output, "REFUSED: the CRL of ")) << told.output;
  EXPECT_TRUE(has(told.output, "It does NOT go through.")) << told.output;
}

TEST_F(ExplainLive, TheAddressIsAskedOfDnsNotGuessed) {
  const auto rules = write(
      "range.yaml",
      "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: range}\nspec:\n"
      "  hosts: [range.test]\n  addresses: [127.0.0.0/8]\n"
      "  ports: [{number: 9, name: tcp, protocol: TCP}]\n  resolution: NONE\n");
  const auto told = run_command(run_explain, {"--live", "--to", "tcp://localhost:9", rules});
  EXPECT_TRUE(has(told.output, ":9: as DNS says here")) << told.output;
  const auto plan = run_command(run_explain, {"--to", "tcp://localhost:9", rules});
  EXPECT_TRUE(has(plan.output, "stands for the address that DNS gives")) << plan.output;
}

}  // namespace
}  // namespace sallyport::cli
