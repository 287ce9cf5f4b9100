// A configuration in Istio's own YAML, compiled, and short questions to its snapshot: where would
// this connection go?
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "agent/mesh/compile.h"
#include "agent/mesh/decide.h"

namespace sallyport::mesh {

inline SocketAddress at(std::string_view text) { return SocketAddress::parse(text).value(); }

// What a connection or request ends in, as a log line would show it.
struct Answer {
  std::string cluster;  // "-": answered without one
  std::string route;    // "default", "allow_any", ...; "-" for TCP
  int status = 0;       // answered directly; 503: the cluster is closed
  bool closed = false;  // connection refused
  bool operator==(const Answer&) const = default;
};
inline std::ostream& operator<<(std::ostream& out, const Answer& a) {
  return out << a.cluster << " route " << a.route << " status " << a.status
             << (a.closed ? " closed" : "");
}

class World {
public:
  World() {
    input.proxy.name = "sleep-1";
    input.proxy.namespace_name = "default";
    input.proxy.labels = {{"app", "sleep"}, {"version", "v1"}};
    input.proxy.addresses = {"198.18.0.5"};
  }

  // Resources in the order given: the oldest first.
  World& add(std::string_view yaml, std::string_view file = "rules.yaml") {
    auto decoded = istio::decode(yaml, file);
    for (auto& resource : decoded.resources) {
      input.resources.push_back(std::make_shared<const istio::Resource>(std::move(resource)));
    }
    for (auto& refused : decoded.refused) input.refused.push_back(std::move(refused));
    return *this;
  }
  // The newest, edited in place: as the store hands it on, under its old ref.
  World& edit_last(std::string_view yaml) {
    auto resource = std::move(istio::decode(yaml, "rules.yaml").resources.at(0));
    const auto& old = istio::metadata_of(*input.resources.back()).ref;
    std::visit([&](auto& one) { one.metadata.ref = old; }, resource);
    input.resources.back() = std::make_shared<const istio::Resource>(std::move(resource));
    return *this;
  }
  World& compile() {
    input.changes.reset();
    if (compiled.snapshot && !new_mesh) input.changes = changes_between(before, input.resources);
    new_mesh = false;
    before = input.resources;
    compiled = mesh::compile(input, compiled.snapshot, ++version);
    return *this;
  }
  World& registry_only() {
    input.mesh.outbound_traffic_policy = istio::OutboundMode::registry_only;
    new_mesh = true;
    return *this;
  }

  const Snapshot& snapshot() const { return *compiled.snapshot; }
  const Cluster* cluster(std::string_view name) const {
    const auto found = snapshot().clusters.find(name);
    return found == snapshot().clusters.end() ? nullptr : found->second.get();
  }
  std::string findings() const {
    std::string out;
    for (const auto& finding : compiled.findings) out += finding.text() + "\n";
    return out;
  }

  ConnectionPlan connect(std::string_view destination, const sniff::Preface& preface) const {
    const auto address = at(destination);
    return decide_connection(snapshot(), find_listener(snapshot(), address), address, preface);
  }
  Answer bytes(std::string_view destination, sniff::Protocol protocol = sniff::Protocol::opaque,
               std::string sni = "") const {
    sniff::Preface preface;
    preface.protocol = protocol;
    preface.sni = std::move(sni);
    const auto plan = connect(destination, preface);
    return {plan.cluster ? plan.cluster->name : "-", std::string(plan.route_name), 0,
            plan.action == Action::refuse};
  }
  Answer tls(std::string_view destination, std::string sni) const {
    return bytes(destination, sniff::Protocol::tls, std::move(sni));
  }
  // A request as the proxy handles it: connection first, then the request.
  Answer http(std::string_view destination, std::string_view host) const {
    sniff::Preface preface;
    preface.protocol = sniff::Protocol::http1;
    const auto plan = connect(destination, preface);
    if (plan.action != Action::http) return bytes(destination, sniff::Protocol::http1);
    return request(destination, host);
  }
  Answer request(std::string_view destination, std::string_view host) const {
    return request(destination, RequestFacts{.authority = host, .path = "/", .method = "GET"});
  }
  Answer request(std::string_view destination, const RequestFacts& facts) const {
    const auto address = at(destination);
    const auto plan = decide_request(snapshot(), address.port(), address, facts);
    const Cluster* const cluster = plan.cluster ? plan.cluster->get() : nullptr;
    return {cluster ? cluster->name : "-", plan.route ? plan.route->name : "-",
            cluster && cluster->refused ? 503 : plan.status, false};
  }

  CompileInput input;
  Compiled compiled;
  bool new_mesh = false;  // the next compile() is under another mesh config or proxy
  Resources before;       // of the last compile()
  uint64_t version = 0;
};

// A ServiceEntry; `ports` like {"80 HTTP", "443 HTTPS", "8080 HTTP 443"} (number, protocol or "-",
// targetPort).
struct EntrySpec {
  std::string host, name_space = "default", resolution = "DNS";
  std::vector<std::string> ports = {"80 HTTP"};
  std::string more;  // further lines of spec, indented by two
};
inline std::string entry(const EntrySpec& spec) {
  std::string out =
      "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: entry-" +
      std::to_string(std::hash<std::string>()(spec.host) % 100000) +
      "\n  namespace: " + spec.name_space + "\nspec:\n  hosts: ['" + spec.host +
      "']\n  resolution: " + spec.resolution + "\n  ports:\n";
  for (const auto& port : spec.ports) {
    std::istringstream words(port);
    std::string number, protocol, target;
    words >> number >> protocol >> target;
    out += "  - {number: " + number + ", name: p" + number;
    if (protocol != "-") out += ", protocol: " + protocol;
    if (!target.empty()) out += ", targetPort: " + target;
    out += "}\n";
  }
  return out + spec.more + "---\n";
}

struct RuleSpec {
  std::string host, name = "rule", name_space = "default";
  std::string policy = "tls: {mode: SIMPLE}";  // flow content of trafficPolicy; "" for none
  std::string more;                            // further lines of spec, indented by two
};
inline std::string rule(const RuleSpec& spec) {
  std::string out =
      "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: " + spec.name +
      "\n  namespace: " + spec.name_space + "\nspec:\n  host: '" + spec.host + "'\n";
  if (!spec.policy.empty()) out += "  trafficPolicy: {" + spec.policy + "}\n";
  return out + spec.more + "---\n";
}

// A Kubernetes Service; `ports` like {"80 http", "9000 tcp-db"} (number, name).
inline std::string service(const std::string& name, const std::string& name_space,
                           const std::string& cluster_ip, const std::vector<std::string>& ports) {
  std::string out = "apiVersion: v1\nkind: Service\nmetadata: {name: " + name +
                    ", namespace: " + name_space + "}\nspec:\n  clusterIP: '" + cluster_ip +
                    "'\n  ports:\n";
  for (const auto& port : ports) {
    const auto blank = port.find(' ');
    out += "  - {port: " + port.substr(0, blank) + ", name: " + port.substr(blank + 1) + "}\n";
  }
  return out + "---\n";
}

}  // namespace sallyport::mesh
