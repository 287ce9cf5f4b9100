// Gateways in Istio's own YAML, compiled for a router, and short questions to its snapshot.
#pragma once
#include "agent/mesh/gateway.h"
#include "world.h"

namespace sallyport::mesh {

class GatewayWorld : public World {
public:
  GatewayWorld() {
    input.proxy.type = istio::Proxy::Type::router;
    input.proxy.name = "istio-ingressgateway-1";
    input.proxy.namespace_name = "istio-system";
    input.proxy.labels = {{"app", "istio-ingressgateway"}, {"istio", "ingressgateway"}};
  }

  const GatewayListener* listener(uint16_t port) const {
    return mesh::find_listener(snapshot().gateway, SocketAddress(IpAddress::v4(0x0a000001), port));
  }
  GatewayPlan plan(uint16_t port, const sniff::Preface& preface) const {
    const auto* found = listener(port);
    return found ? decide_gateway(*found, hello_of(preface)) : GatewayPlan{};
  }
  GatewayPlan tls(uint16_t port, std::string sni, std::vector<std::string> alpn = {}) const {
    return plan(port, {sniff::Protocol::tls, std::move(sni), std::move(alpn)});
  }
  GatewayPlan plaintext(uint16_t port, sniff::Protocol protocol = sniff::Protocol::http1) const {
    return plan(port, {protocol, {}, {}});
  }
  // "CHAIN: what is done": "https.443.https.gw.default: terminate"; "-: refuse: why" without a
  // chain.
  std::string decided(const GatewayPlan& plan) const {
    constexpr const char* words[] = {"terminate", "http", "tcp", "not HTTP", "refuse"};
    std::string out = plan.chain ? (*plan.chain)->name : "-";
    out += std::string(": ") + words[static_cast<int>(plan.action)];
    if (plan.action == GatewayAction::tcp) out += " to " + (*plan.chain)->tcp->cluster->name;
    const bool refused =
        plan.action == GatewayAction::refuse || plan.action == GatewayAction::not_http;
    if (refused) out += ": " + std::string(plan.why);
    return out;
  }
  // What becomes of a request on a chain: the cluster, or the status.
  std::string request(const GatewayPlan& plan, std::string_view host, std::string_view path = "/",
                      bool https = false) const {
    if (!plan.chain || !(*plan.chain)->http) return "no HTTP";
    const RequestFacts facts{.authority = host, .path = path, .method = "GET"};
    const auto found = decide_gateway_request(**plan.chain, facts, https);
    if (found.to_https) return "to https";
    if (!found.route) return "404";
    if (!found.cluster) return found.status ? std::to_string(found.status) : "503 NC";
    return (*found.cluster)->refused ? "503 closed" : (*found.cluster)->name;
  }
  std::string get(uint16_t port, std::string_view host, std::string_view path = "/") const {
    return request(plaintext(port), host, path);
  }
  std::string get_tls(uint16_t port, std::string sni, std::string_view host,
                      std::string_view path = "/") const {
    return request(tls(port, std::move(sni)), host, path, true);
  }
};

// A Service in namespace default; `ports` like "80" or "443 8443" (number, targetPort).
inline std::string service(std::string_view name, std::string_view port,
                           std::string_view name_space = "default") {
  const std::string number(port.substr(0, port.find(' ')));
  std::string out = "apiVersion: v1\nkind: Service\nmetadata: {name: ";
  out.append(name).append(", namespace: ").append(name_space);
  out += "}\nspec:\n  clusterIP: 10.9.0." +
         std::to_string(1 + std::hash<std::string_view>()(name) % 250);
  out += "\n  ports:\n  - {name: http, port: " + number;
  if (port.find(' ') != port.npos)
    out += ", targetPort: " + std::string(port.substr(port.find(' ') + 1));
  return out + "}\n---\n";
}

}  // namespace sallyport::mesh
