// An application behind 15006, its sidecar's identity, and peers of the mesh.
#pragma once
#include "agent/proxy/inbound.h"
#include "tests/support/tls_client.h"
#include "tests/unit/proxy/proxy_fixture.h"

namespace sallyport::proxy {

inline const std::string sleeper = "spiffe://cluster.local/ns/default/sa/sleep",
                         own_id = "spiffe://cluster.local/ns/default/sa/server";
inline const std::string sni = "outbound_.80_._.server.default.svc.cluster.local";
inline const std::vector<std::string> mesh_http{"istio-http/1.1", "istio", "http/1.1"},
    mesh_tcp{"istio-peer-exchange", "istio"};

class InboundTest : public ProxyTest {
protected:
  InboundTest() {
    proxy_.name = "server-1";
    proxy_.labels = {{"app", "server"}};
    dialled_ = upstream_address();
    give_identity();
    use(app("http"));
  }

  // The application's port, declared by a Service of this port name, and what else there is.
  std::string app(const std::string& port_name, const std::string& more = "") const {
    return "apiVersion: v1\nkind: Service\nmetadata: {name: server}\nspec:\n  selector: {app: "
           "server}\n  ports: [{name: '" +
           port_name + "', port: 80, targetPort: " + std::to_string(upstream_address().port()) +
           "}]\n---\n" + more;
  }
  static std::string mode(const std::string& mode) {
    return "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default}\n"
           "spec: {mtls: {mode: " +
           mode + "}}\n---\n";
  }
  static std::string deny(const std::string& rules) {
    return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: deny}\n"
           "spec:\n  action: DENY\n  rules: " +
           rules + "\n---\n";
  }

  void give_identity() {
    const auto own = root_.issue({.common_name = "", .uris = {own_id}});
    certs::Vault vault;
    vault.entries["default"].pair = certs::KeyPair::parse(own.chain_pem, own.key_pem).value();
    vault.entries["ROOTCA"].roots = certs::TrustStore::parse(root_.pem()).value();
    vault_.publish(std::make_shared<const certs::Vault>(std::move(vault)));
  }

  test::TestSocket enter() {
    return dial_as(
        [](Client client, Worker& worker) { return serve_peer(std::move(client), worker); });
  }
  test::TlsClient enter_by_tls(const std::vector<std::string>& alpn = mesh_http,
                               const std::string& as = sleeper) {
    test::TlsClient::Options options{.sni = sni, .alpn = alpn};
    if (!as.empty()) options.certificate = root_.issue({.common_name = "", .uris = {as}});
    return test::TlsClient(enter(), options);
  }

  const test::Authority root_ = test::Authority::root("Mesh Root");
};

}  // namespace sallyport::proxy
