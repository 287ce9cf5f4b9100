// The pods of scenarios M1 to M5, with identities of one mesh root.
#pragma once
#include "tests/behaviour/scenario.h"
#include "tests/support/test_certs.h"

namespace sallyport::behaviour {

inline std::string secret(const std::string& name,
                          const std::vector<std::pair<std::string, std::string>>& files) {
  std::string out = "apiVersion: v1\nkind: Secret\nmetadata: {name: " + name + "}\nstringData:\n";
  for (const auto& [file, text] : files) out += "  " + file + ": |\n" + indented(text);
  return out + "---\n";
}

inline std::string spiffe(const std::string& account) {
  return "spiffe://cluster.local/ns/default/sa/" + account;
}

class MeshScenario : public Scenario {
protected:
  // As SPIFFE helpers mount it: /var/run/secrets/workload-spiffe-credentials.
  std::string identity(const std::string& secret_name, const std::vector<std::string>& uris) const {
    const auto issued = root_.issue({.common_name = "", .uris = uris});
    return secret(secret_name, {{"certificates.pem", issued.chain_pem},
                                {"private_key.pem", issued.key_pem},
                                {"ca_certificates.pem", root_.pem()}});
  }

  // The pods of tests/behaviour/mesh/pods.yaml, and more.
  void mesh_up(const sandbox::Files& more = {}) {
    std::ostringstream pods;
    pods << std::ifstream(SALLYPORT_SOURCE_DIR "/tests/behaviour/mesh/pods.yaml").rdbuf();
    const auto app = app_root_.issue({.common_name = "server", .dns = {"server"}});
    sandbox::Files files{{"pods.yaml", pods.str()},
                         {"identities.yaml", identity("server-identity", {spiffe("server")}) +
                                                 identity("client-identity", {spiffe("client")}) +
                                                 secret("app-tls", {{"tls.crt", app.chain_pem},
                                                                    {"tls.key", app.key_pem}})}};
    for (const auto& [file, text] : more) files[file] = text;
    start(files);
  }

  static std::string peer_authentication(const std::string& mode) {
    return "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default}\n"
           "spec: {mtls: {mode: " +
           mode + "}}\n---\n";
  }
  static std::string destination_rule(const std::string& tls) {
    return "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: server}\n"
           "spec:\n  host: server.default.svc.cluster.local\n  trafficPolicy: {tls: " +
           tls + "}\n---\n";
  }

  // An answer of the HTTP port, or what curl says of it: "200", "503", "000".
  std::string status(const std::string& pod, const std::string& url = "http://server/") {
    return curl(pod, {"-o", "/dev/null", "-w", "%{http_code}", url}).out;
  }
  // What comes back from a TCP port for a line.
  std::string line_from(const std::string& pod, int port, const std::string& line = "ping\n") {
    return exec(pod,
                {"timeout", "10", "python3", "-c",
                 "import socket,sys\ns=socket.create_connection(('server'," + std::to_string(port) +
                     "),5)\ns.settimeout(5)\nl=sys.stdin.readline()\ns.sendall(l.encode()) if l "
                     "else 0\n"
                     "try: print(s.recv(100).decode(),end='')\nexcept Exception as e: print(e)\n"},
                line)
        .out;
  }

  const test::Authority root_ = test::Authority::root("Mesh Root");
  const test::Authority app_root_ = test::Authority::root("Application Root");
};

}  // namespace sallyport::behaviour
