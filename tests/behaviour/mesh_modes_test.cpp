// Scenarios M2 and M3: PeerAuthentication and DestinationRule against each other, as matrices.
#include "tests/behaviour/mesh_scenario.h"

namespace sallyport::behaviour {
namespace {

class MeshModes : public MeshScenario {
protected:
  void SetUp() override { mesh_up(); }

  // Both sidecars have it in force: each says so in a line.
  void apply_everywhere(const std::string& file, const std::string& text) {
    const auto lines = [this](const std::string& pod) {
      return count(logs(pod, "istio-proxy"), " is in force: ");
    };
    const int client = lines("client"), server = lines("server");
    apply(file, text);
    EXPECT_TRUE(soon([&] { return lines("client") > client && lines("server") > server; }));
  }
};

struct ModeCell {
  const char *mode, *caller;
  bool served, encrypted;
};
const ModeCell mode_cells[] = {
    {"PERMISSIVE", "client", true, true}, {"PERMISSIVE", "plain", true, false},
    {"STRICT", "client", true, true},     {"STRICT", "plain", false, false},
    {"DISABLE", "client", true, false},   {"DISABLE", "plain", true, false},
};

TEST_F(MeshModes, M2_ModeByCallerByProtocol) {
  std::string mode;
  for (const auto& cell : mode_cells) {
    if (mode != cell.mode) apply_everywhere("mode.yaml", peer_authentication(mode = cell.mode));
    const std::string name = mode + " " + cell.caller;
    std::string code, echo;
    const auto wire = captured(cell.caller, [&] {
      code = status(cell.caller);
      echo = line_from(cell.caller, 9000);
    });
    EXPECT_EQ(code, cell.served ? "200" : "000") << name << " HTTP";
    EXPECT_EQ(echo == "echo ping\n", cell.served) << name << " TCP: " << echo;
    EXPECT_EQ(has(wire, "echo ping"), cell.served && !cell.encrypted) << name;
    EXPECT_EQ(has(wire, "hello from the server"), cell.served && !cell.encrypted) << name;
  }
  EXPECT_TRUE(logged("server", "istio-proxy", " 0 NR filter_chain_not_found "));
}

struct LevelCase {
  const char *name, *policies;
  const char *http, *echo;  // what a plain caller gets
};
const std::string policy_head = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n";

TEST_F(MeshModes, M2_MeshNamespaceWorkloadAndPortOverrideEachOther) {
  const std::string mesh = policy_head +
                           "metadata: {name: default, namespace: istio-system}\n"
                           "spec: {mtls: {mode: STRICT}}\n---\n";
  const std::string open_namespace = peer_authentication("PERMISSIVE");
  const std::string workload = policy_head +
                               "metadata: {name: server}\nspec:\n  selector: {matchLabels: {app: "
                               "server}}\n  mtls: {mode: STRICT}\n";
  const std::string port = "  portLevelMtls: {9000: {mode: PERMISSIVE}}\n";
  const auto served = [&](const std::string& policies) {
    apply_everywhere("mode.yaml", policies);
    return status("plain") + " " + (line_from("plain", 9000) == "echo ping\n" ? "echo" : "reset");
  };
  EXPECT_EQ(served(mesh), "000 reset");
  EXPECT_EQ(served(mesh + open_namespace), "200 echo");
  EXPECT_EQ(served(mesh + open_namespace + workload), "000 reset");
  EXPECT_EQ(served(mesh + open_namespace + workload + port), "000 echo");
  EXPECT_EQ(status("client"), "200");
}

struct RuleCell {
  const char* tls;
  const char *permissive, *strict, *disable;  // the client's status
};
const std::string files = "/var/run/secrets/workload-spiffe-credentials/";
const std::string mutual = "{mode: MUTUAL, clientCertificate: " + files +
                           "certificates.pem, privateKey: " + files +
                           "private_key.pem, caCertificates: " + files +
                           "ca_certificates.pem, subjectAltNames: ['" + spiffe("server") + "']}";
const std::string simple = "{mode: SIMPLE, caCertificates: " + files +
                           "ca_certificates.pem, subjectAltNames: ['" + spiffe("server") + "']}";
const RuleCell rule_cells[] = {
    {"{mode: DISABLE}", "200", "503", "200"},
    {simple.c_str(), "503", "503", "503"},
    {mutual.c_str(), "503", "200", "503"},
    {"{mode: ISTIO_MUTUAL}", "200", "200", "503"},
};

TEST_F(MeshModes, M3_RuleByModeAndEachFailureIsNamedOnBothSides) {
  const std::string modes[] = {"PERMISSIVE", "STRICT", "DISABLE"};
  for (const auto& cell : rule_cells) {
    const char* const expected[] = {cell.permissive, cell.strict, cell.disable};
    for (int i = 0; i < 3; i++) {
      apply_everywhere("mode.yaml", peer_authentication(modes[i]) + destination_rule(cell.tls));
      curl("client", {"-o", "/dev/null", "http://server/"});  // connections of before have ended
      const auto seen = curl("client", {"-w", "\n%{http_code}", "http://server/"}).out;
      EXPECT_TRUE(seen.ends_with(expected[i])) << modes[i] << " " << cell.tls << ": " << seen;
      if (expected[i] == std::string("503")) {
        EXPECT_TRUE(has(seen, "reset reason: ")) << modes[i] << " " << cell.tls << ": " << seen;
      }
    }
  }
  const auto client = logs("client", "istio-proxy"), server = logs("server", "istio-proxy");
  EXPECT_TRUE(has(client, "UF")) << client;
  EXPECT_TRUE(has(client, "speaks_plain_HTTP_here")) << "DISABLE there, TLS here: " << client;
  EXPECT_TRUE(has(server, "NR filter_chain_not_found")) << server;
  EXPECT_TRUE(has(server, "PEER_DID_NOT_RETURN_A_CERTIFICATE")) << server;
}

}  // namespace
}  // namespace sallyport::behaviour
