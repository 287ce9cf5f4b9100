// VirtualServices: hosts, gateways, and destinations that are there.
#include <algorithm>
#include <map>
#include <set>

#include "agent/analyze/checks.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"

namespace sallyport::analyze {
namespace {

using Service = Typed<istio::VirtualService>;

bool is_of_mesh(const istio::VirtualService& service) {
  const auto& names = service.gateways;
  return names.empty() || std::find(names.begin(), names.end(), "mesh") != names.end();
}

class Destinations {
public:
  Destinations(Checks& checks, const Service& service) : checks_(checks), service_(service) {}
  void look_at(const istio::Destination& to, const std::string& field);

private:
  void check_subset(const istio::Destination& to, const std::string& field);
  void check_port(const istio::Destination& to, const std::string& field,
                  const std::vector<const Host*>& hosts);

  Checks& checks_;
  const Service& service_;
};

void Destinations::look_at(const istio::Destination& to, const std::string& field) {
  const auto& space = service_->metadata.namespace_name;
  const auto hosts = checks_.world.hosts_called(checks_.world.full_name(to.host, space), space);
  if (hosts.empty()) {
    return checks_.add("IST0101", *service_.object, field + ".host",
                       "Referenced host not found: \"" + to.host + "\"",
                       "correct the host, or add a ServiceEntry for it; until then requests are "
                       "answered 503 (NC)");
  }
  if (!to.subset.empty()) check_subset(to, field);
  check_port(to, field, hosts);
}

void Destinations::check_subset(const istio::Destination& to, const std::string& field) {
  const auto& world = checks_.world;
  const auto host = world.full_name(to.host, service_->metadata.namespace_name);
  for (const auto& rule : world.all<istio::DestinationRule>()) {
    if (world.full_name(rule->host, rule->metadata.namespace_name) != host) continue;
    for (const auto& subset : rule->subsets) {
      if (subset.name == to.subset) return;
    }
  }
  checks_.add(
      "IST0101", *service_.object, field + ".subset",
      "Referenced host+subset in destinationrule not found: \"" + to.host + "+" + to.subset + "\"",
      "add the subset to the DestinationRule of " + to.host);
}

void Destinations::check_port(const istio::Destination& to, const std::string& field,
                              const std::vector<const Host*>& hosts) {
  std::set<uint16_t> numbers;
  std::string listed;
  for (const auto* host : hosts) {
    for (const auto& port : host->ports()) {
      if (!numbers.insert(port.number).second) continue;
      listed += (listed.empty() ? "" : " ") + std::to_string(port.number);
    }
  }
  if (to.port == 0) {
    if (numbers.size() < 2) return;
    return checks_.add("IST0112", *service_.object, field,
                       "This VirtualService routes to a host \"" + to.host +
                           "\" that exposes multiple ports [" + listed +
                           "]. Specifying a port in the destination is required to disambiguate.");
  }
  if (numbers.contains(to.port)) return;
  checks_.add("IST0101", *service_.object, field + ".port.number",
              "Referenced port not found: \"" + to.host + ":" + std::to_string(to.port) + "\"",
              "take one of its ports: " + listed);
}

void check_destinations(Checks& checks, const Service& service) {
  Destinations destinations(checks, service);
  const auto all = [&](const auto& rules, const std::string& list) {
    for (std::size_t i = 0; i < rules.size(); i++) {
      const auto rule = item("spec." + list, i);
      for (std::size_t j = 0; j < rules[i].route.size(); j++) {
        destinations.look_at(rules[i].route[j].destination,
                             item(rule + ".route", j) + ".destination");
      }
    }
  };
  all(service->http, "http");
  all(service->tls, "tls");
  all(service->tcp, "tcp");
}

void check_gateways(Checks& checks, const Service& service) {
  const auto& names = service->gateways;
  for (std::size_t i = 0; i < names.size(); i++) {
    if (names[i] == "mesh") continue;
    const auto slash = names[i].find('/');
    const auto space =
        slash == std::string::npos ? service->metadata.namespace_name : names[i].substr(0, slash);
    const auto name = slash == std::string::npos ? names[i] : names[i].substr(slash + 1);
    if (checks.world.find("Gateway", space, name)) continue;
    checks.add("IST0101", *service.object, item("spec.gateways", i),
               "Referenced gateway not found: \"" + names[i] + "\"");
  }
}

// Rules for an outside host that only a gateway has: pods go past them.
void check_mesh(Checks& checks, const Service& service) {
  if (is_of_mesh(*service.value)) return;
  const auto& space = service->metadata.namespace_name;
  for (const auto& written : service->hosts) {
    const auto hosts = checks.world.hosts_called(checks.world.full_name(written, space), space);
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
  const auto& space = service->metadata.namespace_name;
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

void check_same_hosts(Checks& checks, const std::vector<Service>& services) {
  struct Claim {
    const Service* service;
    std::string field;
  };
  std::map<std::string, std::vector<Claim>> claims;
  for (const auto& service : services) {
    if (!is_of_mesh(*service.value)) continue;
    for (std::size_t i = 0; i < service->hosts.size(); i++) {
      const auto name = checks.world.full_name(service->hosts[i], service->metadata.namespace_name);
      claims[name].push_back({&service, item("spec.hosts", i)});
    }
  }
  const auto seen_by = [&](const Service& a, const Service& b) {
    return mesh::exported(a->export_to, checks.world.mesh().default_virtual_service_export_to,
                          a->metadata.namespace_name, b->metadata.namespace_name);
  };
  for (const auto& [host, all] : claims) {
    std::string names;
    for (const auto& claim : all) {
      const auto& about = (*claim.service)->metadata;
      names += (names.empty() ? "" : ",") + about.namespace_name + "/" + about.name;
    }
    for (const auto& claim : all) {
      const bool conflict = std::any_of(all.begin(), all.end(), [&](const Claim& other) {
        return other.service != claim.service && seen_by(*other.service, *claim.service);
      });
      if (!conflict) continue;
      checks.add("IST0109", *claim.service->object, claim.field,
                 "The VirtualServices " + names +
                     " associated with mesh gateway define the same "
                     "host " +
                     host +
                     " which can lead to undefined behavior. This can be fixed by "
                     "merging the conflicting VirtualServices into a single resource.");
    }
  }
}

}  // namespace

void check_routes(Checks& checks) {
  const auto services = checks.world.all<istio::VirtualService>();
  for (const auto& service : services) {
    check_gateways(checks, service);
    check_destinations(checks, service);
    check_mesh(checks, service);
    check_hosts(checks, service);
  }
  check_same_hosts(checks, services);
}

}  // namespace sallyport::analyze
