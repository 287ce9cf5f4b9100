// Which source a workload's certificate comes from, as flags and Istio's environment say.
#include "agent/cli/workload_identity.h"

#include <map>

namespace sallyport::cli {
namespace {

using Variables = std::map<std::string, std::string>;

Result<ca::IdentitySettings> find(const WorkloadIdentityFlags& flags, const Variables& variables,
                                  const std::string& file = "") {
  return find_workload_identity(
      flags,
      [&](const char* name) {
        const auto at = variables.find(name);
        return at == variables.end() ? nullptr : at->second.c_str();
      },
      [&](const std::string& path) { return path == file; });
}

std::string source_of(const Result<ca::IdentitySettings>& found) {
  if (!found) return "error: " + found.error().context;
  if (const auto* files = std::get_if<ca::IdentityFiles>(&found->source))
    return "files " + files->chain + " " + files->key + " " + files->roots;
  if (const auto* from = std::get_if<ca::CaSettings>(&found->source))
    return "ca " + from->address + " root " + from->root_file + " token " + from->token_file +
           (from->chain_file.empty() ? "" : " cert " + from->chain_file + " " + from->key_file);
  if (const auto* from = std::get_if<ca::WorkloadApiSettings>(&found->source))
    return "workload API " + from->endpoint;
  return "none";
}

struct Case {
  const char* name;
  WorkloadIdentityFlags flags;
  Variables variables;
  const char* file;  // the one that exists
  const char* expect;
};

const char* const credentials = "/var/run/secrets/workload-spiffe-credentials/";
const std::string gke = std::string(credentials) + "certificates.pem",
                  spiffe = std::string(credentials) + "cert-chain.pem";

const Case cases[] = {
    {"nothing said", {}, {}, "", "none"},
    {"CA_ADDR, with the files of Istio's injector",
     {},
     {{"CA_ADDR", "istiod.istio-system.svc:15012"}},
     "",
     "ca istiod.istio-system.svc:15012 root /var/run/secrets/istio/root-cert.pem token "
     "/var/run/secrets/tokens/istio-token"},
    {"CA_ROOT_CA and the flags' files",
     {.ca_token = "/t"},
     {{"CA_ADDR", "ca:1"}, {"CA_ROOT_CA", "SYSTEM"}},
     "",
     "ca ca:1 root SYSTEM token /t"},
    {"PROV_CERT's certificate",
     {},
     {{"CA_ADDR", "ca:1"}, {"PROV_CERT", "/etc/certs"}},
     "",
     "ca ca:1 root /etc/certs/root-cert.pem token /var/run/secrets/tokens/istio-token cert "
     "/etc/certs/cert-chain.pem /etc/certs/key.pem"},
    {"FILE_MOUNTED_CERTS before CA_ADDR",
     {},
     {{"CA_ADDR", "ca:1"}, {"FILE_MOUNTED_CERTS", "true"}},
     "",
     "files /etc/certs/cert-chain.pem /etc/certs/key.pem /etc/certs/root-cert.pem"},
    {"FILE_MOUNTED_CERTS that says no", {}, {{"FILE_MOUNTED_CERTS", "false"}}, "", "none"},
    {"a mounted volume of credentials before CA_ADDR",
     {},
     {{"CA_ADDR", "ca:1"}},
     gke.c_str(),
     "files /var/run/secrets/workload-spiffe-credentials/certificates.pem "
     "/var/run/secrets/workload-spiffe-credentials/private_key.pem "
     "/var/run/secrets/workload-spiffe-credentials/ca_certificates.pem"},
    {"the same with Istio's names",
     {},
     {},
     spiffe.c_str(),
     "files /var/run/secrets/workload-spiffe-credentials/cert-chain.pem "
     "/var/run/secrets/workload-spiffe-credentials/key.pem "
     "/var/run/secrets/workload-spiffe-credentials/root-cert.pem"},
    {"the Workload API",
     {},
     {{"SPIFFE_ENDPOINT_SOCKET", "unix:///run/spire.sock"}, {"CA_ADDR", "ca:1"}},
     "",
     "workload API unix:///run/spire.sock"},
    {"the Workload API at a name, over which a key would come in clear from whoever has it",
     {.workload_socket = "tcp://spire:8081"},
     {},
     "",
     "error: the Workload API's endpoint \"tcp://spire:8081\": tcp:// is followed by an IP address "
     "and a port, never by a name"},
    {"a flag before all of the environment",
     {.ca_address = "other:2"},
     {{"FILE_MOUNTED_CERTS", "true"}},
     "",
     "ca other:2 root /var/run/secrets/istio/root-cert.pem token "
     "/var/run/secrets/tokens/istio-token"},
    {"files of flags", {.chain = "/c", .key = "/k", .roots = "/r"}, {}, "", "files /c /k /r"},
    {"files of flags, not all",
     {.chain = "/c", .key = "/k"},
     {},
     "",
     "error: --identity-cert, --identity-key and --identity-root go together"},
    {"two sources",
     {.workload_socket = "unix:///s", .ca_address = "ca:1"},
     {},
     "",
     "error: one source of the workload's certificate: --identity-cert, --workload-socket or "
     "--ca-address"},
    {"no port", {.ca_address = "ca"}, {}, "", "error: the CA's address \"ca\" is not host:port"},
    {"SECRET_TTL that is no time",
     {.ca_address = "ca:1"},
     {{"SECRET_TTL", "soon"}},
     "",
     "error: SECRET_TTL: \"soon\" is not a duration of a second or more"},
    {"a key that nobody should have",
     {.ca_address = "ca:1"},
     {{"WORKLOAD_RSA_KEY_SIZE", "1024"}},
     "",
     "error: WORKLOAD_RSA_KEY_SIZE: \"1024\" is none of 2048, 3072, 4096"},
    {"a ratio that is none",
     {},
     {{"SECRET_GRACE_PERIOD_RATIO", "1.5"}},
     "",
     "error: SECRET_GRACE_PERIOD_RATIO: \"1.5\" is not a number from 0 to 1"},
};

class WorkloadIdentity : public testing::TestWithParam<Case> {};
TEST_P(WorkloadIdentity, ComesFrom) {
  const Case& c = GetParam();
  EXPECT_EQ(source_of(find(c.flags, c.variables, c.file)), c.expect) << c.name;
}
INSTANTIATE_TEST_SUITE_P(Spec, WorkloadIdentity, testing::ValuesIn(cases));

TEST(WorkloadIdentity, KeyTimesAndRatiosAreIstiosVariables) {
  const auto found = find({}, {{"CA_ADDR", "ca:1"},
                               {"ECC_SIGNATURE_ALGORITHM", "ECDSA"},
                               {"ECC_CURVE", "P384"},
                               {"SECRET_TTL", "1m0s"},
                               {"SECRET_GRACE_PERIOD_RATIO", "0.25"},
                               {"SECRET_GRACE_PERIOD_RATIO_JITTER", "0.1"},
                               {"TRUST_DOMAIN", "example.org"}});
  ASSERT_TRUE(found) << found.error().context;
  const auto& settings = std::get<ca::CaSettings>(found->source);
  EXPECT_EQ(settings.key, ca::KeyKind::ec_p384);
  EXPECT_EQ(settings.ttl, std::chrono::seconds(60));
  EXPECT_EQ(found->rotation.grace_ratio, 0.25);
  EXPECT_EQ(found->rotation.grace_jitter, 0.1);
  EXPECT_EQ(found->trust_domain, "example.org");
}

}  // namespace
}  // namespace sallyport::cli
