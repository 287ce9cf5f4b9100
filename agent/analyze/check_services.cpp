// ServiceEntries and Services: what their ports declare, and where two of them disagree.
#include <algorithm>

#include "agent/analyze/checks.h"
#include "agent/istio/names.h"

namespace sallyport::analyze {
namespace {

using Entry = Typed<istio::ServiceEntry>;

bool is_system_namespace(const std::string& name) {
  return name == "kube-system" || name == "kube-public" || name == "kube-node-lease" ||
         name == "istio-system";
}

void check_addresses(Checks& checks, const Entry& entry) {
  if (!entry->addresses.empty()) return;
  for (std::size_t i = 0; i < entry->ports.size(); i++) {
    const auto kind = istio::protocol_class(entry->ports[i].protocol);
    if (kind != istio::ProtocolClass::tcp && kind != istio::ProtocolClass::detect) continue;
    checks.add("IST0134", *entry.object, item("spec.ports", i),
               "Virtual IP addresses are required for ports serving TCP (or unset) protocol when "
               "ISTIO_META_DNS_AUTO_ALLOCATE is not set on a proxy: port " +
                   std::to_string(entry->ports[i].number) +
                   " takes every address that no other resource names");
  }
}

void check_port_names(Checks& checks, const Typed<istio::Service>& service) {
  if (is_system_namespace(service->metadata.namespace_name)) return;
  for (std::size_t i = 0; i < service->ports.size(); i++) {
    const auto& port = service->ports[i];
    if (!port.protocol.empty()) continue;
    const auto field = item("spec.ports", i);
    const auto target = scalar(find(*service.object->node, field + ".targetPort"));
    checks.add("IST0118", *service.object, field,
               "Port name " + port.name + " (port: " + std::to_string(port.number) +
                   ", targetPort: " + (target.empty() ? std::to_string(port.number) : target) +
                   ") doesn't follow the naming convention of Istio port.");
  }
}

bool anyone_originates(const World& world, const Host& host, const istio::ServicePort& port) {
  const auto all = effective_tls(world, host, port);
  return std::any_of(all.begin(), all.end(),
                     [](const auto& one) { return is_originating(one.tls); });
}

// Clients dial https://host, the proxy waits for HTTP.
void check_http_443(Checks& checks, const Host& host) {
  const auto& ports = host.ports();
  for (std::size_t i = 0; i < ports.size(); i++) {
    const auto& port = ports[i];
    if (port.number != 443 || !is_http(port)) continue;
    if (anyone_originates(checks.world, host, port)) continue;
    checks.add("SLP0209", host.object(), item("spec.ports", i),
               "port 443 of " + host.name + " is declared " + port.protocol + " (port name \"" +
                   port.name +
                   "\"): TLS that clients send there is passed to the dialled address unrouted, "
                   "and plain HTTP goes to a TLS port");
  }
}

const istio::ServicePort* port_of(const istio::ServiceEntry& entry, uint16_t number) {
  for (const auto& port : entry.ports) {
    if (port.number == number) return &port;
  }
  return nullptr;
}

bool same_protocol(const istio::ServicePort& a, const istio::ServicePort& b) {
  return istio::upper_case(a.protocol) == istio::upper_case(b.protocol);
}

void check_pair(Checks& checks, const Host& first, const Host& second) {
  const auto& ports = second.entry->ports;
  for (std::size_t i = 0; i < ports.size(); i++) {
    const auto* other = port_of(*first.entry.value, ports[i].number);
    if (!other) continue;
    const auto where = "port " + std::to_string(other->number) + " of " + first.name;
    const auto place = first.object().ref->text();
    if (same_protocol(*other, ports[i])) {
      checks.add("SLP0103", second.object(), item("spec.ports", i),
                 where + " is declared by " + place + " too; that one counts");
    } else {
      checks.add("IST0177", second.object(), item("spec.ports", i),
                 where + " is declared " + ports[i].protocol + " here and " + other->protocol +
                     " by " + place + ", which counts");
    }
  }
}

void check_pairs(Checks& checks) {
  const auto& hosts = checks.world.hosts();
  for (std::size_t i = 0; i < hosts.size(); i++) {
    if (!hosts[i].entry.value) continue;
    const auto seen = checks.world.hosts_called(hosts[i].name, hosts[i].namespace_name());
    for (const auto* other : seen) {
      const bool later = other > &hosts[i] && other->entry.value;
      if (later && other->name == hosts[i].name && other->entry.value != hosts[i].entry.value) {
        check_pair(checks, hosts[i], *other);
      }
    }
  }
}

}  // namespace

void check_services(Checks& checks) {
  for (const auto& entry : checks.world.all<istio::ServiceEntry>()) check_addresses(checks, entry);
  for (const auto& service : checks.world.all<istio::Service>()) check_port_names(checks, service);
  for (const auto& host : checks.world.hosts()) check_http_443(checks, host);
  check_pairs(checks);
}

}  // namespace sallyport::analyze
