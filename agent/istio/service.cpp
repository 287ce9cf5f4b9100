// Kubernetes' Service, as far as Istio routes by it (istio-api.md 2.4).
#include "agent/core/address.h"
#include "agent/istio/kinds.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

// "http2-foo" → HTTP2; anything else that Istio doesn't know → "" (detect).
std::string protocol_of_name(std::string_view name) {
  const std::string lower = lower_case(name);
  if (lower.starts_with("grpc-web")) return "GRPC-WEB";
  const std::string prefix = upper_case(lower.substr(0, lower.find('-')));
  switch (protocol_class(prefix)) {
    case ProtocolClass::detect:
    case ProtocolClass::unknown:
      return "";
    default:
      return prefix == "HTTP_PROXY" ? "" : prefix;
  }
}

std::string protocol_of(std::string_view transport, std::string_view app, const ServicePort& port) {
  if (transport == "UDP" || transport == "SCTP") return std::string(transport);
  if (app == "kubernetes.io/h2c") return "HTTP2";
  if (app == "kubernetes.io/ws") return "HTTP";
  if (app == "kubernetes.io/wss") return "HTTPS";
  std::string protocol = protocol_of_name(app.empty() ? std::string_view(port.name) : app);
  if (!protocol.empty()) return protocol;
  for (const uint16_t number : {25, 53, 3306, 27017}) {  // server speaks first: never sniffed
    if (port.number == number) return "TCP";
  }
  return "";
}

void read_target_port(Fields& fields, ServicePort& port) {
  const Node* target = fields.find("targetPort");
  if (!target) return;
  if (target->kind == Node::Kind::integer) {
    port.target_port = fields.port("targetPort");
  } else {
    port.target_port_name = fields.text("targetPort");
  }
}

ServicePort decode_service_port(Fields& fields) {
  ServicePort port;
  port.line = fields.line();
  port.name = fields.text("name");
  port.number = fields.port("port");
  if (!fields.has("port")) fields.error("port", "required");
  read_target_port(fields, port);
  const std::string given = fields.text("protocol");
  const std::string transport = given.empty() ? "TCP" : given;
  if (transport != "TCP" && transport != "UDP" && transport != "SCTP") {
    fields.warn("protocol", "unsupported value " + quoted(transport) +
                                ", supported: TCP, UDP, SCTP; it is taken for TCP");
  }
  port.protocol = protocol_of(transport, fields.text("appProtocol"), port);
  fields.ignore({"nodePort"});
  return port;
}

void check_addresses(const Service& service, Fields& spec) {
  for (const std::string& address : service.cluster_ips) {
    if (address == "None" || IpAddress::parse(address)) continue;
    spec.error("clusterIPs", quoted(address) + " is not a valid IP address");
  }
}

void check_ports(const Service& service, Fields& spec) {
  for (std::size_t at = 0; at < service.ports.size(); ++at) {
    const ServicePort& port = service.ports[at];
    const std::string field = "ports[" + std::to_string(at) + "].name";
    if (service.ports.size() > 1 && port.name.empty()) {
      spec.report().warn(port.line, spec.path_of(field), "required where there are several ports");
    }
    for (std::size_t earlier = 0; earlier < at && !port.name.empty(); ++earlier) {
      if (service.ports[earlier].name != port.name) continue;
      spec.report().error(port.line, spec.path_of(field), "duplicate value " + quoted(port.name));
    }
  }
}

void decode_spec(Service& service, Fields& spec) {
  spec.each("ports", [&](Fields& fields) { service.ports.push_back(decode_service_port(fields)); });
  service.selector = spec.labels("selector");
  service.external_name = spec.text("externalName");
  service.cluster_ips = spec.texts("clusterIPs");
  const std::string cluster_ip = spec.text("clusterIP");
  if (service.cluster_ips.empty() && !cluster_ip.empty()) service.cluster_ips.push_back(cluster_ip);
  service.publish_not_ready = spec.boolean("publishNotReadyAddresses").value_or(false);
  const std::string type = spec.text("type");
  if (type == "ExternalName") {
    if (auto problem = fqdn_problem(service.external_name)) spec.error("externalName", *problem);
  } else {
    service.external_name.clear();  // Kubernetes keeps it and ignores it
  }
  check_addresses(service, spec);
  check_ports(service, spec);
  spec.ignore({"sessionAffinity", "sessionAffinityConfig", "ipFamilies", "ipFamilyPolicy",
               "internalTrafficPolicy", "externalTrafficPolicy", "externalIPs", "loadBalancerIP",
               "loadBalancerClass", "loadBalancerSourceRanges", "allocateLoadBalancerNodePorts",
               "healthCheckNodePort", "trafficDistribution"});
}

}  // namespace

Service decode_service(Metadata metadata, Fields& document) {
  Service service;
  service.metadata = std::move(metadata);
  document.object("spec", [&](Fields& spec) { decode_spec(service, spec); });
  document.ignore({"status"});
  return service;
}

}  // namespace sallyport::istio
