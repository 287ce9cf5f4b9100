// WorkloadEntry: as a resource of its own, and as an endpoint of a ServiceEntry (istio-api.md 1.2).
#include "agent/core/address.h"
#include "agent/istio/kinds.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

constexpr std::string_view unix_prefix = "unix://";

void check_address(const WorkloadEntry& entry, Fields& spec) {
  const auto& address = entry.address;
  if (address.empty()) {
    if (entry.network.empty()) spec.error("address", "address is required");
  } else if (address.starts_with(unix_prefix)) {
    const auto path = std::string_view(address).substr(unix_prefix.size());
    if (!path.starts_with('/') && !path.starts_with('@'))
      spec.error("address", quoted(address) + " must be an absolute path");
    if (!entry.ports.empty())
      spec.error("ports", "unix endpoint " + quoted(address) + " must not include ports");
  } else if (!IpAddress::parse(address) && fqdn_problem(address)) {
    spec.error("address",
               "endpoint address " + quoted(address) + " is not a valid FQDN or an IP address");
  }
}

}  // namespace

WorkloadEntry decode_workload(Fields& fields) {
  WorkloadEntry entry;
  entry.line = fields.line();
  entry.address = fields.text("address");
  fields.object("ports", [&](Fields& ports) {
    for (const auto& port : fields.find("ports")->entries) {
      entry.ports[port.key] = ports.port(port.key);
      if (auto problem = port_name_problem(port.key)) ports.error(port.key, *problem);
    }
  });
  entry.labels = fields.labels("labels");
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
