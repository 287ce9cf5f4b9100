// VirtualService (istio-api.md 1.4): its hosts and gateways, its tls and tcp rules; http rules are
// read in http_route.cpp.
#include "agent/core/address.h"
#include "agent/istio/http_fields.h"
#include "agent/istio/kinds.h"
#include "agent/istio/unused_rules.h"

namespace sallyport::istio {
namespace {

// `*.com` and `*.foo.com` match each other, as `*.foo.com` and `a.foo.com` do.
bool hosts_overlap(std::string_view a, std::string_view b) {
  if (!a.starts_with('*')) std::swap(a, b);
  if (!a.starts_with('*')) return a == b;
  const auto suffix = a.substr(1), other = b.starts_with('*') ? b.substr(1) : b;
  return other.ends_with(suffix) || (b.starts_with('*') && suffix.ends_with(other));
}

void check_hosts(const VirtualService& service, Fields& spec) {
  const bool mesh = is_of_mesh(service);
  bool valid = true;
  const bool by_sni = std::any_of(service.tls.begin(), service.tls.end(), [](const auto& route) {
    return std::any_of(route.match.begin(), route.match.end(),
                       [](const auto& match) { return !match.sni_hosts.empty(); });
  });
  for (const auto& host : service.hosts) {
    if (!mesh && by_sni && is_generated_sni(host)) continue;
    if (host == "*" && mesh) {
      spec.error("hosts",
                 "wildcard host * is not allowed for virtual services bound to the mesh gateway");
      valid = false;
    } else if (auto problem = wildcard_domain_problem(host); problem && !IpAddress::parse(host)) {
      spec.error("hosts", *problem);
      valid = false;
    }
  }
  constexpr std::size_t hosts_max = 4096;  // of ours: each pair of them is compared
  if (service.hosts.size() > hosts_max) return spec.error("hosts", "at most 4096 hosts");
  for (std::size_t i = 0; valid && i < service.hosts.size(); i++) {
    for (std::size_t j = i + 1; j < service.hosts.size(); j++) {
      if (!hosts_overlap(service.hosts[i], service.hosts[j])) continue;
      spec.error("hosts", "duplicate hosts in virtual service: " + service.hosts[i] + " & " +
                              service.hosts[j]);
    }
  }
}

void check_delegate(const VirtualService& service, Fields& spec) {
  if (!service.gateways.empty())
    spec.error("gateways", "delegate virtual service must have no gateways specified");
  if (!service.tls.empty())
    spec.error("tls", "delegate virtual service must have no tls route specified");
  if (!service.tcp.empty())
    spec.error("tcp", "delegate virtual service must have no tcp route specified");
}

bool within(std::string_view name, std::string_view host) {
  if (!host.starts_with('*')) return name == host;
  return (name.starts_with('*') ? name.substr(1) : name).ends_with(host.substr(1));
}

void check_sni(const VirtualService& service, const L4Match& match, Fields& fields) {
  if (match.sni_hosts.empty()) {
    fields.error("sniHosts", "TLS match must have at least one SNI host");
  }
  for (const auto& name : match.sni_hosts) {
    if (IpAddress::parse(name)) {
      fields.warn("sniHosts", "using an IP address (" + quoted(name) +
                                  ") goes against SNI spec and most clients do not support this");
      continue;
    }
    const auto problem = wildcard_domain_problem(name);
    if (problem && !is_generated_sni(name)) {
      fields.error("sniHosts", *problem);
      continue;
    }
    const bool known = std::any_of(service.hosts.begin(), service.hosts.end(),
                                   [&](const auto& host) { return within(name, host); });
    if (!known) {
      fields.error("sniHosts",
                   "SNI host " + quoted(name) +
                       " is not a compatible subset of any of the virtual service hosts");
    }
  }
}

L4Match decode_l4_match(const VirtualService& service, Fields& fields, bool tls) {
  L4Match match;
  match.line = fields.line();
  match.destination_subnets = fields.texts("destinationSubnets");
  for (const auto& subnet : match.destination_subnets) {
    if (auto problem = subnet_problem(subnet)) fields.error("destinationSubnets", *problem);
  }
  decode_client_match(match, fields);
  if (tls) {
    match.sni_hosts = fields.texts("sniHosts");
    for (auto& name : match.sni_hosts) name = lower_case(name);
    check_sni(service, match, fields);
  } else {
    fields.ignore({"sourceSubnet"});  // Istio's sidecars do not look at it either.
  }
  return match;
}

L4Route decode_l4_route(const VirtualService& service, Fields& fields, bool tls) {
  L4Route route;
  route.line = fields.line();
  fields.each("match", [&](Fields& f) { route.match.push_back(decode_l4_match(service, f, tls)); });
  if (tls && route.match.empty())
    fields.error("match", "TLS route must have at least one match condition");
  route.route = decode_route_destinations(fields);
  if (route.route.empty())
    fields.error("route", tls ? "TLS route is required" : "TCP route is required");
  return route;
}

void decode_spec(VirtualService& service, Fields& spec) {
  service.hosts = spec.texts("hosts");
  for (auto& host : service.hosts) host = lower_case(host);
  service.gateways = spec.texts("gateways");
  check_gateway_names(spec, service.gateways);
  service.export_to = spec.texts("exportTo");
  const bool delegate = service.hosts.empty();
  const RuleContext context{.delegate = delegate, .mesh = is_of_mesh(service)};
  spec.each("http", [&](Fields& f) { service.http.push_back(decode_http_route(f, context)); });
  spec.each("tls", [&](Fields& f) { service.tls.push_back(decode_l4_route(service, f, true)); });
  spec.each("tcp", [&](Fields& f) { service.tcp.push_back(decode_l4_route(service, f, false)); });
  if (service.http.empty() && service.tls.empty() && service.tcp.empty())
    spec.error("", "http, tcp or tls must be provided in virtual service");
  if (delegate)
    check_delegate(service, spec);
  else
    check_hosts(service, spec);
  for (const auto& unused : unused_rules(service)) {
    const int line = unused.line ? unused.line : spec.line();
    spec.report().warn(line, unused.field, "virtualService " + unused.reason);
  }
  const Exported exported{.namespace_name = service.metadata.namespace_name()};
  if (auto problem = export_to_problem(service.export_to, exported))
    spec.error("exportTo", *problem);
}

// A name without a namespace: perhaps the old form with dots.
void check_legacy_gateway(Fields& fields, const std::string& name) {
  if (auto problem = fqdn_problem(name)) return fields.error("gateways", *problem);
  const auto dot = name.find('.');
  if (dot == std::string::npos) return;
  const auto space = name.substr(dot + 1, name.find('.', dot + 1) - dot - 1);
  fields.warn("gateways", "using legacy gatewayName format " + quoted(name) +
                              "; prefer the <namespace>/<name> format: " +
                              quoted(space + '/' + name.substr(0, dot)));
}

}  // namespace

bool is_of_mesh(const std::vector<std::string>& gateways) {
  return gateways.empty() || std::find(gateways.begin(), gateways.end(), "mesh") != gateways.end();
}

std::string gateway_name(std::string_view written, std::string_view namespace_name) {
  const auto join = [](std::string_view space, std::string_view name) {
    return std::string(space) + '/' + std::string(name);
  };
  if (written == "mesh") return "mesh";
  if (written.starts_with("./")) return join(namespace_name, written.substr(2));
  if (written.find('/') != written.npos) return std::string(written);
  const auto dot = written.find('.');
  if (dot == written.npos) return join(namespace_name, written);
  const auto rest = written.substr(dot + 1);
  return join(rest.substr(0, rest.find('.')), written.substr(0, dot));
}

void check_gateway_names(Fields& fields, const std::vector<std::string>& names) {
  for (const auto& name : names) {
    const auto slash = name.find('/');
    if (slash == std::string::npos) {
      check_legacy_gateway(fields, name);
      return;  // Istio looks at none behind it.
    }
    if (!is_dns_label(name.substr(0, slash))) {
      fields.error("gateways", "invalid value for namespace: " + quoted(name.substr(0, slash)));
    }
    if (!is_dns_label(name.substr(slash + 1))) {
      fields.error("gateways", "invalid value for gateway name: " + quoted(name.substr(slash + 1)));
    }
  }
}

VirtualService decode_virtual_service(Metadata metadata, Fields& document) {
  VirtualService service;
  service.metadata = std::move(metadata);
  if (!document.object("spec", [&](Fields& spec) { decode_spec(service, spec); })) {
    document.error("spec", "required");
  }
  document.ignore({"status"});
  return service;
}

}  // namespace sallyport::istio
