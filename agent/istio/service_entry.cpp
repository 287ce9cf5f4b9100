// ServiceEntry (istio-api.md 1.1).
#include "agent/core/address.h"
#include "agent/istio/kinds.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

constexpr Choice resolutions[] = {
    {"NONE", 0}, {"STATIC", 1}, {"DNS", 2}, {"DNS_ROUND_ROBIN", 3}, {"DYNAMIC_DNS", 4}};
constexpr Choice locations[] = {{"MESH_EXTERNAL", 0}, {"MESH_INTERNAL", 1}};

ServicePort decode_entry_port(Fields& fields) {
  ServicePort port;
  port.line = fields.line();
  port.number = fields.port("number");
  if (!fields.has("number")) fields.error("number", *port_problem(0));
  port.target_port = fields.port("targetPort");
  port.name = fields.text("name");
  if (auto problem = port_name_problem(port.name)) fields.error("name", *problem);
  port.protocol = upper_case(fields.text("protocol"));
  if (protocol_class(port.protocol) == ProtocolClass::unknown) {
    fields.error("protocol", "unsupported protocol: " + quoted(port.protocol));
  }
  return port;
}

void decode_spec(ServiceEntry& entry, Fields& spec) {
  entry.hosts = spec.texts("hosts");
  for (std::string& host : entry.hosts) host = lower_case(host);
  entry.addresses = spec.texts("addresses");
  for (std::string& address : entry.addresses) {  // "::ffff:1.2.3.4" is 1.2.3.4 to the kernel too
    const auto ip = address.find(':') == address.npos ? std::nullopt : IpAddress::parse(address);
    if (ip && ip->is_v4()) address = ip->text();
  }
  spec.each("ports", [&](Fields& fields) { entry.ports.push_back(decode_entry_port(fields)); });
  entry.location = static_cast<Location>(spec.choice("location", locations).value_or(0));
  entry.resolution = static_cast<Resolution>(spec.choice("resolution", resolutions).value_or(0));
  spec.each("endpoints",
            [&](Fields& fields) { entry.endpoints.push_back(decode_workload(fields)); });
  spec.object("workloadSelector",
              [&](Fields& fields) { entry.workload_selector = decode_selector(fields, "labels"); });
  entry.export_to = spec.texts("exportTo");
  entry.subject_alt_names = spec.texts("subjectAltNames");
  check_service_entry(entry, spec);
}

// Written by a controller, not by the author of the resource: what can't be read is passed over.
void read_status(ServiceEntry& entry, const Node& status) {
  const Node* const addresses = status.find("addresses");
  if (!addresses) return;
  for (const auto& item : addresses->entries) {
    const Node* const value = item.value->find("value");
    const Node* const host = item.value->find("host");
    const auto ip = value ? IpAddress::parse(value->text) : std::nullopt;
    if (ip && host) entry.status_addresses.emplace_back(lower_case(host->text), *ip);
  }
}

}  // namespace

void check_labels(Fields& fields, std::string_view name, const Labels& labels) {
  for (const auto& [key, value] : labels) {
    if (auto problem = label_problem(key, value)) fields.error(name, *problem);
  }
}

Labels decode_selector(Fields& selector, std::string_view name, std::string_view of) {
  Labels labels = selector.labels(name);
  for (const auto& [key, value] : labels) {
    if (key.empty()) selector.error(name, "empty key is not supported in selector");
    if (key.find('*') != std::string::npos || value.find('*') != std::string::npos) {
      selector.error(name, "wildcard is not supported in selector: " + quoted(key + '=' + value));
    }
    if (value.size() > 63) selector.error(name, quoted(value) + " is longer than 63 bytes");
  }
  if (labels.empty())
    selector.warn(name, name == "labels" ? std::string(of) +
                                               ": workload selector specified without labels, "
                                               "will be applied to all services in namespace"
                                         : "workload selector specified without labels");
  return labels;
}

ServiceEntry decode_service_entry(Metadata metadata, Fields& document) {
  ServiceEntry entry;
  entry.metadata = std::move(metadata);
  if (!document.object("spec", [&](Fields& spec) { decode_spec(entry, spec); })) {
    document.error("spec", "required");
  }
  if (const Node* const status = document.find("status")) read_status(entry, *status);
  return entry;
}

}  // namespace sallyport::istio
