// Istio's validation of a ServiceEntry, with its messages where it has one
// (istio/istio:pkg/config/validation).
#include <set>

#include "agent/core/address.h"
#include "agent/istio/kinds.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

std::string item(std::string_view list, std::size_t at) {
  return std::string(list) + '[' + std::to_string(at) + ']';
}

std::string_view resolution_name(Resolution resolution) {
  switch (resolution) {
    case Resolution::none:
      return "NONE";
    case Resolution::static_:
      return "STATIC";
    case Resolution::dns:
      return "DNS";
    case Resolution::dns_round_robin:
      return "DNS_ROUND_ROBIN";
    case Resolution::dynamic_dns:
      return "DYNAMIC_DNS";
  }
  return "";
}

void check_hosts(const ServiceEntry& entry, Fields& spec) {
  const bool dynamic = entry.resolution == Resolution::dynamic_dns;
  if (entry.hosts.empty()) spec.error("hosts", "service entry must have at least one host");
  if (entry.hosts.size() > 256) spec.error("hosts", "at most 256 hosts");
  for (std::size_t at = 0; at < entry.hosts.size(); ++at) {
    const std::string& host = entry.hosts[at];
    const std::string& field = "hosts";
    if (host == "*") {
      spec.error(field, "invalid host *");
    } else if (auto problem = wildcard_domain_problem(host)) {
      spec.error(field, *problem);
    } else if (is_partial_wildcard(host) && !dynamic) {
      spec.warn(field, "partial wildcard " + quoted(host) + " not allowed");
    } else if (dynamic && !host.starts_with('*')) {
      spec.error(field, "hosts must be wildcards for resolution mode DYNAMIC_DNS");
    }
  }
}

void check_addresses(const ServiceEntry& entry, Fields& spec) {
  bool has_block = false;
  if (entry.addresses.size() > 256) spec.error("addresses", "at most 256 addresses");
  for (const std::string& address : entry.addresses) {
    has_block = has_block || address.find('/') != std::string::npos;
    if (auto problem = subnet_problem(address)) spec.error("addresses", *problem);
  }
  const bool allowed =
      entry.resolution == Resolution::none || entry.resolution == Resolution::static_;
  if (has_block && !allowed) {
    spec.error("addresses", "CIDR addresses are allowed only for NONE/STATIC resolution types");
  }
  if (entry.resolution == Resolution::dynamic_dns && !entry.addresses.empty()) {
    spec.error("addresses", "no addresses should be provided for resolution mode DYNAMIC_DNS");
  }
}

// Of an entry that shares its ports' TCP between hosts only its addresses could tell them apart.
void check_shared_address(const ServiceEntry& entry, Fields& spec) {
  const bool by_name =
      entry.resolution == Resolution::dns || entry.resolution == Resolution::dns_round_robin;
  if (!by_name || entry.addresses.empty() || entry.hosts.size() < 2) return;
  const bool tcp = std::any_of(entry.ports.begin(), entry.ports.end(), [](const auto& port) {
    const auto protocol = protocol_class(port.protocol);
    return protocol == ProtocolClass::tcp || protocol == ProtocolClass::tls;
  });
  if (tcp) {
    spec.warn("hosts",
              "service entry can not have more than one host specified simultaneously with address "
              "and tcp port");
  }
}

void check_ports(const ServiceEntry& entry, Fields& spec) {
  std::set<std::string_view> names;
  std::set<uint16_t> numbers;
  for (std::size_t at = 0; at < entry.ports.size(); ++at) {
    const ServicePort& port = entry.ports[at];
    const auto error = [&](std::string_view field, std::string reason) {
      spec.report().error(port.line, spec.path_of(item("ports", at) + std::string(field)),
                          std::move(reason));
    };
    if (!port.name.empty() && !names.insert(port.name).second) {
      error(".name", "service entry port name " + quoted(port.name) + " already defined");
    }
    if (port.number && !numbers.insert(port.number).second) {
      error(".number", "service entry port " + std::to_string(port.number) + " already defined");
    }
    constexpr std::string_view dynamic[] = {"HTTP", "TLS", "GRPC", "HTTP2"};
    const bool named =
        std::find(std::begin(dynamic), std::end(dynamic), port.protocol) != std::end(dynamic);
    if (entry.resolution == Resolution::dynamic_dns && !named) {
      error(".protocol",
            "only HTTP, TLS, GRPC, and HTTP2 protocols are supported for resolution type "
            "DYNAMIC_DNS");
    }
    const bool anything = port.protocol.empty() || port.protocol == "TCP";
    if (anything && entry.addresses.empty() && !gets_an_address(entry)) {
      spec.report().warn(port.line, spec.path_of(item("ports", at)),
                         "addresses are required for ports serving TCP (or unset) protocol when IP "
                         "Autoallocation is not enabled");
    }
  }
}

// An address that resolution STATIC can use.
void check_static_endpoint(const ServiceEntry& entry, const WorkloadEntry& endpoint,
                           const EndpointComplaint& complain) {
  const auto& address = endpoint.address;
  if (address.empty() || address.starts_with(unix_prefix)) {
    check_no_ip(endpoint, complain);
    if (!address.empty() && entry.ports.size() != 1) {
      complain("address", "exactly 1 service port required for unix endpoints", true);
    }
  } else if (!IpAddress::parse(address)) {
    complain("address", "endpoint address " + quoted(address) + " is not a valid IP address", true);
  }
}

void check_endpoint(const ServiceEntry& entry, std::size_t at, Fields& spec) {
  const WorkloadEntry& endpoint = entry.endpoints[at];
  const EndpointComplaint complain = [&](std::string_view field, std::string reason, bool fatal) {
    auto path = spec.path_of(item("endpoints", at) + '.' + std::string(field));
    auto& report = spec.report();
    fatal ? report.error(endpoint.line, std::move(path), std::move(reason))
          : report.warn(endpoint.line, std::move(path), std::move(reason));
  };
  if (entry.resolution == Resolution::static_) {
    check_static_endpoint(entry, endpoint, complain);
  } else if (!IpAddress::parse(endpoint.address) && fqdn_problem(endpoint.address)) {
    complain(
        "address",
        "endpoint address " + quoted(endpoint.address) + " is not a valid FQDN or an IP address",
        true);
  }
  for (const auto& [name, number] : endpoint.ports) {
    const bool known = std::any_of(entry.ports.begin(), entry.ports.end(),
                                   [&](const ServicePort& port) { return port.name == name; });
    if (known) continue;
    complain("ports", "endpoint port " + quoted(name) + " is not defined by the service entry",
             true);
  }
}

void check_endpoints(const ServiceEntry& entry, Fields& spec) {
  const std::size_t count = entry.endpoints.size();
  const bool by_name =
      entry.resolution == Resolution::dns || entry.resolution == Resolution::dns_round_robin;
  if (entry.workload_selector && count > 0) {
    spec.error("workloadSelector",
               "only one of WorkloadSelector or Endpoints is allowed in Service Entry");
  }
  if (entry.workload_selector && entry.resolution == Resolution::none) {
    spec.warn("workloadSelector",
              "workloadSelector should not be set when resolution mode is NONE");
  }
  if (count > 4096) return spec.error("endpoints", "at most 4096 endpoints");
  if (count > 0 && entry.resolution == Resolution::none) {
    return spec.error("endpoints", "no endpoints should be provided for resolution type none");
  }
  if (count > 0 && entry.resolution == Resolution::dynamic_dns) {
    return spec.error("endpoints",
                      "no endpoints should be provided for resolution mode DYNAMIC_DNS");
  }
  if (count > 1 && entry.resolution == Resolution::dns_round_robin) {
    spec.error("endpoints",
               "there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN");
  }
  for (std::size_t at = 0; at < count; ++at) check_endpoint(entry, at, spec);
  for (std::size_t at = 0; by_name && count == 0 && at < entry.hosts.size(); ++at) {
    if (!fqdn_problem(entry.hosts[at])) continue;
    spec.error("hosts", "hosts must be FQDN if no endpoints are provided for resolution mode " +
                            std::string(resolution_name(entry.resolution)));
  }
}

bool uses_waypoint(const Labels& labels) {
  const auto at = labels.find("istio.io/use-waypoint");
  return at != labels.end() && !at->second.empty() && lower_case(at->second) != "none";
}

// With HTTP the Host and with TLS the SNI tells hosts apart; with TCP nothing does.
void check_several_hosts(const ServiceEntry& entry, Fields& spec) {
  if (entry.hosts.size() < 2 || entry.resolution == Resolution::none) return;
  for (const ServicePort& port : entry.ports) {
    const ProtocolClass protocol = protocol_class(port.protocol);
    if (protocol == ProtocolClass::http || protocol == ProtocolClass::tls) continue;
    return spec.error("hosts", "multiple hosts provided with non-HTTP, non-TLS ports");
  }
}

}  // namespace

bool gets_an_address(const ServiceEntry& entry) {
  const auto& labels = entry.metadata.labels;
  const auto enabled = labels.find("networking.istio.io/enable-autoallocate-ip");
  return entry.resolution != Resolution::none && entry.addresses.empty() &&
         (enabled == labels.end() || lower_case(enabled->second) != "false");
}

void check_service_entry(const ServiceEntry& entry, Fields& spec) {
  check_hosts(entry, spec);
  check_addresses(entry, spec);
  check_ports(entry, spec);
  check_endpoints(entry, spec);
  check_several_hosts(entry, spec);
  check_shared_address(entry, spec);
  const Exported exported{.namespace_name = entry.metadata.namespace_name(),
                          .is_service_entry = true};
  if (auto problem = export_to_problem(entry.export_to, exported)) spec.error("exportTo", *problem);
  if (entry.resolution == Resolution::dynamic_dns && entry.location == Location::mesh_internal &&
      uses_waypoint(entry.metadata.labels)) {
    spec.error("location",
               "location MESH_INTERNAL with resolution type DYNAMIC_DNS is not supported when "
               "using waypoints");
  }
}

}  // namespace sallyport::istio
