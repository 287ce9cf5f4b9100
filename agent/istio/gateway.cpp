// Gateway (istio-api.md 1.5): its servers, with Istio's validation; their tls is read in
// server_tls.cpp.
#include "agent/istio/gateway.h"

#include <set>

#include "agent/core/address.h"
#include "agent/istio/kinds.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

// Of the name behind the namespace. An address may stand there, too.
Problem server_host_problem(std::string_view name) {
  if (name == "*") return std::nullopt;
  if (name.find('.') == name.npos) return "short names (non FQDN) are not allowed";
  if (auto problem = wildcard_domain_problem(name); problem && !IpAddress::parse(name))
    return problem;
  if (is_partial_wildcard(name)) return "partial wildcard " + quoted(name) + " not allowed";
  return std::nullopt;
}

ServerHost decode_server_host(const std::string& text, Fields& server) {
  ServerHost host = server_host(text);
  if (text.find('/') != text.npos) {
    const auto& space = host.namespace_name;
    if (space.empty() || host.name.empty()) {
      server.error("hosts", "config namespace and dnsName in host entry cannot be empty");
      return host;
    }
    if (space != "*" && space != "." && !is_dns_label(space))
      server.error("hosts", "invalid namespace value " + quoted(space) + " in gateway");
  }
  if (const auto problem = server_host_problem(host.name)) server.error("hosts", *problem);
  return host;
}

void decode_server_port(GatewayServer& server, Fields& port) {
  const auto number = port.integer("number", 0, UINT32_MAX);
  const bool by_path = server.bind.starts_with(unix_prefix);
  if (!number) {
    port.error("number", "required");
  } else if (const auto problem = port_problem(*number); problem && (*number > 0 || !by_path)) {
    port.error("number", *problem);
  } else {
    server.port = static_cast<uint16_t>(*number);
  }
  if (by_path && server.port != 0)
    port.error("number", "port number must be 0 for unix domain socket");
  server.protocol = upper_case(port.text("protocol"));
  const auto known = protocol_class(server.protocol);
  if (known == ProtocolClass::unknown || known == ProtocolClass::detect) {
    port.error("protocol", "invalid protocol " + quoted(port.text("protocol")) +
                               ", supported protocols are HTTP, HTTP2, GRPC, GRPC-WEB, MONGO, "
                               "REDIS, MYSQL, TCP");
  }
  server.port_name = port.text("name");
  if (server.port_name.empty()) port.error("name", "port name must be set");
  if (port.integer("targetPort", 0, UINT32_MAX).value_or(0) > 0)
    port.error("targetPort", "targetPort has no impact on Gateways");
}

void check_server_bind(const std::string& bind, Fields& fields) {
  if (!bind.starts_with(unix_prefix)) {
    if (!bind.empty() && !IpAddress::parse(bind)) fields.error("bind", bind + " is not a valid IP");
    return;
  }
  const auto path = std::string_view(bind).substr(unix_prefix.size());
  if (path.empty()) return fields.error("bind", "unix address must not be empty");
  if (path.starts_with('@')) return;
  if (!path.starts_with('/') || path.ends_with('/'))
    fields.error("bind", std::string(path) + " is not an absolute path to a file");
}

// Which tls goes with which protocol.
void check_server_tls(const GatewayServer& server, Fields& fields) {
  const auto known = protocol_class(server.protocol);
  if (known == ProtocolClass::unknown || known == ProtocolClass::detect) return;
  if (known == ProtocolClass::tls) {
    if (!server.tls) fields.error("tls", "server must have TLS settings for HTTPS/TLS protocols");
    return;
  }
  if (!server.tls) return;
  if (known != ProtocolClass::http)
    return fields.error("tls", "server cannot have TLS settings for non HTTPS/TLS ports");
  const auto& tls = *server.tls;
  if (!is_passthrough(tls) || !tls.ca_certificates.empty() || !tls.certificates.empty())
    fields.error("tls", "server cannot have TLS settings for plain text HTTP ports");
}

GatewayServer decode_server(Fields& fields) {
  GatewayServer server;
  server.line = fields.line();
  server.bind = fields.text("bind");
  server.name = fields.text("name");
  const auto hosts = fields.texts("hosts");
  if (hosts.empty()) fields.error("hosts", "server config must contain at least one host");
  for (const auto& host : hosts) server.hosts.push_back(decode_server_host(host, fields));
  const bool has_port = fields.object(
      "port", [&](Fields& port) { decode_server_port(server, port); }, Unknown::refuse);
  if (!has_port) fields.error("port", "port is required");
  check_server_bind(server.bind, fields);
  fields.object(
      "tls", [&](Fields& tls) { server.tls = decode_server_tls(tls); }, Unknown::refuse);
  if (has_port) check_server_tls(server, fields);
  if (server.tls && server.tls->https_redirect &&
      protocol_class(server.protocol) != ProtocolClass::http)
    fields.warn("tls.httpsRedirect", "tls.httpsRedirect should only be used with http servers");
  fields.ignore({"defaultEndpoint"});  // of no effect in Istio either
  return server;
}

void decode_gateway_spec(Gateway& gateway, Fields& spec) {
  gateway.selector = spec.labels("selector");
  std::set<std::string> port_names;
  const auto read = [&](Fields& fields) {
    auto server = decode_server(fields);
    if (!server.port_name.empty() && !port_names.insert(server.port_name).second) {
      fields.error("port.name",
                   "port names in servers must be unique: duplicate name " + server.port_name);
    }
    gateway.servers.push_back(std::move(server));
  };
  spec.each("servers", read, Unknown::refuse);
  if (gateway.servers.empty()) spec.error("servers", "gateway must have at least one server");
}

std::vector<ServerHost> readable_hosts(const Node& server) {
  std::vector<ServerHost> out;
  const Node* const hosts = server.find("hosts");
  if (!hosts) return out;
  for (const Node::Entry& entry : hosts->entries) {
    auto host = server_host(entry.value->text);
    if (!host.name.empty()) out.push_back(std::move(host));
  }
  return out;
}

}  // namespace

ServerHost server_host(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == text.npos) return {"*", lower_case(text)};
  return {std::string(text.substr(0, slash)), lower_case(text.substr(slash + 1))};
}

std::vector<RefusedServer> readable_servers(const Node& document) {
  std::vector<RefusedServer> out;
  const Node* const spec = document.find("spec");
  const Node* const servers = spec ? spec->find("servers") : nullptr;
  if (!servers) return out;
  for (const Node::Entry& entry : servers->entries) {
    RefusedServer server;
    const Node* const port = entry.value->find("port");
    const Node* const number = port ? port->find("number") : nullptr;
    const auto read = number ? integer_value(number->text) : std::nullopt;
    if (read && *read > 0 && *read <= UINT16_MAX) server.port = static_cast<uint16_t>(*read);
    server.hosts = readable_hosts(*entry.value);
    if (!server.hosts.empty()) out.push_back(std::move(server));
  }
  return out;
}

// An unknown field refuses the whole: a misspelt `selector` would open the servers at every
// gateway, a misspelt `httpsRedirect` would serve plaintext.
Gateway decode_gateway(Metadata metadata, Fields& document) {
  Gateway gateway;
  gateway.metadata = std::move(metadata);
  if (!is_dns_label(gateway.metadata.name()))
    document.error("metadata.name", "invalid gateway name: " + quoted(gateway.metadata.name()));
  const bool given = document.object(
      "spec", [&](Fields& spec) { decode_gateway_spec(gateway, spec); }, Unknown::refuse);
  if (!given) document.error("spec", "gateway must have at least one server");
  document.ignore({"status"});
  return gateway;
}

}  // namespace sallyport::istio
