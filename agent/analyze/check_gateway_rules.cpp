// VirtualServices that a gateway has, and rules of theirs that it can't use.
#include "agent/analyze/checks.h"
#include "agent/istio/gateway.h"
#include "agent/istio/names.h"
#include "agent/mesh/gateway_rules.h"
#include "agent/mesh/host_names.h"

namespace sallyport::analyze {
namespace {

using mesh::BoundServer;
using mesh::BoundService;

// What a server does with its clients' bytes, as far as rules are asked.
enum class ServerUse : uint8_t { requests, sni, bytes };

ServerUse use_of(const istio::GatewayServer& server) {
  const bool http = istio::protocol_class(server.protocol) == istio::ProtocolClass::http;
  if (http) return ServerUse::requests;
  if (!server.tls) return ServerUse::bytes;
  if (istio::is_passthrough(*server.tls)) return ServerUse::sni;
  return server.protocol == "HTTPS" ? ServerUse::requests : ServerUse::bytes;
}

// The servers that a VirtualService is behind, on any gateway's proxy.
struct BehindServers {
  const istio::Gateway* gateway = nullptr;  // of the first
  const istio::GatewayServer* server = nullptr;
  std::set<ServerUse> uses;
  std::map<std::string, std::string> narrowed;  // its wildcards, and the server's host instead
  std::set<std::string> whole;                  // its wildcards that a server has as they are
};

class GatewayRuleCheck {
public:
  explicit GatewayRuleCheck(Checks& checks) : checks_(checks) {}
  void look_as(const istio::Proxy& proxy);
  void report();

private:
  void look_at(const BoundServer& server, const BoundService& bound);
  void report_rules(const Typed<istio::VirtualService>& service, const BehindServers& behind);
  void report_hosts(const Typed<istio::VirtualService>& service, const BehindServers& behind);

  Checks& checks_;
  std::map<const ResourceRef*, BehindServers> behind_;  // by VirtualService
};

void GatewayRuleCheck::look_at(const BoundServer& server, const BoundService& bound) {
  if (common_hosts(server, bound).empty()) return;
  auto& behind = behind_[bound.service().metadata.ref.get()];
  if (!behind.server) {
    behind.gateway = server.gateway;
    behind.server = server.server;
  }
  behind.uses.insert(use_of(*server.server));
  const auto& space = bound.service().metadata.namespace_name();
  for (const auto& host : bound.hosts) {
    if (!host.starts_with("*.")) continue;
    if (mesh::has_host(server, host)) behind.whole.insert(host);
    for (const auto& own : mesh::common_hosts(server, {host}, space))
      if (!mesh::is_wildcard(own)) behind.narrowed.emplace(host, own);
  }
}

void GatewayRuleCheck::look_as(const istio::Proxy& proxy) {
  const auto input = checks_.world.input_for(proxy);
  std::vector<istio::Finding> told_elsewhere;
  const mesh::GatewayServers servers(input, told_elsewhere);
  const mesh::GatewayRules rules(input, told_elsewhere);
  for (const auto& group : servers.groups()) {
    for (const auto* list : {&group.plain, &group.tls})
      for (const auto& server : *list)
        for (const auto* bound : rules.of(server)) look_at(server, *bound);
  }
}

std::string server_words(const BehindServers& behind) {
  return "server " + behind.server->port_name + " of " +
         text_at(behind.gateway->metadata.ref, behind.server->line);
}

void GatewayRuleCheck::report_rules(const Typed<istio::VirtualService>& service,
                                    const BehindServers& behind) {
  const bool sees_requests = behind.uses.contains(ServerUse::requests);
  const bool sees_sni = behind.uses.contains(ServerUse::sni);
  if (!service->http.empty() && !sees_requests) {
    checks_.add("SLP0506", *service.object, "spec.http",
                "the gateway sees no requests: " + server_words(behind) +
                    (sees_sni ? " passes TLS through" : " takes bytes") +
                    ", and no other has these hosts");
  }
  if (!service->tls.empty() && !sees_sni) {
    checks_.add("SLP0507", *service.object, "spec.tls",
                server_words(behind) + " passes no TLS through, and no other has these hosts");
  }
}

void GatewayRuleCheck::report_hosts(const Typed<istio::VirtualService>& service,
                                    const BehindServers& behind) {
  for (std::size_t i = 0; i < service->hosts.size(); i++) {
    const auto at = behind.narrowed.find(service->hosts[i]);
    if (at == behind.narrowed.end() || behind.whole.contains(service->hosts[i])) continue;
    checks_.add("SLP0508", *service.object, item("spec.hosts", i),
                "of " + service->hosts[i] + " the gateway serves " + at->second +
                    " alone: " + server_words(behind) + " has no wildcard");
  }
}

void GatewayRuleCheck::report() {
  for (const auto& service : checks_.world.all<istio::VirtualService>()) {
    const auto at = behind_.find(service->metadata.ref.get());
    if (at == behind_.end()) continue;
    // Rules of one that is the mesh's, too, may be meant for sidecars.
    if (!istio::is_of_mesh(*service.value)) report_rules(service, at->second);
    report_hosts(service, at->second);
  }
}

}  // namespace

void check_gateway_rules(Checks& checks) {
  GatewayRuleCheck check(checks);
  const auto resources = checks.world.input_for({}).resources;
  for (const auto& proxy : mesh::router_views(resources, checks.world.pods())) check.look_as(proxy);
  check.report();
}

}  // namespace sallyport::analyze
