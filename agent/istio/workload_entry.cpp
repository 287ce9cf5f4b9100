// WorkloadEntry: as a resource of its own, and as an endpoint of a ServiceEntry (istio-api.md 1.2).
#include "agent/core/address.h"
#include "agent/istio/kinds.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

void check_address(const WorkloadEntry& entry, Fields& spec) {
  const auto& address = entry.address;
  if (address.empty() || address.starts_with(unix_prefix)) {
    check_no_ip(entry, [&](std::string_view field, std::string reason, bool fatal) {
      fatal ? spec.error(field, std::move(reason)) : spec.warn(field, std::move(reason));
    });
  } else if (!IpAddress::parse(address) && fqdn_problem(address)) {
    spec.error("address",
               "endpoint address " + quoted(address) + " is not a valid FQDN or an IP address");
  }
}

}  // namespace

void check_no_ip(const WorkloadEntry& entry, const EndpointComplaint& complain) {
  const auto& address = entry.address;
  if (address.empty()) {
    return entry.network.empty()
               ? complain("address", "address is required", true)
               : complain("address", "address is unset with network " + quoted(entry.network),
                          false);
  }
  const auto path = std::string_view(address).substr(unix_prefix.size());
  const bool rooted = path.starts_with('/') || path.starts_with('@');
  if (!rooted || path.ends_with('/')) {
    complain("address", quoted(path) + " is not an absolute path to a file", true);
  } else if (path.size() > SocketAddress::path_max) {
    complain("address",
             "a unix socket's path of " + std::to_string(path.size()) +
                 " bytes: the kernel takes " + std::to_string(SocketAddress::path_max),
             true);
  } else if (!SocketAddress::is_path(path)) {
    complain("address", quoted(path) + " is no path that a unix socket can have", true);
  }
  if (!entry.ports.empty()) {
    complain("ports", "unix endpoint " + address + " must not include ports", true);
  }
}

WorkloadEntry decode_workload(Fields& fields) {
  WorkloadEntry entry;
  entry.line = fields.line();
  entry.address = fields.text("address");
  fields.object("ports", [&](Fields& ports) {
    std::vector<std::pair<std::string, uint16_t>> by_name;  // sorted once
    for (const auto& port : fields.find("ports")->entries) {
      by_name.emplace_back(port.key, ports.port(port.key));
      if (auto problem = port_name_problem(port.key)) ports.error(port.key, *problem);
      if (port.key.size() >= 63) ports.error(port.key, "must be shorter than 63 bytes");
    }
    entry.ports.insert(by_name.begin(), by_name.end());
  });
  entry.labels = fields.labels("labels");
  check_labels(fields, "labels", entry.labels);
  entry.network = fields.text("network");
  entry.locality = fields.text("locality");
  entry.service_account = fields.text("serviceAccount");
  entry.weight = static_cast<uint32_t>(fields.integer("weight", 0, UINT32_MAX).value_or(0));
  if (!entry.network.empty()) fields.unsupported({"network"});
  return entry;
}

Workload decode_workload_entry(Metadata metadata, Fields& document) {
  Workload workload;
  workload.metadata = std::move(metadata);
  const auto read = [&](Fields& spec) {
    workload.entry = decode_workload(spec);
    check_address(workload.entry, spec);
  };
  if (!document.object("spec", read)) document.error("spec", "required");
  document.ignore({"status"});
  // Measured (istio-api.md 7): the metadata's labels override the spec's.
  for (const auto& [key, value] : workload.metadata.labels) workload.entry.labels[key] = value;
  return workload;
}

}  // namespace sallyport::istio
