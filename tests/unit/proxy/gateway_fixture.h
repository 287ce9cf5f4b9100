// A gateway's door: its servers listen on the dialled port, and the test plays app.test behind
// them.
#pragma once
#include "agent/proxy/gateway.h"
#include "tests/support/tls_client.h"
#include "tests/unit/proxy/proxy_fixture.h"

namespace sallyport::proxy {

class GatewayTest : public ProxyTest {
protected:
  GatewayTest() {
    proxy_.type = istio::Proxy::Type::router;
    proxy_.labels = {{"istio", "ingressgateway"}};
    proxy_.addresses = {"198.18.0.9"};
  }

  // Of the dialled port: `protocol`, `hosts`, and what is under `tls` ("": nothing).
  std::string server(const std::string& protocol, const std::string& hosts,
                     const std::string& tls = "") {
    const auto name = "s" + std::to_string(++servers_);
    return "  - port: {number: " + std::to_string(dialled_port()) + ", name: " + name +
           ", protocol: " + protocol + "}\n    hosts: [" + hosts + "]\n" +
           (tls.empty() ? "" : "    tls: {" + tls + "}\n");
  }
  static std::string gateway(const std::string& servers) {
    return "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n"
           "  selector: {istio: ingressgateway}\n  servers:\n" +
           servers + "---\n";
  }
  // A VirtualService behind it; `rules`: lines under spec.
  static std::string behind(const std::string& hosts, const std::string& rules) {
    return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: vs}\nspec:\n"
           "  hosts: [" +
           hosts + "]\n  gateways: [gw]\n" + rules + "\n---\n";
  }
  static std::string to_app() { return "[{destination: {host: app.test}}]"; }
  static std::string http_to_app() { return "  http: [{route: " + to_app() + "}]"; }
  void serve(const std::string& servers, const std::string& services,
             const istio::MeshConfig& mesh = {}) {
    use(gateway(servers) + services + one_service(), mesh);
  }

  // Certificate and CA under these names: kubernetes://NAME, kubernetes://NAME-cacert.
  void give_secret(const std::string& name, const test::Issued& issued,
                   const test::Authority* clients = nullptr) {
    certs::Vault vault = *vault_.current();
    vault.entries["kubernetes://" + name].pair =
        certs::KeyPair::parse(issued.chain_pem, issued.key_pem).value();
    if (clients)
      vault.entries["kubernetes://" + name + "-cacert"].roots =
          certs::TrustStore::parse(clients->pem()).value();
    vault_.publish(std::make_shared<const certs::Vault>(std::move(vault)));
  }

  test::TestSocket connect() {
    return dial_as([](Client client, Worker& worker) {
      return serve_gateway(std::move(client.stream), worker);
    });
  }
  test::TlsClient connect_by_tls(const std::string& sni, test::TlsClient::Options options = {}) {
    options.sni = sni;
    return test::TlsClient(connect(), options);
  }

  const test::Authority root_ = test::Authority::root("Public Root");

private:
  int servers_ = 0;
};

}  // namespace sallyport::proxy
