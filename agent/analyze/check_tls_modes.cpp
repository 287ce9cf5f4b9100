// Who speaks TLS to whom: twice, not at all, or to the wrong port.
#include <algorithm>
#include <map>
#include <set>

#include "agent/analyze/checks.h"
#include "agent/istio/names.h"
#include "agent/mesh/host_names.h"

namespace sallyport::analyze {
namespace {

std::string place(const Host& host, std::size_t port) {
  const auto& object = host.object();
  ResourceRef at = *object.ref;
  at.line = line_of(*object.node, item("spec.ports", port));
  return at.text();
}

// The ports that servers are spoken to at.
std::set<uint16_t> server_ports(const Host& host, const istio::ServicePort& port) {
  const uint16_t usual = port.target_port ? port.target_port : port.number;
  std::set<uint16_t> out;
  if (host.entry.value) {
    for (const auto& endpoint : host.entry->endpoints) {
      if (endpoint.address.starts_with(istio::unix_prefix)) continue;  // has no port
      const auto own = endpoint.ports.find(port.name);
      out.insert(own == endpoint.ports.end() ? usual : own->second);
    }
  }
  const bool none = !host.entry.value || host.entry->endpoints.empty();
  if (none) out.insert(usual);
  return out;
}

class TlsModes {
public:
  explicit TlsModes(Checks& checks) : checks_(checks) {
    for (const auto& refused : checks.world.refused()) {
      if (refused.kind != "DestinationRule") continue;
      for (const auto& host : refused.hosts) {
        closed_hosts_.add(checks.world.full_name(host, refused.namespace_name), closing_.size());
        closing_.push_back(&refused);
      }
    }
    for (auto& block : tls_blocks(checks.world.all<istio::DestinationRule>()))
      fields_.emplace(block.tls, std::move(block.field));
    add_requests_of_gateways();
  }
  void look_at(const Host& host);

private:
  void add_requests_of_gateways();
  bool takes_requests_of_gateways(const Host& host, const istio::ServicePort& port) const;
  void twice(const Host& host, std::size_t index, const std::vector<Effective>& all);
  bool is_closed(const Host& host) const;
  bool reaches(const Typed<istio::DestinationRule>& rule, const Host& host) const;
  void plaintext(const Host& host, std::size_t index);
  void plaintext_of_subsets(const Host& host, std::size_t index);
  void to_plaintext(const Host& host, std::size_t index, const std::vector<Effective>& all);

  Checks& checks_;
  // Of refused rules: nothing is sent to their hosts.
  std::vector<const istio::Refused*> closing_;
  NameIndex closed_hosts_;
  std::map<const istio::ClientTls*, std::string> fields_;    // where a rule says that tls
  std::set<std::pair<const void*, std::string_view>> told_;  // one finding a tls block and code
  // Where gateways send requests whose clients' TLS, if any, has ended: host and port, 0 for its
  // only one.
  std::set<std::pair<std::string, uint16_t>> requests_;
};

void TlsModes::add_requests_of_gateways() {
  for (const auto& service : checks_.world.all<istio::VirtualService>()) {
    const auto& gateways = service->gateways;
    if (std::all_of(gateways.begin(), gateways.end(),
                    [](const auto& one) { return one == "mesh"; }))
      continue;
    const auto& space = service->metadata.namespace_name();
    for (const auto& rule : service->http)
      for (const auto& route : rule.route)
        requests_.emplace(checks_.world.full_name(route.destination.host, space),
                          route.destination.port);
  }
}

bool TlsModes::takes_requests_of_gateways(const Host& host, const istio::ServicePort& port) const {
  return requests_.contains({host.name, port.number}) ||
         (host.ports().size() == 1 && requests_.contains({host.name, 0}));
}

void TlsModes::twice(const Host& host, std::size_t index, const std::vector<Effective>& all) {
  const auto& port = host.ports()[index];
  if (takes_requests_of_gateways(host, port)) return;  // an egress gateway that originates
  for (const auto& [rule, tls] : all) {
    if (!is_originating(tls) || !told_.emplace(tls, "SLP0201").second) continue;
    const auto& field = fields_.at(tls);
    std::string cure;
    if (field == "spec.trafficPolicy.tls" && host.ports().size() > 1) {
      cure = "move tls into portLevelSettings of the port that is declared HTTP, so that port " +
             std::to_string(port.number) + " keeps the client's own TLS";
    }
    checks_.add("SLP0201", *rule.object, field,
                "TLS inside TLS: port " + std::to_string(port.number) + " of " + host.name +
                    " is declared " + port.protocol + " (" + place(host, index) +
                    "), so that clients speak TLS themselves, and this rule wraps it again (mode " +
                    name_of(tls->mode) + ")",
                std::move(cure));
  }
}

// Of the ports where the server speaks TLS though the service's own is another; 0: there is none.
uint16_t tls_server_port(const Host& host, const istio::ServicePort& port) {
  for (const uint16_t number : server_ports(host, port)) {
    const bool tls_there = host.entry.value ? istio::is_tls_number(number) : number == 443;
    if (number != port.number && tls_there) return number;
  }
  return 0;
}

// By a rule that all clients ask: of the service's namespace, or of the root's.
bool TlsModes::is_closed(const Host& host) const {
  auto numbers = closed_hosts_.called(host.name);
  const auto wider = closed_hosts_.covering(host.name);
  numbers.insert(numbers.end(), wider.begin(), wider.end());
  return std::any_of(numbers.begin(), numbers.end(), [&](const auto number) {
    const auto& from = closing_[number]->namespace_name;
    return from == host.namespace_name() || from == checks_.world.mesh().root_namespace;
  });
}

// Whether any client asks the rule: those of its own namespace do, if there are some.
bool TlsModes::reaches(const Typed<istio::DestinationRule>& rule, const Host& host) const {
  const auto& world = checks_.world;
  const auto& from = rule->metadata.namespace_name();
  const bool usual = from == host.namespace_name() || from == world.mesh().root_namespace;
  if (usual && !rule->workload_selector) return true;
  return world.workloads().empty() || !world.selected({}, from).empty();
}

void TlsModes::plaintext(const Host& host, std::size_t index) {
  const auto& port = host.ports()[index];
  const auto number = tls_server_port(host, port);
  if (number == 0 || is_closed(host)) return;
  checks_.add("SLP0202", host.object(), item("spec.ports", index),
              "plain HTTP of port " + std::to_string(port.number) + " of " + host.name +
                  " is sent to port " + std::to_string(number) +
                  ", where the server speaks TLS: no DestinationRule originates TLS for it",
              "add a DestinationRule with host " + host.name + " and portLevelSettings: port " +
                  std::to_string(port.number) + ", tls.mode SIMPLE or MUTUAL");
}

// Where a subset takes the host's tls back for a port; empty: it does not. An entry of
// portLevelSettings replaces all, tls too.
std::string takes_back(const istio::Subset& subset, const std::string& at, uint16_t port) {
  if (!subset.traffic_policy) return {};
  const auto is_disable = [](const auto& tls) { return tls->mode == istio::TlsMode::disable; };
  const auto& entries = subset.traffic_policy->port_level_settings;
  for (std::size_t i = 0; i < entries.size(); i++) {
    if (entries[i].port != port) continue;
    auto entry = item(at + ".portLevelSettings", i);
    if (!entries[i].tls) return entry;
    return is_disable(entries[i].tls) ? entry + ".tls" : std::string();
  }
  const auto& tls = subset.traffic_policy->tls;
  return tls && is_disable(tls) ? at + ".tls" : std::string();
}

// The host's rule originates, and one of its subsets takes that back.
void TlsModes::plaintext_of_subsets(const Host& host, std::size_t index) {
  const auto& port = host.ports()[index];
  const auto number = tls_server_port(host, port);
  if (number == 0 || is_closed(host)) return;
  for (const auto& rule : checks_.world.rules_for(host.name)) {
    for (std::size_t i = 0; i < rule->subsets.size(); i++) {
      const auto& subset = rule->subsets[i];
      const auto field =
          takes_back(subset, item("spec.subsets", i) + ".trafficPolicy", port.number);
      if (field.empty() || !told_.emplace(&subset, "SLP0202").second) continue;
      checks_.add("SLP0202", *rule.object, field,
                  "plain HTTP of port " + std::to_string(port.number) + " of " + host.name +
                      " is sent to port " + std::to_string(number) +
                      ", where the server speaks TLS: subset " + subset.name +
                      (field.ends_with(".tls") ? " says DISABLE in place of the host's tls ("
                                               : " has an entry for the port without tls, which "
                                                 "takes the host's tls away (") +
                      place(host, index) + ")",
                  "say tls there as the host's rule does, or remove it");
    }
  }
}

void TlsModes::to_plaintext(const Host& host, std::size_t index,
                            const std::vector<Effective>& all) {
  const auto& port = host.ports()[index];
  const auto numbers = server_ports(host, port);
  const bool plain = std::any_of(numbers.begin(), numbers.end(),
                                 [](uint16_t number) { return number == 80 || number == 8080; });
  if (!plain || !host.entry.value) return;
  for (const auto& [rule, tls] : all) {
    if (!is_originating(tls) || !told_.emplace(tls, "SLP0203").second) continue;
    checks_.add("SLP0203", *rule.object, fields_.at(tls),
                std::string("TLS (mode ") + name_of(tls->mode) + ") is sent to port " +
                    std::to_string(*numbers.begin()) + " of " + host.name +
                    ", where servers usually speak plaintext (" + place(host, index) + ")",
                "set targetPort: 443 at port " + std::to_string(port.number) + " of " +
                    host.object().ref->kind + " " + host.object().ref->name);
  }
}

void TlsModes::look_at(const Host& host) {
  if (!host.object().resource) return;  // refused: the schema check has told
  for (std::size_t i = 0; i < host.ports().size(); i++) {
    const auto& port = host.ports()[i];
    const auto all = effective_tls(checks_.world, host, port);
    const bool originated = std::any_of(all.begin(), all.end(), [&](const auto& one) {
      return is_originating(one.tls) && reaches(one.rule, host);
    });
    if (is_tls(port)) {
      twice(host, i, all);
    } else if (is_http(port) && !originated) {
      plaintext(host, i);
    } else if (is_http(port)) {
      plaintext_of_subsets(host, i);
      to_plaintext(host, i, all);
    }
  }
}

// Ports of all resources that tell of the rule's host.
struct KnownPorts {
  std::set<uint16_t> numbers;
  std::string listed, hint;
};

KnownPorts known_ports(const World& world, const Typed<istio::DestinationRule>& rule,
                       uint16_t asked) {
  const auto& from = rule->metadata.namespace_name();
  KnownPorts out;
  for (const auto* host : world.hosts_called(world.full_name(rule->host, from), from)) {
    for (const auto& port : host->ports()) {
      if (out.numbers.insert(port.number).second) {
        out.listed += (out.listed.empty() ? "" : ", ") + std::to_string(port.number);
      }
      if (port.target_port == asked && port.number != asked) {
        out.hint = "write " + std::to_string(port.number) + ": " + std::to_string(asked) +
                   " is its targetPort, and portLevelSettings take the port that clients dial";
      }
    }
  }
  return out;
}

void check_ports(Checks& checks, const Typed<istio::DestinationRule>& rule, const auto& policy,
                 const std::string& at) {
  if (!policy || mesh::is_wildcard(rule->host)) return;
  for (std::size_t i = 0; i < policy->port_level_settings.size(); i++) {
    const auto asked = policy->port_level_settings[i].port;
    const auto known = known_ports(checks.world, rule, asked);
    if (known.numbers.empty() || known.numbers.contains(asked)) continue;
    checks.add("SLP0204", *rule.object, item(at + ".portLevelSettings", i) + ".port.number",
               rule->host + " has no port " + std::to_string(asked) + " (it has " + known.listed +
                   "): what this entry says, tls too, has no effect",
               known.hint);
  }
}

}  // namespace

void check_tls_modes(Checks& checks) {
  TlsModes modes(checks);
  for (const auto& host : checks.world.hosts()) modes.look_at(host);
  for (const auto& rule : checks.world.all<istio::DestinationRule>()) {
    check_ports(checks, rule, rule->traffic_policy, "spec.trafficPolicy");
    for (std::size_t i = 0; i < rule->subsets.size(); i++) {
      check_ports(checks, rule, rule->subsets[i].traffic_policy,
                  item("spec.subsets", i) + ".trafficPolicy");
    }
  }
}

}  // namespace sallyport::analyze
