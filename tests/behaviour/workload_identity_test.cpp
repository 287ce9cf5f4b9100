// Workload identity from end to end: certificates of a few seconds that rotate, and a CA that goes
// away.
#include "tests/behaviour/identity_scenario.h"

namespace sallyport::behaviour {
namespace {

// Two minutes see the certificates of 60 seconds change three or four times on both sides; in
// release builds SALLYPORT_M6_SECONDS=300.
std::string m6_seconds() {
  const char* const seconds = std::getenv("SALLYPORT_M6_SECONDS");
  return seconds ? seconds : "120";
}

using WorkloadIdentity = IdentityScenario;

TEST_F(WorkloadIdentity, PodsGetCertificatesOfTheirOwnAndRotateThem) {
  ASSERT_NO_FATAL_FAILURE(up_with("8s"));
  const std::string table = secrets("a");
  EXPECT_TRUE(std::regex_search(table, std::regex("ROOTCA +CA +ACTIVE +true"))) << table;
  for (const std::string pod : {"a", "b"}) {
    EXPECT_TRUE(
        logged("istio-system/istiod", "ca", "issued spiffe://cluster.local/ns/default/sa/" + pod));
    const std::string first = serial(pod);
    EXPECT_TRUE(soon([&] { return serial(pod) != first; })) << logs(pod, "istio-proxy");
    EXPECT_TRUE(has(logs(pod, "istio-proxy"),
                    "workload certificate spiffe://cluster.local/ns/default/sa/" + pod));
    EXPECT_FALSE(has(logs(pod, "istio-proxy"), "no workload certificate"))
        << logs(pod, "istio-proxy");
  }
  const auto metrics = curl("a", {"http://127.0.0.1:15000/stats/prometheus"}).out;
  EXPECT_TRUE(has(metrics, "istio_agent_cert_expiry_seconds{resource_name=\"default\"")) << metrics;
}

TEST_F(WorkloadIdentity, M6_CertificatesOf60SecondsRotateUnderLoadAndNoRequestFails) {
  ASSERT_NO_FATAL_FAILURE(up_with("60s"));
  exec("b", {"sh", "-c", "python3 -c \"$0\" >/dev/null 2>&1 &", web_server});
  ASSERT_TRUE(soon([&] { return has(curl("a", {"http://b/"}).out, "ok"); }));
  const std::string first_of_a = serial("a"), first_of_b = serial("b");
  const auto result = exec("a", {"python3", "-c", load, m6_seconds()});
  EXPECT_TRUE(has(result.out, " requests, 0 failed\n")) << result.out << result.err;
  EXPECT_NE(serial("a"), first_of_a);
  EXPECT_NE(serial("b"), first_of_b);
  EXPECT_GE(count(logs("b", "istio-proxy"), "workload certificate spiffe://"), 3);
  RecordProperty("load", result.out);
  std::cout << result.out;
}

TEST_F(WorkloadIdentity, OpensslVerifiesTheChain) {
  ASSERT_NO_FATAL_FAILURE(up_with("1h"));
  const auto verified =
      exec("a", {"sh", "-c",
                 "cd /tmp && curl -sS http://127.0.0.1:15000/config_dump > dump && python3 -c '"
                 "import json,base64\n"
                 "for c in json.load(open(\"dump\"))[\"configs\"]:\n"
                 "  for s in c.get(\"dynamic_active_secrets\", []):\n"
                 "    t=s[\"secret\"]\n"
                 "    if s[\"name\"]==\"default\": open(\"chain\",\"wb\").write(base64.b64decode("
                 "t[\"tls_certificate\"][\"certificate_chain\"][\"inline_bytes\"]))\n"
                 "    if s[\"name\"]==\"ROOTCA\": open(\"root\",\"wb\").write(base64.b64decode("
                 "t[\"validation_context\"][\"trusted_ca\"][\"inline_bytes\"]))\n"
                 "' && openssl verify -purpose sslserver -CAfile root -untrusted chain chain && "
                 "openssl verify -purpose sslclient -CAfile root -untrusted chain chain"});
  EXPECT_EQ(verified.out, "chain: OK\nchain: OK\n") << verified.err;
}

TEST_F(WorkloadIdentity, OutlivesItsCaAndFindsItAgain) {
  ASSERT_NO_FATAL_FAILURE(up_with("12s"));
  ASSERT_TRUE(sandbox_->remove("ca.yaml"));
  const std::string last = serial("a");
  EXPECT_TRUE(logged("a", "istio-proxy", "stays in use until"));
  EXPECT_TRUE(soon([&] { return has(secrets("a"), "expired at"); })) << secrets("a");
  apply("ca.yaml", ca_pod);
  EXPECT_TRUE(soon([&] {
    const std::string table = secrets("a");
    return !has(table, "expired at") && !has(table, last);
  })) << secrets("a");
}

class MeshSample : public Scenario {};

TEST_F(MeshSample, IsWhatItsReadmeSays) {
  up("mesh");
  sandbox::CommandResult result;
  const auto wire = captured("sleep", [&] { result = curl("sleep", {"http://web"}); });
  EXPECT_TRUE(has(result.out, "hello from web")) << result.out << result.err;
  EXPECT_TRUE(has(result.out, "URI=spiffe://cluster.local/ns/default/sa/sleep\n")) << result.out;
  EXPECT_FALSE(has(wire, "hello from web")) << "encrypted on the wire";
  EXPECT_EQ(curl("sleep", {"-X", "POST", "http://web"}).out, "RBAC: access denied");
  EXPECT_TRUE(has(curl("legacy", {"http://web"}).err, "reset")) << "STRICT";
  EXPECT_TRUE(has(in_sidecar("sleep", "sallyport proxy-config secret").out, "ROOTCA"));
}

}  // namespace
}  // namespace sallyport::behaviour
