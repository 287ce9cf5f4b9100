#include "agent/mesh/known_services.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "agent/mesh/auto_allocation.h"
#include "agent/mesh/host_names.h"

namespace sallyport::mesh {
namespace {

constexpr std::string_view export_annotation = "networking.istio.io/exportTo";

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    auto item = text.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!item.empty()) out.emplace_back(item);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

void add_ports(KnownService& known, const std::vector<istio::ServicePort>& ports) {
  for (const auto& port : ports) known.ports.push_back({&port, kind_of(port, known.service)});
}

void add_entry(const istio::ServiceEntry& entry, const CompileInput& input,
               const AutoAllocation* allocated, std::vector<KnownService>& out,
               std::vector<istio::Finding>& findings) {
  for (const auto& host : entry.hosts) {
    KnownService known;
    known.host = lower(host);
    known.metadata = &entry.metadata;
    known.entry = &entry;
    known.names = entry.subject_alt_names;
    for (const auto& text : entry.addresses) {
      const auto cidr = Cidr::parse(text);
      if (!cidr) {
        findings.push_back(finding(istio::Severity::error, entry.metadata, "spec.addresses",
                                   "'" + text + "' is neither an IP address nor a CIDR block"));
      } else if (cidr->is_single()) {
        known.addresses.push_back(cidr->network());
      } else {
        known.blocks.push_back(*cidr);
      }
    }
    if (allocated && entry.addresses.empty())
      known.addresses = allocated->of(entry, known.host, input.proxy);
    add_ports(known, entry.ports);
    out.push_back(std::move(known));
  }
}

void add_service(const istio::Service& service, const CompileInput& input,
                 std::vector<KnownService>& out) {
  KnownService known;
  known.host = expand_short_name(service.metadata.name(), service.metadata.namespace_name(),
                                 input.mesh.cluster_domain);
  known.metadata = &service.metadata;
  known.service = &service;
  for (const auto& text : service.cluster_ips) {
    if (const auto ip = IpAddress::parse(text)) known.addresses.push_back(*ip);
  }
  add_ports(known, service.ports);
  out.push_back(std::move(known));
}

std::vector<std::string> service_export_to(const istio::Service& service) {
  const auto& annotations = service.metadata.annotations;
  const auto at = annotations.find(export_annotation);
  return at == annotations.end() ? std::vector<std::string>() : split_list(at->second);
}

// What the Sidecar lets this proxy see of the last of `out` from `first` on.
void limit(std::vector<KnownService>& out, std::size_t first, const ServiceScope& scope) {
  if (scope.sidecar.sees_all()) return;
  for (auto i = first; i < out.size(); ++i) {
    auto& known = out[i];
    const auto unseen = [&](const KnownPort& port) {
      return !scope.sidecar.sees_service(known.host, known.metadata->namespace_name(),
                                         port.port->number);
    };
    if (std::all_of(known.ports.begin(), known.ports.end(), unseen)) {
      known.only_routed_to = true;
      if (!scope.routed_to.contains(known.host)) known.ports.clear();
    } else {
      std::erase_if(known.ports, unseen);
    }
  }
  const auto begin = out.begin() + static_cast<std::ptrdiff_t>(first);
  out.erase(std::remove_if(begin, out.end(),
                           [](const auto& one) { return one.only_routed_to && one.ports.empty(); }),
            out.end());
}

std::vector<KnownService> visible(const CompileInput& input, const ServiceScope& scope,
                                  std::vector<istio::Finding>& findings) {
  std::vector<KnownService> out;
  const auto& here = input.proxy.namespace_name;
  const auto& usual = input.mesh.default_service_export_to;
  out.reserve(input.resources.size());
  std::optional<AutoAllocation> allocated;
  if (input.proxy.dns_capture) allocated.emplace(input.resources, findings);
  for (const auto& resource : input.resources) {
    const auto& from = istio::metadata_of(*resource).namespace_name();
    const auto first = out.size();
    if (const auto* entry = std::get_if<istio::ServiceEntry>(resource.get())) {
      if (exported(entry->export_to, usual, from, here))
        add_entry(*entry, input, allocated ? &*allocated : nullptr, out, findings);
    } else if (const auto* service = std::get_if<istio::Service>(resource.get())) {
      if (exported(service_export_to(*service), usual, from, here))
        add_service(*service, input, out);
    }
    limit(out, first, scope);
  }
  return out;
}

// A Kubernetes Service beats ServiceEntries of its host, then this namespace's own, then the oldest
// (2.2).
int rank(const KnownService& known, const CompileInput& input) {
  if (known.service) return 0;
  return known.metadata->namespace_name() == input.proxy.namespace_name ? 1 : 2;
}

// Whose ports count for a host: the namespace (and kind) that won, each port's first teller in it.
struct Winner {
  struct Taken {
    uint16_t port;
    std::size_t by;  // the service's index
  };
  int rank = 0;
  std::string_view namespace_name;
  std::vector<Taken> taken;
  std::optional<std::size_t> place;  // of its first service in the result
  // Who has taken it before; nobody: now it is `by`'s.
  std::optional<std::size_t> take(uint16_t port, std::size_t by) {
    const auto at = std::find_if(taken.begin(), taken.end(),
                                 [port](const Taken& one) { return one.port == port; });
    if (at != taken.end()) return at->by;
    taken.push_back({port, by});
    return std::nullopt;
  }
};
using Winners = std::unordered_map<std::string_view, Winner>;  // by host

Winners pick_winners(const std::vector<KnownService>& all, const CompileInput& input) {
  Winners winners;
  winners.reserve(all.size());
  for (const auto& known : all) {
    Winner mine{rank(known, input), known.metadata->namespace_name(), {}, {}};
    const auto [at, first] = winners.try_emplace(known.host, mine);
    if (!first && mine.rank < at->second.rank) at->second = std::move(mine);
  }
  return winners;
}

void warn_of_http2(const KnownService& known, std::vector<istio::Finding>& findings) {
  for (const auto& [port, kind] : known.ports) {
    if (kind != PortKind::http || port->protocol == "HTTP") continue;
    findings.push_back(
        finding(istio::Severity::warning, *known.metadata, "spec.ports",
                "port " + std::to_string(port->number) + " is declared " + port->protocol +
                    ": HTTP/2 is not read yet; only HTTP/1 requests are routed and get TLS",
                port->line));
  }
}

// The name has these addresses, too: the port must be there.
void share_addresses(const KnownService& known, KnownService& owner) {
  if (owner.addresses.empty()) return;  // it has the port at all addresses
  for (const auto& ip : known.addresses) {
    auto& all = owner.addresses;
    if (std::find(all.begin(), all.end(), ip) == all.end()) all.push_back(ip);
  }
}

// Leaves the ports that nobody told before.
void claim_ports(std::vector<KnownService>& all, std::size_t index, Winner& winner,
                 bool dns_capture, std::vector<istio::Finding>& findings) {
  auto& known = all[index];
  std::erase_if(known.ports, [&](const KnownPort& port) {
    const auto owner = winner.take(port.port->number, index);
    if (!owner) return false;
    if (dns_capture) share_addresses(known, all[*owner]);
    findings.push_back(finding(istio::Severity::warning, *known.metadata, "spec.ports",
                               "port " + std::to_string(port.port->number) + " of " + known.host +
                                   " is defined by an earlier resource, which is used",
                               port.port->line));
    return true;
  });
}

// A ServiceEntry of a Kubernetes Service's host adds its names, and the ports that the Service does
// not have: Istio's task "Egress TLS Origination" tells port 80 of a Service that has only 443 so.
// False: it adds no port.
bool decorate(KnownService& entry, std::size_t index, Winner& winner, KnownService& decorated) {
  decorated.names.insert(decorated.names.end(), entry.names.begin(), entry.names.end());
  decorated.decorated = true;
  std::erase_if(entry.ports, [&](const KnownPort& port) {
    return winner.take(port.port->number, index).has_value();
  });
  return !entry.ports.empty();
}

}  // namespace

PortKind kind_of(const istio::ServicePort& port, bool of_service) {
  const auto& p = port.protocol;
  if (p == "HTTP" || p == "HTTP2" || p == "GRPC" || p == "GRPC-WEB") return PortKind::http;
  if (p == "HTTPS" || p == "TLS") return PortKind::tls;
  if (p == "TCP" || p == "MONGO" || p == "REDIS" || p == "MYSQL") return PortKind::tcp;
  if (p == "UDP") return PortKind::other;
  // Kubernetes ports known to be server-first or ambiguous, as Istio's kube/conversion.go has them.
  const auto n = port.number;
  if (of_service && (n == 25 || n == 53 || n == 3306 || n == 27017)) return PortKind::tcp;
  return PortKind::detect;
}

istio::Finding finding(istio::Severity severity, const istio::Metadata& about, std::string field,
                       std::string reason, int line) {
  istio::Finding out;
  out.severity = severity;
  out.file = about.ref->file;
  out.kind = about.ref->kind;
  out.line = line > 0 ? line : about.ref->line;
  out.namespace_name = about.namespace_name();
  out.name = about.name();
  out.field = std::move(field);
  out.reason = std::move(reason);
  return out;
}

bool exported(const std::vector<std::string>& export_to,
              const std::vector<std::string>& mesh_default, std::string_view from,
              std::string_view to) {
  const auto& list = export_to.empty() ? mesh_default : export_to;
  if (list.empty()) return true;
  return std::any_of(list.begin(), list.end(), [&](const std::string& item) {
    return item == "*" || item == to || (item == "." && from == to);
  });
}

std::vector<KnownService> known_services(const CompileInput& input, const ServiceScope& scope,
                                         std::vector<istio::Finding>& findings) {
  auto all = visible(input, scope, findings);
  auto winners = pick_winners(all, input);  // views the hosts in `all`: nothing of it moves yet
  std::vector<bool> dropped(all.size());
  std::vector<std::size_t> decorations;  // ServiceEntries of a Kubernetes Service's host
  for (std::size_t i = 0; i < all.size(); i++) {
    auto& known = all[i];
    Winner& winner = winners.find(known.host)->second;
    if (winner.rank == 0 && known.entry) {
      dropped[i] = true;
      decorations.push_back(i);
      continue;
    }
    if (winner.namespace_name != known.metadata->namespace_name()) {
      dropped[i] = true;
      findings.push_back(finding(istio::Severity::warning, *known.metadata, "spec.hosts",
                                 known.host + " is taken from namespace " +
                                     std::string(winner.namespace_name) +
                                     "; this one is not used"));
      continue;
    }
    claim_ports(all, i, winner, input.proxy.dns_capture, findings);
    warn_of_http2(known, findings);
    if (!winner.place) winner.place = i;
  }
  std::vector<KnownService> last;
  for (const auto i : decorations) {
    Winner& winner = winners.find(all[i].host)->second;
    if (decorate(all[i], i, winner, all[*winner.place])) last.push_back(all[i]);
  }
  std::size_t at = 0;
  std::erase_if(all, [&](const KnownService&) { return dropped[at++]; });
  std::move(last.begin(), last.end(), std::back_inserter(all));
  return all;
}

}  // namespace sallyport::mesh
