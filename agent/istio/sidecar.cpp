// Sidecar (istio-api.md 1.6), with Istio's validation.
#include <map>
#include <set>
#include <tuple>

#include "agent/core/address.h"
#include "agent/istio/kinds.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

constexpr Choice capture_modes[] = {{"DEFAULT", 0}, {"IPTABLES", 1}, {"NONE", 2}};
constexpr int capture_iptables = 1, capture_none = 2;
constexpr Choice sidecar_outbound_modes[] = {
    {"REGISTRY_ONLY", 0}, {"ALLOW_ANY", 1}, {"ALLOW_ANY_DYNAMIC_DNS", 2}};
constexpr Choice tls_modes[] = {{"PASSTHROUGH", 0},  {"SIMPLE", 1},
                                {"MUTUAL", 2},       {"AUTO_PASSTHROUGH", 3},
                                {"ISTIO_MUTUAL", 4}, {"OPTIONAL_MUTUAL", 5}};

SidecarPort decode_sidecar_port(Fields& fields) {
  SidecarPort port;
  port.line = fields.line();
  port.number = fields.optional_port("number");
  port.name = fields.text("name");
  port.protocol = upper_case(fields.text("protocol"));
  if (protocol_class(port.protocol) == ProtocolClass::unknown) {
    fields.error("protocol", "unsupported protocol: " + fields.text("protocol"));
  }
  if (!port.name.empty()) {
    if (const auto problem = port_name_problem(port.name)) fields.error("name", *problem);
  }
  if (fields.optional_port("targetPort") != 0) {
    fields.error("targetPort", "targetPort has no impact on Sidecars");
  }
  return port;
}

void check_bind(const std::string& bind, Fields& fields) {
  if (!bind.empty() && !IpAddress::parse(bind)) {
    fields.error("bind", quoted(bind) + " is not a valid IP");
  }
}

void check_unix_path(const std::string& given, const std::string& field, Fields& fields) {
  const auto path = std::string_view(given).substr(unix_prefix.size());
  const bool rooted = path.starts_with('/') || path.starts_with('@');
  if (!rooted || path.ends_with('/'))
    fields.error(field, quoted(path) + " is not an absolute path to a file");
}

// 127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080, [::]:8080, :8080, or a unix socket.
void check_default_endpoint(const std::string& endpoint, Fields& fields) {
  if (endpoint.empty()) return;
  if (endpoint.starts_with(unix_prefix))
    return check_unix_path(endpoint, "defaultEndpoint", fields);
  const auto colon = endpoint.rfind(':');
  const auto host = endpoint.substr(0, std::min(colon, endpoint.size()));
  const std::set<std::string_view> taken = {"", "127.0.0.1", "0.0.0.0", "[::1]", "[::]"};
  if (colon == std::string::npos || !taken.contains(host)) {
    return fields.error("defaultEndpoint",
                        "sidecar: defaultEndpoint must be of form 127.0.0.1:<port>,"
                        "0.0.0.0:<port>,[::1]:port,[::]:port,unix://filepath or unset");
  }
  const auto number = integer_value(endpoint.substr(colon + 1));
  if (!number) {
    fields.error("defaultEndpoint", "sidecar: defaultEndpoint port (" + endpoint.substr(colon + 1) +
                                        ") is not a number");
  } else if (const auto problem = port_problem(*number)) {
    fields.error("defaultEndpoint", *problem);
  }
}

void check_tls(const SidecarPort& port, Fields& tls) {
  const int mode = tls.choice("mode", tls_modes).value_or(0);
  if (mode == 3 || mode == 4) {
    tls.error("mode", "configuration is invalid: cannot set mode to " +
                          std::string(tls_modes[mode].name) + " in sidecar ingress tls");
  }
  const bool redirects = tls.boolean("httpsRedirect").value_or(false);
  for (const std::string_view name : {"subjectAltNames", "httpsRedirect", "credentialName",
                                      "credentialNames", "tlsCertificates"}) {
    if (name == "httpsRedirect" ? redirects : tls.has(name))
      tls.error(name, "sidecar: " + std::string(name) + " is not supported in ingress tls");
  }
  if (protocol_class(port.protocol) != ProtocolClass::tls) {
    tls.error("", "server cannot have TLS settings for non HTTPS/TLS ports");
  }
  const bool simple = mode == 1, mutual = mode == 2 || mode == 5;
  const std::string needs = std::string(mutual ? "MUTUAL" : "SIMPLE") + " TLS requires a ";
  if ((simple || mutual) && tls.text("serverCertificate").empty())
    tls.error("serverCertificate", needs + "server certificate");
  if ((simple || mutual) && tls.text("privateKey").empty())
    tls.error("privateKey", needs + "private key");
  if (mutual && tls.text("caCertificates").empty())
    tls.error("caCertificates", needs + "client CA bundle");
  tls.ignore({"serverCertificate", "privateKey", "caCertificates", "caCrl", "verifyCertificateSpki",
              "verifyCertificateHash", "minProtocolVersion", "maxProtocolVersion", "cipherSuites"});
}

SidecarIngress decode_ingress(Fields& fields) {
  SidecarIngress ingress;
  ingress.line = fields.line();
  const bool given =
      fields.object("port", [&](Fields& port) { ingress.port = decode_sidecar_port(port); });
  if (!given) {
    fields.error("port", "sidecar: port is required for ingress listeners");
  } else if (ingress.port.number == 0) {
    fields.error("port.number", "port number 0 must be in the range 1..65535");
  }
  ingress.bind = fields.text("bind");
  check_bind(ingress.bind, fields);
  ingress.default_endpoint = fields.text("defaultEndpoint");
  check_default_endpoint(ingress.default_endpoint, fields);
  fields.choice("captureMode", capture_modes);
  ingress.has_tls = fields.object(
      "tls", [&](Fields& tls) { check_tls(ingress.port, tls); }, Unknown::refuse);
  if (ingress.has_tls) fields.warn("tls", "has no effect, as in Istio by default");
  fields.object("connectionPool", [](Fields& pool) { decode_connection_pool(pool); });
  fields.unsupported({"captureMode", "connectionPool"});
  return ingress;
}

// "NAMESPACE/dnsName"; the namespace may be `*`, `.`, or have a `~` before it, which excludes.
void check_host(const std::string& host, const std::string& field, Fields& fields) {
  const auto slash = host.find('/');
  if (slash == std::string::npos) {
    return fields.error(field, "host must be of form namespace/dnsName");
  }
  std::string_view space = std::string_view(host).substr(0, slash);
  const std::string name = host.substr(slash + 1);
  if (space.empty() || name.empty()) {
    return fields.error(field, "config namespace and dnsName in host entry cannot be empty");
  }
  if (space.starts_with('~')) space.remove_prefix(1);
  if (!space.empty() && space != "*" && space != "." && !is_dns_label(space)) {
    fields.error(field, "invalid namespace value " + quoted(host.substr(0, slash)) + " in sidecar");
  }
  if (name == "*") return;
  if (name.find('.') == std::string::npos) {
    fields.error(field, "short names (non FQDN) are not allowed");
  } else if (const auto problem = wildcard_domain_problem(name)) {
    fields.error(field, *problem);
  } else if (is_partial_wildcard(name)) {
    fields.error(field, "partial wildcard " + quoted(name) + " not allowed");
  }
}

void check_hosts(const SidecarEgress& egress, Fields& fields) {
  if (egress.hosts.empty()) {
    fields.error("hosts", "sidecar: egress listener must contain at least one host");
  }
  std::set<std::string> seen;
  std::map<std::string, std::set<std::string>> by_namespace;
  for (std::size_t at = 0; at < egress.hosts.size(); ++at) {
    const std::string field = "hosts[" + std::to_string(at) + "]";
    const std::string& host = egress.hosts[at];
    check_host(host, field, fields);
    seen.insert(host);
    const auto slash = std::min(host.find('/'), host.size());
    auto& names = by_namespace[host.substr(0, slash)];
    const std::string name = host.substr(std::min(slash + 1, host.size()));
    const bool covered = name == "*" ? !names.empty() : names.contains("*") || names.contains(name);
    if (covered && !host.starts_with('~')) fields.warn(field, "duplicated egress host: " + host);
    names.insert(name);
  }
  if (seen.contains("*/*") && seen.size() > 1) {
    const bool excludes = seen.begin() != seen.end() && seen.rbegin()->starts_with('~');
    if (!excludes)
      fields.warn("hosts", "`*/*` host select all resources, no other hosts can be added");
  }
}

void check_unix_listener(const SidecarEgress& egress, int capture, Fields& fields) {
  if (egress.bind.starts_with(unix_prefix)) {
    check_unix_path(egress.bind, "bind", fields);
  } else {
    fields.error("bind", "sidecar: ports with 0 value must have a unix domain socket bind address");
  }
  if (capture == capture_iptables) {
    fields.error("captureMode",
                 "sidecar: captureMode must be DEFAULT/NONE for unix domain socket listeners");
  }
}

SidecarEgress decode_egress(Fields& fields) {
  SidecarEgress egress;
  egress.line = fields.line();
  fields.object("port", [&](Fields& port) { egress.port = decode_sidecar_port(port); });
  egress.bind = fields.text("bind");
  const int capture = fields.choice("captureMode", capture_modes).value_or(0);
  if (egress.port && egress.port->number == 0) {
    check_unix_listener(egress, capture, fields);
  } else {
    check_bind(egress.bind, fields);
  }
  egress.hosts = fields.texts("hosts");
  for (auto& host : egress.hosts) host = lower_case(host);
  check_hosts(egress, fields);
  const bool proxy = egress.port && egress.port->protocol == "HTTP_PROXY";
  if (proxy) fields.warn("port.protocol", "HTTP_PROXY is not supported: no listener is opened");
  if (!egress.bind.empty()) fields.unsupported({"bind"});
  if (capture == capture_none) fields.unsupported({"captureMode"});
  return egress;
}

void read_egress(Sidecar& sidecar, Fields& spec) {
  std::set<uint16_t> ports;
  std::set<std::string> sockets;
  spec.each("egress", [&](Fields& fields) {
    if (!sidecar.egress.empty() && !sidecar.egress.back().port) {
      fields.error("",
                   "sidecar: the egress listener with empty port should be the last listener "
                   "in the list");
    }
    sidecar.egress.push_back(decode_egress(fields));
    const auto& [port, bind] = std::tie(sidecar.egress.back().port, sidecar.egress.back().bind);
    if (port && port->number != 0 && !ports.insert(port->number).second)
      fields.error("port", "sidecar: ports on IP bound listeners must be unique");
    if (port && port->number == 0 && !sockets.insert(bind).second)
      fields.error("bind", "sidecar: unix domain socket values for listeners must be unique");
  });
}

void read_ingress(Sidecar& sidecar, Fields& spec) {
  std::set<uint16_t> ports;
  spec.each("ingress", [&](Fields& fields) {
    sidecar.ingress.push_back(decode_ingress(fields));
    const auto number = sidecar.ingress.back().port.number;
    if (number != 0 && !ports.insert(number).second)
      fields.error("port", "sidecar: ports on IP bound listeners must be unique");
  });
}

void check_egress_proxy(Fields& proxy) {
  const std::string host = proxy.text("host");
  if (const auto problem = fqdn_problem(host)) proxy.error("host", *problem);
  const bool has_port = proxy.object("port", [](Fields& port) {
    if (const auto problem = port_problem(port.integer("number", 0, 1 << 20).value_or(0)))
      port.error("number", *problem);
  });
  if (!has_port) proxy.error("port", "sidecar: egress_proxy port must be non-nil");
  proxy.ignore({"subset"});
}

// Given without a mode it is the enum's zero, REGISTRY_ONLY.
void decode_outbound_policy(Sidecar& sidecar, Fields& policy) {
  const int mode = policy.choice("mode", sidecar_outbound_modes).value_or(0);
  sidecar.policy_line = policy.line();
  sidecar.allow_any = mode == 1;
  if (mode == 2) {
    policy.error("mode",
                 "sidecar: ALLOW_ANY_DYNAMIC_DNS mode is only supported in MeshConfig, "
                 "not in Sidecar resource");
  }
  if (!policy.has("egressProxy")) return;
  if (mode != 1) {
    policy.error("egressProxy",
                 "sidecar: egress_proxy must be set only with ALLOW_ANY "
                 "outbound_traffic_policy mode");
    return;
  }
  policy.object("egressProxy", check_egress_proxy);
  // Past that proxy nothing may go: what it would have carried is closed.
  policy.warn("egressProxy",
              "is not supported: what no service declares is closed (as with REGISTRY_ONLY)");
  sidecar.allow_any = false;
}

void decode_spec(Sidecar& sidecar, Fields& spec) {
  spec.object(
      "workloadSelector",
      [&](Fields& selector) {
        sidecar.workload_selector = decode_selector(selector, "labels", "sidecar");
      },
      Unknown::refuse);
  read_ingress(sidecar, spec);
  read_egress(sidecar, spec);
  spec.object(
      "outboundTrafficPolicy", [&](Fields& policy) { decode_outbound_policy(sidecar, policy); },
      Unknown::refuse);
  spec.object("inboundConnectionPool", [](Fields& pool) { decode_connection_pool(pool); });
  if (sidecar.egress.empty() && sidecar.ingress.empty() && !spec.has("outboundTrafficPolicy") &&
      !spec.has("inboundConnectionPool")) {
    spec.error("", "sidecar: empty configuration provided");
  }
  spec.unsupported({"inboundConnectionPool"});
}

}  // namespace

std::optional<Labels> sidecar_workloads(const Node& document) {
  Labels out;
  const Node* node = &document;
  for (const std::string_view name : {"spec", "workloadSelector", "labels"}) {
    const Node* const next = node->kind == Node::Kind::mapping ? node->find(name) : nullptr;
    if (!next) return out;
    node = next;
  }
  if (node->kind != Node::Kind::mapping) return out;
  for (const Node::Entry& entry : node->entries)
    if (entry.value->is_scalar()) out.insert_or_assign(entry.key, entry.value->text);
  return out;
}

Sidecar decode_sidecar(Metadata metadata, Fields& document) {
  Sidecar sidecar;
  sidecar.metadata = std::move(metadata);
  if (!document.object("spec", [&](Fields& spec) { decode_spec(sidecar, spec); })) {
    document.error("spec", "required");
  }
  document.ignore({"status"});
  return sidecar;
}

}  // namespace sallyport::istio
