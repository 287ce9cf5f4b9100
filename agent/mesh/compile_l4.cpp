// ListenerBuilder: TLS and TCP ports, by address, block and SNI, and the tls and tcp rules of
// VirtualServices for them (istio-api.md 1.4, 2.3, 2.6).
#include <algorithm>

#include "agent/mesh/compile_listeners.h"
#include "agent/mesh/host_names.h"

namespace sallyport::mesh {

void ListenerBuilder::set_tcp(Draft& draft, const KnownService& service, const KnownPort& port,
                              const TcpRoute& route) {
  if (!draft.listener.tcp) {
    draft.listener.tcp = route;
    return;
  }
  findings_.push_back(finding(
      istio::Severity::warning, *service.metadata, "spec.ports",
      draft.listener.name + " already leads elsewhere; " + service.host + " is not reached there",
      port.port->line));
}

std::vector<ListenerBuilder::L4Rule> ListenerBuilder::l4_rules(const KnownService& service,
                                                               uint16_t port, bool tls) {
  std::vector<L4Rule> out;
  const auto* known = virtual_services_.find(service.host);
  if (!known || known->closed) return out;
  const auto& from = *known->service;
  for (const auto& rule : tls ? from.tls : from.tcp) {
    const auto holds = [&](const istio::L4Match& match) {
      return (!match.port || match.port == port) && for_this_sidecar(match, input_.proxy, false);
    };
    if (rule.match.empty()) {
      out.push_back({nullptr, routes_.compile(from, rule, port, &findings_)});
      return out;  // Nothing after it is reached.
    }
    for (const auto& match : rule.match) {
      if (holds(match)) out.push_back({&match, routes_.compile(from, rule, port, &findings_)});
    }
  }
  return out;
}

// Under its names or subnets; else for all of the listener.
void ListenerBuilder::add_l4(Draft& draft, const KnownService& service, const L4Rule& rule) {
  std::vector<Cidr> blocks = service.blocks;
  if (rule.match && !rule.match->destination_subnets.empty()) {
    blocks.clear();
    for (const auto& text : rule.match->destination_subnets) {
      if (const auto block = Cidr::parse(text)) blocks.push_back(*block);
    }
  }
  const bool by_name = rule.match && !rule.match->sni_hosts.empty();
  const auto add_names = [&](HostTable<TcpRoute>& table) {
    for (const auto& name : rule.match->sni_hosts) add_host(table, name, rule.route);
  };
  for (const auto& block : blocks) {
    auto& cidr = cidr_route(draft, block);
    if (by_name)
      add_names(cidr.by_sni);
    else if (!cidr.tcp)
      cidr.tcp = rule.route;
  }
  if (!blocks.empty()) return;
  if (by_name)
    add_names(draft.listener.by_sni);
  else if (!draft.listener.tcp)
    draft.listener.tcp = rule.route;
}

// They take the place of the service's own name.
void ListenerBuilder::add_tls_rules(const KnownService& service, uint16_t port,
                                    const std::vector<L4Rule>& rules) {
  const auto add = [&](Draft& draft) {
    draft.listener.declared_tls = true;
    draft.only_tcp = false;
    for (const auto& rule : rules) add_l4(draft, service, rule);
  };
  for (const auto& ip : service.addresses) add(address_draft(ip, port));
  if (service.addresses.empty() || !service.blocks.empty()) add(port_draft(port));
}

void ListenerBuilder::add_tls(const KnownService& service, const KnownPort& port,
                              const TcpRoute& route) {
  const auto number = port.port->number;
  if (const auto rules = l4_rules(service, number, true); !rules.empty())
    return add_tls_rules(service, number, rules);
  for (const auto& ip : service.addresses) {
    auto& draft = address_draft(ip, number);
    draft.listener.declared_tls = true;
    draft.only_tcp = false;
    set_tcp(draft, service, port, route);
  }
  if (!service.addresses.empty() && service.blocks.empty()) return;
  auto& draft = port_draft(number);
  draft.listener.declared_tls = true;
  draft.only_tcp = false;
  for (const auto& block : service.blocks)
    add_host(cidr_route(draft, block).by_sni, service.host, route);
  if (service.blocks.empty()) add_host(draft.listener.by_sni, service.host, route);
}

void ListenerBuilder::add_tcp(const KnownService& service, const KnownPort& port,
                              const TcpRoute& own) {
  const auto number = port.port->number;
  TcpRoute route = own;
  for (const auto& rule : l4_rules(service, number, false)) {
    if (!rule.match || rule.match->destination_subnets.empty()) {
      route = rule.route;
      break;
    }
    for (const auto& ip : service.addresses) add_l4(address_draft(ip, number), service, rule);
    if (service.addresses.empty()) add_l4(port_draft(number), service, rule);
  }
  for (const auto* addresses : {&service.addresses, &service.pods}) {
    for (const auto& ip : *addresses) set_tcp(address_draft(ip, number), service, port, route);
  }
  for (const auto& block : service.blocks) {
    auto& cidr = cidr_route(port_draft(number), block);
    if (!cidr.tcp) cidr.tcp = route;
  }
  if (!service.addresses.empty() || !service.blocks.empty() || !service.pods.empty()) return;
  if (service.service) {  // It would take the port for every address; its own are not known.
    findings_.push_back(
        finding(istio::Severity::warning, *service.metadata, "spec.ports",
                "port " + std::to_string(number) + " of " + service.host +
                    " has no addresses to tell it by: treated as an unknown destination",
                port.port->line));
    return;
  }
  findings_.push_back(finding(istio::Severity::warning, *service.metadata, "spec.addresses",
                              "IST0134: a TCP port without addresses takes port " +
                                  std::to_string(number) + " for every destination",
                              port.port->line));
  set_tcp(port_draft(number), service, port, route);
}

}  // namespace sallyport::mesh
