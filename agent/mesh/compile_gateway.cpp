#include "agent/mesh/compile_gateway.h"

#include <algorithm>
#include <set>

#include "agent/istio/names.h"
#include "agent/mesh/compile_termination.h"
#include "agent/mesh/gateway_routes.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"
#include "agent/mesh/reuse.h"

namespace sallyport::mesh {
namespace {

using Chains = ByText<GatewayChainPtr>;

bool is_http_server(const BoundServer& server) {
  return istio::protocol_class(server.server->protocol) == istio::ProtocolClass::http;
}

template <class Map, class Key>
typename Map::mapped_type find_or(const Map& map, const Key& key) {
  const auto at = map.find(key);
  return at == map.end() ? typename Map::mapped_type() : at->second;
}

class GatewayBuilder {
public:
  GatewayBuilder(const GatewayParts& parts, std::vector<istio::Finding>& findings)
      : parts_(parts),
        findings_(findings),
        servers_(parts.input, findings),
        rules_(parts.input, findings) {
    if (!parts.previous) return;
    each_chain(parts.previous->gateway,
               [this](const GatewayChainPtr& chain) { old_.try_emplace(chain->name, chain); });
  }
  GatewayPorts build();

private:
  void add(const ServerGroup& group);
  void add_plain(const ServerGroup& group, GatewayListener& listener);
  void add_tls(const BoundServer& server, GatewayListener& listener);
  void add_ended(const BoundServer& server, GatewayListener& listener);
  void add_passed(const BoundServer& server, GatewayListener& listener);
  void add_mesh(const BoundServer& server, GatewayListener& listener);
  bool add_sni(GatewayListener& listener, const std::string& name, const GatewayChainPtr& chain);
  static bool is_taken(const GatewayListener& listener, const std::string& name);
  void close_refused(GatewayListener& listener);
  bool serves_port(const istio::RefusedServer& server, const GatewayListener& listener) const;
  bool set_tcp_route(const BoundServer& server, GatewayChain& chain);
  GatewayChainPtr keep(GatewayChain chain) const;
  GatewayListenerPtr keep(GatewayListener listener) const;
  std::shared_ptr<const RouteTable> old_table(std::string_view chain) const;
  GatewayChain chain_of(const BoundServer& server) const;
  void warn(const BoundServer& server, std::string why);

  const GatewayParts& parts_;
  std::vector<istio::Finding>& findings_;
  GatewayServers servers_;
  GatewayRules rules_;
  Chains old_;
  GatewayPorts out_;
};

void GatewayBuilder::warn(const BoundServer& server, std::string why) {
  findings_.push_back(finding(istio::Severity::warning, server.gateway->metadata, "spec.servers",
                              "server " + server.server->port_name + ": " + std::move(why),
                              server.server->line));
}

GatewayListenerPtr GatewayBuilder::keep(GatewayListener listener) const {
  GatewayListenerPtr old;
  if (parts_.previous) {
    const auto& before = parts_.previous->gateway;
    const auto at = listener.bound_to();
    old = at.is_set() ? find_or(before.by_address, at) : find_or(before.by_port, listener.port);
  }
  return reuse(std::move(listener), old);
}

GatewayChainPtr GatewayBuilder::keep(GatewayChain chain) const {
  const auto at = old_.find(chain.name);
  return reuse(std::move(chain), at == old_.end() ? nullptr : at->second);
}

std::shared_ptr<const RouteTable> GatewayBuilder::old_table(std::string_view chain) const {
  const auto at = old_.find(chain);
  return at == old_.end() ? nullptr : at->second->http;
}

GatewayChain GatewayBuilder::chain_of(const BoundServer& server) const {
  GatewayChain chain;
  chain.name = server.route_name();
  chain.from = server.ref();
  chain.line = server.server->line;
  return chain;
}

// The first tcp rule that holds, of the first VirtualService that has one. False: there is none,
// and the server opens nothing.
bool GatewayBuilder::set_tcp_route(const BoundServer& server, GatewayChain& chain) {
  for (const auto* bound : rules_.of(server)) {
    if (common_hosts(server, *bound).empty()) continue;
    const auto& service = bound->service();
    for (const auto& rule : service.tcp) {
      const bool holds =
          rule.match.empty() ||
          std::any_of(rule.match.begin(), rule.match.end(), [&](const istio::L4Match& match) {
            return holds_behind(match, service, server);
          });
      if (!holds) continue;
      chain.tcp = parts_.routes.compile(service, rule, server.server->port, &findings_);
      chain.rule = service.metadata.ref;
      chain.rule_line = rule.line;
      return true;
    }
  }
  warn(server, "no VirtualService behind it has a tcp route for port " +
                   std::to_string(server.server->port) + ": nothing is served");
  return false;
}

void GatewayBuilder::add_plain(const ServerGroup& group, GatewayListener& listener) {
  if (group.plain.empty()) return;
  const auto& first = group.plain.front();
  auto chain = chain_of(first);
  if (is_http_server(first)) {
    GatewayTable table(parts_, rules_, findings_);
    for (const auto& server : group.plain) table.add(server);
    for (const auto* refused : servers_.refused())
      for (const auto& server : refused->servers)
        if (serves_port(server, listener))
          for (const auto& host : server.hosts) table.close(host.name, *refused);
    chain.http = table.finish(chain.name, old_table(chain.name));
  } else if (!set_tcp_route(first, chain)) {
    return;
  }
  listener.plain = keep(std::move(chain));
}

// False: the name is taken.
bool GatewayBuilder::add_sni(GatewayListener& listener, const std::string& name,
                             const GatewayChainPtr& chain) {
  if (name != "*") return add_host(listener.by_sni, lower(name), chain);
  if (listener.any_tls) return false;
  listener.any_tls = chain;
  return true;
}

bool GatewayBuilder::is_taken(const GatewayListener& listener, const std::string& name) {
  if (name == "*") return listener.any_tls != nullptr;
  const auto host = lower(name);
  return host.starts_with('*') ? listener.by_sni.suffix.contains(host.substr(1))
                               : listener.by_sni.exact.contains(host);
}

void GatewayBuilder::add_ended(const BoundServer& server, GatewayListener& listener) {
  auto chain = chain_of(server);
  auto tls = compile_termination(server, parts_.input);
  if (!tls) {
    chain.refused = tls.error();
    findings_.push_back(
        finding(istio::Severity::error, server.gateway->metadata, "spec.servers.tls",
                "server " + server.server->port_name + " is closed: " + tls.error().context,
                server.server->tls->line));
  } else {
    const auto old = old_.find(chain.name);
    chain.tls = reuse(std::move(*tls), old == old_.end() ? nullptr : old->second->tls);
  }
  if (server.server->protocol == "HTTPS") {
    GatewayTable table(parts_, rules_, findings_);
    table.add(server);
    chain.http = table.finish(chain.name, old_table(chain.name));
  } else if (!set_tcp_route(server, chain)) {
    return;
  }
  const auto kept = keep(std::move(chain));
  for (const auto& host : server.hosts) add_sni(listener, host.name, kept);
}

// A chain for each tls match: its SNIs, not the server's hosts.
void GatewayBuilder::add_passed(const BoundServer& server, GatewayListener& listener) {
  int count = 0;
  for (const auto* bound : rules_.of(server)) {
    if (common_hosts(server, *bound).empty()) continue;
    const auto& service = bound->service();
    for (const auto& rule : service.tls) {
      for (const auto& match : rule.match) {
        if (!holds_behind(match, service, server)) continue;
        const auto& names = match.sni_hosts;
        const auto taken = std::find_if(names.begin(), names.end(),
                                        [&](const auto& name) { return is_taken(listener, name); });
        if (taken != names.end()) {  // with all of its names, as istiod has it
          findings_.push_back(finding(istio::Severity::error, service.metadata, "spec.tls",
                                      "SNI " + *taken + " is already taken on port " +
                                          std::to_string(server.server->port) + " of gateway " +
                                          server.gateway_name + ": the match is skipped",
                                      match.line));
          continue;
        }
        auto chain = chain_of(server);
        chain.name += "." + std::to_string(count++);
        chain.rule = service.metadata.ref;
        chain.rule_line = match.line;
        chain.tcp = parts_.routes.compile(service, rule, server.server->port, &findings_);
        const auto kept = keep(std::move(chain));
        for (const auto& sni : names) add_sni(listener, sni, kept);
      }
    }
  }
  if (count == 0) warn(server, "no VirtualService behind it has a tls route: nothing is served");
}

void GatewayBuilder::add_mesh(const BoundServer& server, GatewayListener& listener) {
  for (const auto& behind : parts_.behind()) {
    if (!has_host(server, behind.host)) continue;
    auto chain = chain_of(server);
    chain.name += "." + behind.sni;
    chain.mesh_only = true;
    chain.tcp = TcpRoute{"", behind.cluster, {}};
    add_sni(listener, behind.sni, keep(std::move(chain)));
  }
}

void GatewayBuilder::add_tls(const BoundServer& server, GatewayListener& listener) {
  if (!istio::is_passthrough(*server.server->tls)) return add_ended(server, listener);
  if (server.server->tls->mode == istio::ServerTlsMode::auto_passthrough)
    return add_mesh(server, listener);
  add_passed(server, listener);
}

bool GatewayBuilder::serves_port(const istio::RefusedServer& server,
                                 const GatewayListener& listener) const {
  return server.port == 0 || servers_.bound_port(server.port) == listener.port;
}

// What a refused Gateway names must not fall to a wildcard of a good one.
void GatewayBuilder::close_refused(GatewayListener& listener) {
  for (const auto* refused : servers_.refused()) {
    GatewayChain chain;
    chain.name = "refused." + refused->namespace_name + "." + refused->name;
    chain.from = refused->ref;
    Error error;
    error.fault = Fault::denied;
    error.side = Side::local;
    error.context = "the Gateway that names this host can't be read: " + refused->finding.text();
    if (refused->ref) error.resource = refused->ref->text();
    chain.refused = std::move(error);
    const auto kept = keep(std::move(chain));
    for (const auto& server : refused->servers) {
      if (!serves_port(server, listener)) continue;
      for (const auto& host : server.hosts) add_sni(listener, host.name, kept);
    }
  }
}

void GatewayBuilder::add(const ServerGroup& group) {
  GatewayListener listener;
  listener.name = (group.bind.empty() ? "0.0.0.0" : group.bind) + "_" + std::to_string(group.port);
  listener.port = group.port;
  listener.unix_socket = group.unix_socket;
  if (const auto ip = IpAddress::parse(group.bind)) listener.address = *ip;
  add_plain(group, listener);
  for (const auto& server : group.tls) add_tls(server, listener);
  const bool serves = listener.plain || listener.any_tls || !listener.by_sni.empty();
  if (!serves) return;
  if (!group.tls.empty()) close_refused(listener);
  if (const auto at = listener.bound_to(); at.is_set()) {
    out_.by_address.emplace(at, keep(std::move(listener)));
  } else {
    out_.by_port.emplace(group.port, keep(std::move(listener)));
  }
}

GatewayPorts GatewayBuilder::build() {
  for (const auto& group : servers_.groups()) add(group);
  return std::move(out_);
}

}  // namespace

GatewayPorts compile_gateway(const GatewayParts& parts, std::vector<istio::Finding>& findings) {
  return GatewayBuilder(parts, findings).build();
}

void each_chain(const GatewayPorts& ports, const std::function<void(const GatewayChainPtr&)>& job) {
  std::set<const GatewayChain*> seen;
  const auto look = [&](const GatewayChainPtr& chain) {
    if (chain && seen.insert(chain.get()).second) job(chain);
  };
  const auto look_at = [&](const GatewayListener& listener) {
    look(listener.plain);
    look(listener.any_tls);
    for (const auto& [sni, chain] : listener.by_sni.exact) look(chain);
    for (const auto& [sni, chain] : listener.by_sni.suffix) look(chain);
  };
  for (const auto& [port, listener] : ports.by_port) look_at(*listener);
  for (const auto& [address, listener] : ports.by_address) look_at(*listener);
}

}  // namespace sallyport::mesh
