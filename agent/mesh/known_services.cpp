#include "agent/mesh/known_services.h"

#include <algorithm>
#include <optional>
#include <set>

#include "agent/istio/labels.h"
#include "agent/mesh/host_names.h"

namespace sallyport::mesh {
namespace {

constexpr std::string_view export_annotation = "networking.istio.io/exportTo";

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

using Workloads = std::vector<const istio::Workload*>;

ByText<Workloads> workloads_by_namespace(const CompileInput& input) {
  ByText<Workloads> out;
  for (const auto& resource : input.resources) {
    if (const auto* workload = std::get_if<istio::Workload>(resource.get()))
      out[workload->metadata.namespace_name].push_back(workload);
  }
  return out;
}

// Of the entry's own namespace (istio-api.md 1.1).
Workloads selected(const istio::ServiceEntry& entry, const ByText<Workloads>& workloads) {
  Workloads out;
  const auto at = workloads.find(entry.metadata.namespace_name);
  if (!entry.workload_selector || at == workloads.end()) return out;
  std::copy_if(at->second.begin(), at->second.end(), std::back_inserter(out),
               [&](const istio::Workload* workload) {
                 return istio::selects(*entry.workload_selector, workload->entry.labels);
               });
  return out;
}

void add_entry(const istio::ServiceEntry& entry, const Workloads& workloads,
               std::vector<KnownService>& out, std::vector<istio::Finding>& findings) {
  for (const auto& host : entry.hosts) {
    KnownService known;
    known.host = lower(host);
    known.metadata = &entry.metadata;
    known.entry = &entry;
    known.names = entry.subject_alt_names;
    known.workloads = workloads;
    known.decorated = entry.workload_selector.has_value();
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
    add_ports(known, entry.ports);
    out.push_back(std::move(known));
  }
}

void add_service(const istio::Service& service, const CompileInput& input,
                 std::vector<KnownService>& out) {
  KnownService known;
  known.host = expand_short_name(service.metadata.name, service.metadata.namespace_name,
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

std::vector<KnownService> visible(const CompileInput& input,
                                  std::vector<istio::Finding>& findings) {
  std::vector<KnownService> out;
  const auto& here = input.proxy.namespace_name;
  const auto& usual = input.mesh.default_service_export_to;
  const auto workloads = workloads_by_namespace(input);
  for (const auto& resource : input.resources) {
    const auto& from = istio::metadata_of(*resource).namespace_name;
    if (const auto* entry = std::get_if<istio::ServiceEntry>(resource.get())) {
      if (exported(entry->export_to, usual, from, here))
        add_entry(*entry, selected(*entry, workloads), out, findings);
    } else if (const auto* service = std::get_if<istio::Service>(resource.get())) {
      if (exported(service_export_to(*service), usual, from, here))
        add_service(*service, input, out);
    }
  }
  return out;
}

// A Kubernetes Service beats ServiceEntries of its host, then this namespace's own, then the oldest
// (2.2).
int rank(const KnownService& known, const CompileInput& input) {
  if (known.service) return 0;
  return known.metadata->namespace_name == input.proxy.namespace_name ? 1 : 2;
}

// Whose ports count for a host: the namespace (and kind) that won, each port's first teller in it.
struct Winner {
  int rank = 0;
  std::string namespace_name;
  std::set<uint16_t> taken;
  std::optional<std::size_t> place;  // of its first service in the result
};

ByText<Winner> pick_winners(const std::vector<KnownService>& all, const CompileInput& input) {
  ByText<Winner> winners;
  for (const auto& known : all) {
    Winner mine{rank(known, input), known.metadata->namespace_name, {}, {}};
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

// Leaves the ports that nobody told before.
void claim_ports(KnownService& known, Winner& winner, std::vector<istio::Finding>& findings) {
  std::erase_if(known.ports, [&](const KnownPort& port) {
    if (winner.taken.insert(port.port->number).second) return false;
    findings.push_back(finding(istio::Severity::warning, *known.metadata, "spec.ports",
                               "port " + std::to_string(port.port->number) + " of " + known.host +
                                   " is defined by an earlier resource, which is used",
                               port.port->line));
    return true;
  });
}

// A ServiceEntry of a Kubernetes Service's host adds its names, and the ports that the Service does
// not have: Istio's task "Egress TLS Origination" tells port 80 of a Service that has only 443 so.
void decorate(KnownService& entry, Winner& winner, std::vector<KnownService>& out) {
  auto& decorated = out[*winner.place];
  decorated.names.insert(decorated.names.end(), entry.names.begin(), entry.names.end());
  decorated.decorated = true;
  std::erase_if(entry.ports, [&](const KnownPort& port) {
    return !winner.taken.insert(port.port->number).second;
  });
  if (!entry.ports.empty()) out.push_back(std::move(entry));
}

}  // namespace

istio::Finding finding(istio::Severity severity, const istio::Metadata& about, std::string field,
                       std::string reason, int line) {
  istio::Finding out;
  out.severity = severity;
  if (about.ref) {
    out.file = about.ref->file;
    out.kind = about.ref->kind;
    out.line = about.ref->line;
  }
  if (line > 0) out.line = line;
  out.namespace_name = about.namespace_name;
  out.name = about.name;
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

std::vector<KnownService> known_services(const CompileInput& input,
                                         std::vector<istio::Finding>& findings) {
  auto all = visible(input, findings);
  auto winners = pick_winners(all, input);
  std::vector<KnownService> out;
  out.reserve(all.size());
  std::vector<KnownService*> decorations;  // ServiceEntries of a Kubernetes Service's host
  for (auto& known : all) {
    Winner& winner = winners.find(known.host)->second;
    if (winner.rank == 0 && known.entry) {
      decorations.push_back(&known);
      continue;
    }
    if (winner.namespace_name != known.metadata->namespace_name) {
      findings.push_back(finding(istio::Severity::warning, *known.metadata, "spec.hosts",
                                 known.host + " is taken from namespace " + winner.namespace_name +
                                     "; this one is not used"));
      continue;
    }
    claim_ports(known, winner, findings);
    warn_of_http2(known, findings);
    if (!winner.place) winner.place = out.size();
    out.push_back(std::move(known));
  }
  for (auto* entry : decorations) decorate(*entry, winners.find(entry->host)->second, out);
  return out;
}

}  // namespace sallyport::mesh
