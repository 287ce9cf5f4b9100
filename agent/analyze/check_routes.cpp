// VirtualServices: hosts, and destinations that are there.
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "agent/analyze/checks.h"

namespace sallyport::analyze {
namespace {

using Service = Typed<istio::VirtualService>;

// Subsets by the host that rules give them, as Istio names it: `name.namespace.svc...` wherever the
// rule stands, any other host within the namespace of the rule.
using Subset = std::array<std::string, 3>;
Subset subset_key(std::string_view host, const std::string& namespace_name,
                  const std::string& subset) {
  constexpr std::string_view suffix = ".svc.cluster.local";
  if (host.ends_with(suffix)) {
    const auto service = host.substr(0, host.size() - suffix.size());
    const auto dot = service.rfind('.');
    if (dot != service.npos && dot > 0 && dot + 1 < service.size()) {
      return {std::string(service.substr(dot + 1)), std::string(service.substr(0, dot)), subset};
    }
  }
  return {namespace_name, std::string(host), subset};
}

class Destinations {
public:
  explicit Destinations(Checks& checks) : checks_(checks) {
    for (const auto& rule : checks.world.all_read<istio::DestinationRule>()) {
      for (const auto& subset : rule->subsets) {
        subsets_.insert(subset_key(rule->host, rule->metadata.namespace_name(), subset.name));
      }
    }
  }
  void look_at(const Service& service);

private:
  void look_at(const Service& service, const istio::Destination& to, const std::string& field,
               std::string_view mirror);
  void check_port(const Service& service, const istio::Destination& to, const std::string& field,
                  const Host& host);
  template <class Rules>
  void routes(const Service& service, const Rules& rules, const std::string& list);
  void mirrors(const Service& service);

  Checks& checks_;
  std::set<Subset> subsets_;
};

// `mirror`: "mirror " where the destination is one.
void Destinations::look_at(const Service& service, const istio::Destination& to,
                           const std::string& field, std::string_view mirror) {
  const auto& space = service->metadata.namespace_name();
  const auto* host = checks_.world.destination(to.host, space, service->export_to);
  if (host) {
    check_port(service, to, field, *host);
  } else {
    checks_.add("IST0101", *service.object, field + ".host",
                "Referenced " + std::string(mirror) + "host not found: \"" + to.host + "\"",
                std::string("correct the host, or add a ServiceEntry for it; until then ") +
                    (mirror.empty() ? "requests are answered 503 (NC)" : "nothing is mirrored"));
  }
  if (to.subset.empty() || subsets_.contains(subset_key(to.host, space, to.subset))) return;
  checks_.add("IST0101", *service.object, field + ".subset",
              "Referenced " + std::string(mirror.empty() ? "host" : "mirror") +
                  "+subset in destinationrule not found: \"" + to.host + "+" + to.subset + "\"",
              "add the subset to the DestinationRule of " + to.host);
}

void Destinations::check_port(const Service& service, const istio::Destination& to,
                              const std::string& field, const Host& host) {
  const auto& ports = host.ports();
  std::string listed;
  for (const auto& port : ports) {
    listed += (listed.empty() ? "" : " ") + std::to_string(port.number);
  }
  if (to.port == 0) {
    if (ports.size() < 2) return;
    return checks_.add("IST0112", *service.object, field,
                       "This VirtualService routes to a service \"" + to.host +
                           "\" that exposes multiple ports [" + listed +
                           "]. Specifying a port in the destination is required to disambiguate.");
  }
  const bool known = std::any_of(ports.begin(), ports.end(),
                                 [&](const auto& port) { return port.number == to.port; });
  if (known) return;
  checks_.add("IST0101", *service.object, field + ".port.number",
              "Referenced host:port not found: \"" + to.host + ":" + std::to_string(to.port) + "\"",
              "take one of its ports: " + listed);
}

template <class Rules>
void Destinations::routes(const Service& service, const Rules& rules, const std::string& list) {
  for (std::size_t i = 0; i < rules.size(); i++) {
    const auto rule = item("spec." + list, i);
    for (std::size_t j = 0; j < rules[i].route.size(); j++) {
      const auto field = item(rule + ".route", j) + ".destination";
      look_at(service, rules[i].route[j].destination, field, "");
    }
  }
}

void Destinations::mirrors(const Service& service) {
  for (std::size_t i = 0; i < service->http.size(); i++) {
    const auto rule = item("spec.http", i);
    const auto& all = service->http[i].mirrors;
    const bool single = find(*service.object->node, rule + ".mirror");  // it is the last of them
    for (std::size_t j = 0; j < all.size(); j++) {
      const bool old = single && j + 1 == all.size();
      const auto field = old ? rule + ".mirror" : item(rule + ".mirrors", j) + ".destination";
      look_at(service, all[j].destination, field, "mirror ");
    }
  }
}

void Destinations::look_at(const Service& service) {
  routes(service, service->tcp, "tcp");
  routes(service, service->tls, "tls");
  routes(service, service->http, "http");
  mirrors(service);
}

// The hosts that sidecars have rules for: full names.
std::set<std::string> hosts_of_mesh(const World& world, const std::vector<Service>& services) {
  std::set<std::string> out;
  for (const auto& service : services) {
    if (!is_of_mesh(*service.value)) continue;
    for (const auto& written : service->hosts)
      out.insert(world.full_name(written, service->metadata.namespace_name()));
  }
  return out;
}

// Rules for an outside host that only a gateway has: pods go past them. With others for the mesh it
// is an egress gateway's half.
void check_mesh(Checks& checks, const Service& service, const std::set<std::string>& of_mesh) {
  if (is_of_mesh(*service.value)) return;
  const auto& space = service->metadata.namespace_name();
  for (const auto& written : service->hosts) {
    const auto name = checks.world.full_name(written, space);
    if (of_mesh.contains(name)) continue;
    const auto hosts = checks.world.hosts_called(name, space);
    const bool outside = std::any_of(hosts.begin(), hosts.end(), [](const auto* host) {
      return host->entry.value && host->entry->location == istio::Location::mesh_external;
    });
    if (!outside) continue;
    return checks.add("SLP0503", *service.object, "spec.gateways",
                      "gateways does not list mesh: sidecars don't apply these rules to " +
                          written + ", which a ServiceEntry declares");
  }
}

void check_hosts(Checks& checks, const Service& service) {
  if (!is_of_mesh(*service.value)) return;
  const auto& space = service->metadata.namespace_name();
  for (std::size_t i = 0; i < service->hosts.size(); i++) {
    const auto name = checks.world.full_name(service->hosts[i], space);
    const bool any = !checks.world.hosts_called(name, space).empty() ||
                     !checks.world.hosts_under(name, space).empty();
    if (any || !service->http.empty()) continue;  // http rules hold on any HTTP port
    checks.add("SLP0505", *service.object, item("spec.hosts", i),
               "no service has the host " + service->hosts[i] +
                   ": tls and tcp rules have no effect for it");
  }
}

// Which VirtualServices of the mesh have a host, where they see each other: one visible everywhere
// and one of some namespaces even if the names only overlap.
class SameHosts {
public:
  explicit SameHosts(Checks& checks) : checks_(checks) {}
  void look_at(const std::vector<Service>& services);

private:
  struct Claim {
    std::size_t service;
    std::string field;
  };
  using Key = std::pair<std::string, std::string>;  // scope and host
  void claim(const Service& service, std::size_t number);
  void conflict(const std::vector<Service>& services, const Key& key,
                const std::vector<Claim>& claims);

  Checks& checks_;
  std::map<Key, std::vector<Claim>> claims_;
  std::set<std::size_t> told_;
};

void SameHosts::claim(const Service& service, std::size_t number) {
  const auto& space = service->metadata.namespace_name();
  for (const auto& scope : export_scopes(service->export_to, space)) {
    for (std::size_t i = 0; i < service->hosts.size(); i++) {
      auto& all = claims_[{scope, checks_.world.full_name(service->hosts[i], space)}];
      const bool again = !all.empty() && all.back().service == number;  // short name and long one
      if (!again) all.push_back({number, item("spec.hosts", i)});
    }
  }
}

void SameHosts::conflict(const std::vector<Service>& services, const Key& key,
                         const std::vector<Claim>& claims) {
  std::multiset<std::string> names;
  for (const auto& one : claims) {
    const auto& about = services[one.service]->metadata;
    names.insert(about.namespace_name() + "/" + about.name());
  }
  std::string listed;
  for (const auto& name : names) listed += (listed.empty() ? "" : ",") + name;
  for (const auto& one : claims) {
    if (!told_.insert(one.service).second) continue;
    checks_.add("IST0109", *services[one.service].object, one.field,
                "The VirtualServices " + listed +
                    " associated with mesh gateway define the same host " + key.first + "/" +
                    key.second +
                    " which can lead to undefined behavior. This can be fixed by merging the "
                    "conflicting VirtualServices into a single resource.");
  }
}

void SameHosts::look_at(const std::vector<Service>& services) {
  for (std::size_t i = 0; i < services.size(); i++) {
    if (is_of_mesh(*services[i].value)) claim(services[i], i);
  }
  NameIndex everywhere;
  std::vector<const std::vector<Claim>*> of_all;
  for (const auto& [key, claims] : claims_) {
    if (key.first != "*") continue;
    everywhere.add(key.second, of_all.size());
    of_all.push_back(&claims);
  }
  for (const auto& [key, own] : claims_) {
    auto claims = own;
    if (key.first != "*") {
      for (const auto number : everywhere.overlapping(key.second)) {
        claims.insert(claims.end(), of_all[number]->begin(), of_all[number]->end());
      }
    }
    if (claims.size() > 1) conflict(services, key, claims);
  }
}

}  // namespace

void check_routes(Checks& checks) {
  const auto services = checks.world.all_read<istio::VirtualService>();
  Destinations destinations(checks);
  const auto of_mesh = hosts_of_mesh(checks.world, services);
  for (const auto& service : services) {
    destinations.look_at(service);
    if (!service.object->resource) continue;
    check_mesh(checks, service, of_mesh);
    check_hosts(checks, service);
  }
  SameHosts(checks).look_at(services);
}

}  // namespace sallyport::analyze
