// ServiceEntries and Services: what their ports declare, and where two of them disagree.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "agent/analyze/checks.h"

namespace sallyport::analyze {
namespace {

using Entry = Typed<istio::ServiceEntry>;

bool is_true(const std::map<std::string, std::string>& settings, const char* name) {
  const auto at = settings.find(name);
  return at != settings.end() && at->second == "true";
}

// Proxies give such hosts addresses of their own.
bool proxies_allocate(const istio::MeshConfig& mesh) {
  const auto& settings = mesh.default_config.proxy_metadata;
  return is_true(settings, "ISTIO_META_DNS_CAPTURE") &&
         (is_true(settings, "ISTIO_META_DNS_AUTO_ALLOCATE") ||
          is_true(settings, "PILOT_ENABLE_IP_AUTOALLOCATE"));
}

void check_addresses(Checks& checks, const Entry& entry) {
  const auto* allocated = find(*entry.object->node, "status.addresses");
  const bool has_some = !entry->addresses.empty() || (allocated && !allocated->entries.empty());
  if (has_some || proxies_allocate(checks.world.mesh())) return;
  for (std::size_t i = 0; i < entry->ports.size(); i++) {
    const auto& protocol = entry->ports[i].protocol;
    if (!protocol.empty() && protocol != "TCP") continue;
    checks.add("IST0134", *entry.object, item("spec.ports", i),
               "ServiceEntry addresses are required for this protocol.",
               "set spec.addresses: port " + std::to_string(entry->ports[i].number) +
                   " takes every address that no other resource names");
  }
}

// Istio's own, and what its gateway controllers make.
bool is_istios(const istio::Metadata& about) {
  const auto label = [&](const char* name) {
    const auto at = about.labels.find(name);
    return at == about.labels.end() ? std::string() : at->second;
  };
  const auto maker = label("gateway.istio.io/managed");
  return about.labels.contains("istio") || label("release") == "istio" ||
         maker == "istio.io-gateway-controller" || maker == "istio.io-mesh-controller" ||
         maker == "istio.io-eastwest-controller";
}

bool is_system_namespace(std::string_view name) {
  return name == "kube-system" || name == "kube-public" || name == "kube-node-lease" ||
         name == "istio-system";
}

void check_port_names(Checks& checks, const Typed<istio::Service>& service) {
  if (is_istios(service->metadata) || is_system_namespace(service->metadata.namespace_name()))
    return;
  const bool external = scalar(find(*service.object->node, "spec.type")) == "ExternalName";
  for (std::size_t i = 0; i < service->ports.size(); i++) {
    const auto& port = service->ports[i];
    const auto field = item("spec.ports", i);
    if (!port.protocol.empty() && !(external && port.name == "tcp")) continue;
    if (external) {
      checks.add("IST0150", *service.object, field,
                 "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports "
                 "and unmatched traffic for ports serving TCP protocol from being forwarded "
                 "correctly");
      continue;
    }
    const auto target = scalar(find(*service.object->node, field + ".targetPort"));
    checks.add("IST0118", *service.object, field,
               "Port name " + port.name + " (port: " + std::to_string(port.number) +
                   ", targetPort: " + (target.empty() ? "0" : target) +
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
  if (!host.object().resource) return;
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

// The ports that entries declare for one host, where those see each other.
struct Declared {
  std::size_t entry, port;
};
using Declarations = std::map<std::tuple<std::string, std::string, uint16_t>,
                              std::vector<Declared>>;  // by scope, host and number

Declarations declarations(const std::vector<Entry>& entries) {
  Declarations out;
  for (std::size_t i = 0; i < entries.size(); i++) {
    const auto& entry = *entries[i].value;
    for (const auto& scope : export_scopes(entry.export_to, entry.metadata.namespace_name())) {
      for (const auto& host : entry.hosts) {
        for (std::size_t j = 0; j < entry.ports.size(); j++) {
          out[{scope, host, entry.ports[j].number}].push_back({i, j});
        }
      }
    }
  }
  return out;
}

class Conflicts {
public:
  explicit Conflicts(Checks& checks)
      : checks_(checks), entries_(checks.world.all_read<istio::ServiceEntry>()) {}
  void look();

private:
  using Key = Declarations::key_type;
  const istio::ServicePort& port(const Declared& one) const {
    return entries_[one.entry]->ports[one.port];
  }
  void different(const Key& key, const std::vector<Declared>& all);
  void same(const Key& key, const std::vector<Declared>& all);

  Checks& checks_;
  const std::vector<Entry> entries_;
  std::set<std::size_t> told_;                           // entries
  std::set<std::pair<std::size_t, std::size_t>> twice_;  // entries and their ports
};

void Conflicts::different(const Key& key, const std::vector<Declared>& all) {
  std::set<std::string> names, protocols;
  for (const auto& one : all) {
    const auto& about = entries_[one.entry]->metadata;
    names.insert(about.namespace_name() + "/" + about.name());
    protocols.insert(port(one).protocol);
  }
  const auto listed = [](const std::set<std::string>& texts) {
    std::string out;
    for (const auto& text : texts) out += (out.empty() ? "" : ", ") + text;
    return out;
  };
  for (const auto& one : all) {
    if (!told_.insert(one.entry).second) continue;
    checks_.add("IST0177", *entries_[one.entry].object, item("spec.ports", one.port),
                "Multiple ServiceEntries (" + listed(names) + ") define the same host \"" +
                    std::get<1>(key) + "\" and port " + std::to_string(std::get<2>(key)) +
                    " with conflicting protocols (" + listed(protocols) + ").");
  }
}

// All agree: the first counts.
void Conflicts::same(const Key& key, const std::vector<Declared>& all) {
  for (const auto& one : all) {
    if (one.entry == all.front().entry || !twice_.emplace(one.entry, one.port).second) continue;
    checks_.add("SLP0103", *entries_[one.entry].object, item("spec.ports", one.port),
                "port " + std::to_string(std::get<2>(key)) + " of " + std::get<1>(key) +
                    " is declared by " + entries_[all.front().entry].object->ref->text() +
                    " too; that one counts");
  }
}

void Conflicts::look() {
  const auto declared = declarations(entries_);
  for (const auto& [key, own] : declared) {
    auto all = own;
    const auto& [scope, host, number] = key;
    if (scope != "*") {
      const auto of_all = declared.find({"*", host, number});
      if (of_all != declared.end())
        all.insert(all.end(), of_all->second.begin(), of_all->second.end());
    }
    if (all.size() < 2) continue;
    const bool agree = std::all_of(all.begin(), all.end(), [&](const auto& one) {
      return port(one).protocol == port(all.front()).protocol;
    });
    agree ? same(key, all) : different(key, all);
  }
}

}  // namespace

void check_services(Checks& checks) {
  for (const auto& entry : checks.world.all_read<istio::ServiceEntry>())
    check_addresses(checks, entry);
  for (const auto& service : checks.world.all_read<istio::Service>())
    check_port_names(checks, service);
  for (const auto& host : checks.world.hosts()) check_http_443(checks, host);
  Conflicts(checks).look();
}

}  // namespace sallyport::analyze
