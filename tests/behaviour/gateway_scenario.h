// A gateway in the sandbox, and a client outside of the mesh, for scenarios G1 to G12.
#pragma once
#include "tests/behaviour/scenario.h"
#include "tests/support/test_certs.h"

namespace sallyport::behaviour {

inline const std::string ingress = "istio-system/istio-ingressgateway";

inline std::string text_of_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(SALLYPORT_SOURCE_DIR "/" + path).rdbuf();
  return text.str();
}

// `files`: key → content, as `stringData` of a Secret or `data` of a ConfigMap.
inline std::string object(const std::string& kind, const std::string& namespace_name,
                          const std::string& name,
                          const std::vector<std::pair<std::string, std::string>>& files) {
  std::string out = "---\napiVersion: v1\nkind: " + kind + "\nmetadata: {name: " + name +
                    ", namespace: " + namespace_name + "}\n" +
                    (kind == "Secret" ? "stringData:\n" : "data:\n");
  for (const auto& [key, text] : files) out += "  " + key + ": |\n" + indented(text);
  return out;
}

inline std::string tls_secret(const std::string& name, const test::Issued& issued) {
  return object("Secret", "istio-system", name,
                {{"tls.crt", issued.chain_pem}, {"tls.key", issued.key_pem}});
}

// As `openssl` and curl print it in hexadecimal, at least two digits.
inline std::string serial_text(const test::Issued& issued) {
  char text[32];
  std::snprintf(text, sizeof text, "%02lX", issued.serial);
  return text;
}

class GatewayScenario : public Scenario {
protected:
  // The address of the gateway's Service.
  std::string gateway() {
    if (gateway_.empty()) {
      const auto found =
          exec("client", {"getent", "ahostsv4", "istio-ingressgateway.istio-system"}).out;
      gateway_ = found.substr(0, found.find(' '));
      EXPECT_FALSE(gateway_.empty()) << found;
    }
    return gateway_;
  }

  // curl of `path` on the gateway over HTTPS, with `host` as SNI and Host.
  sandbox::CommandResult https(const std::string& host, std::vector<std::string> more = {},
                               const std::string& path = "/", int port = 443) {
    const std::string at = host + ":" + std::to_string(port);
    more.insert(more.end(), {"--resolve", at + ":" + gateway(), "https://" + at + path});
    return curl("client", more);
  }
  // The same over plain HTTP.
  sandbox::CommandResult http(const std::string& host, std::vector<std::string> more = {},
                              const std::string& path = "/") {
    more.insert(more.end(), {"-H", "Host: " + host, "http://" + gateway() + path});
    return curl("client", more);
  }

  // What openssl says of a handshake with the gateway; it sends nothing. `reader`: a command that
  // gets that, and is heard instead.
  std::string s_client(const std::string& more, int port = 443, const std::string& reader = {}) {
    const std::string command = "timeout 10 openssl s_client -connect " + gateway() + ":" +
                                std::to_string(port) + " " + more + " </dev/null 2>&1 " + reader;
    return exec("client", {"sh", "-c", command}).out;
  }
  // The serial number of the certificate that the gateway shows for `host`.
  std::string shown_serial(const std::string& host) {
    const auto said = s_client("-servername " + host, 443, "| openssl x509 -noout -serial");
    return has(said, "serial=") ? said.substr(7, said.size() - 8) : said;
  }

  void write_file(const std::string& path, const std::string& text) {
    EXPECT_EQ(exec("client", {"sh", "-c", "cat > " + path}, text).code, 0) << path;
  }

  ::testing::AssertionResult gateway_logged(std::string_view part) {
    return logged(ingress, "istio-proxy", part);
  }
  std::string gateway_log() { return logs(ingress, "istio-proxy"); }

  // `sallyport WORDS` where the gateway runs.
  sandbox::CommandResult sallyport(const std::vector<std::string>& words) {
    std::vector<std::string> argv = {"sallyport"};
    argv.insert(argv.end(), words.begin(), words.end());
    sandbox::ExecOptions options;
    options.container = "istio-proxy";
    auto result = sandbox_->exec(ingress, argv, options);
    if (result) return *result;
    ADD_FAILURE() << result.error().context;
    return {};
  }

private:
  std::string gateway_;
};

// Every failure of curl to agree on TLS, or to get an answer after it: its exit codes 35 and 56.
inline bool refused_by_server(const sandbox::CommandResult& result) {
  return (result.code == 35 || result.code == 56) && result.out.empty();
}

}  // namespace sallyport::behaviour
