// The listener of 15006 in a config dump: filter chains as istiod makes them of a port's
// PeerAuthentication and of what it is declared to speak (istio-api.md 2.11).
#include <algorithm>

#include "agent/admin/config_dump.h"
#include "agent/admin/dump_filter.h"
#include "agent/admin/json.h"
#include "agent/mesh/inbound.h"

namespace sallyport::admin {
namespace {

using istio::MutualTls;
using mesh::PortKind;
using Protocols = std::vector<std::string_view>;

struct Chain {
  std::string_view transport;  // "tls", "raw_buffer"; empty: any
  Protocols protocols;         // ALPN, or what was detected
  bool terminates = false;     // mutual TLS ends here
  bool http = false;
};

const Protocols mesh_all{"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1",
                         "istio-h2"},
    mesh_http{"istio-http/1.0", "istio-http/1.1", "istio-h2"},
    mesh_tcp{"istio-peer-exchange", "istio"}, plain_http{"http/1.1", "h2c"};

std::vector<Chain> strict_chains(PortKind kind) {
  if (kind == PortKind::http) return {{"tls", {}, true, true}};
  if (kind == PortKind::detect) return {{"tls", mesh_http, true, true}, {"tls", {}, true, false}};
  return {{"tls", {}, true, false}};
}

std::vector<Chain> permissive_chains(PortKind kind) {
  if (kind == PortKind::http)
    return {{"tls", mesh_all, true, true}, {"raw_buffer", {}, false, true}};
  std::vector<Chain> out;
  if (kind == PortKind::detect)
    out = {{"tls", mesh_http, true, true}, {"raw_buffer", plain_http, false, true}};
  out.push_back({"tls", mesh_tcp, true, false});
  out.push_back({"tls", {}, false, false});
  out.push_back({"raw_buffer", {}, false, false});
  return out;
}

std::vector<Chain> plaintext_chains(PortKind kind) {
  if (kind == PortKind::http) return {{"", {}, false, true}};
  if (kind == PortKind::detect)
    return {{"raw_buffer", plain_http, false, true}, {"", {}, false, false}};
  return {{"", {}, false, false}};
}

// None of a port that is closed.
std::vector<Chain> chains_of(const mesh::InboundPort& port) {
  if (port.mutual_tls.refused) return {};
  switch (port.mutual_tls.mode) {
    case MutualTls::strict:
      return strict_chains(port.kind);
    case MutualTls::disable:
      return plaintext_chains(port.kind);
    default:
      return permissive_chains(port.kind);
  }
}

void dump_transport_socket(JsonWriter& json) {
  const auto secret = [&](std::string_view name) {
    json.object([&] { json.field("name", name); });
  };
  json.object("transport_socket", [&] {
    json.field("name", "envoy.transport_sockets.tls");
    json.object("typed_config", [&] {
      json.field("@type",
                 "type.googleapis.com/"
                 "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext");
      json.field("require_client_certificate", true);
      json.object("common_tls_context", [&] {
        json.array("tls_certificate_sds_secret_configs", [&] { secret("default"); });
        json.object("combined_validation_context", [&] {
          json.object("validation_context_sds_secret_config",
                      [&] { json.field("name", "ROOTCA"); });
        });
      });
    });
  });
}

void dump_http(JsonWriter& json, const mesh::InboundPort& port) {
  dump_filter(json, "http_connection_manager", "HttpConnectionManager", [&] {
    json.object("route_config", [&] {
      json.field("name", port.cluster->name);
      json.array("virtual_hosts", [&] {
        json.object([&] {
          json.field("name", port.http->fallback->name);
          json.array("domains", [&] { json.value("*"); });
          json.array("routes", [&] {
            json.object([&] {
              json.field("name", "default");
              json.object("match", [&] { json.field("prefix", "/"); });
              json.object("route", [&] { json.field("cluster", port.cluster->name); });
            });
          });
        });
      });
    });
  });
}

void dump_chain(JsonWriter& json, const mesh::InboundPort& port, const Chain& chain) {
  json.object([&] {
    json.object("filter_chain_match", [&] {
      if (port.port) json.field("destination_port", port.port);
      if (!chain.transport.empty()) json.field("transport_protocol", chain.transport);
      if (chain.protocols.empty()) return;
      json.array("application_protocols", [&] {
        for (const auto protocol : chain.protocols) json.value(protocol);
      });
    });
    if (chain.http) {
      dump_http(json, port);
    } else {
      dump_filter(json, "tcp_proxy", "TcpProxy",
                  [&] { json.field("cluster", port.cluster->name); });
    }
    if (chain.terminates) dump_transport_socket(json);
    json.field("name", port.name);
    dump_origin(json, port.mutual_tls.from ? port.mutual_tls.from : port.service);
  });
}

}  // namespace

void dump_inbound(JsonWriter& json, const mesh::Snapshot& snapshot) {
  const mesh::Inbound& inbound = snapshot.inbound;
  std::vector<mesh::InboundPortPtr> ports;
  for (const auto& [number, port] : inbound.by_port) ports.push_back(port);
  std::sort(ports.begin(), ports.end(),
            [](const auto& a, const auto& b) { return a->port < b->port; });
  if (inbound.other) ports.push_back(inbound.other);
  json.object("listener", [&] {
    json.field("@type", "type.googleapis.com/envoy.config.listener.v3.Listener");
    json.field("name", "virtualInbound");
    dump_address(json, "address", "0.0.0.0", snapshot.mesh.proxy_inbound_listen_port);
    json.array("filter_chains", [&] {
      for (const auto& port : ports)
        for (const Chain& chain : chains_of(*port)) dump_chain(json, *port, chain);
    });
    json.field("traffic_direction", "INBOUND");
  });
}

}  // namespace sallyport::admin
