// A gateway's listener in a config dump: its filter chains, with what they match and how they end
// TLS (istio/istio:pilot/pkg/networking/core/gateway.go).
#include <algorithm>
#include <map>

#include "agent/admin/config_dump.h"
#include "agent/admin/dump_filter.h"
#include "agent/admin/json.h"
#include "agent/mesh/gateway.h"
#include "agent/mesh/mesh_alpn.h"

namespace sallyport::admin {
namespace {

void dump_texts(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  json.array(name, [&] {
    for (const auto& text : texts) json.value(text);
  });
}

const char* protocol_text(istio::TlsVersion version) {
  static constexpr const char* names[] = {"TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"};
  return names[static_cast<std::size_t>(version)];
}

void dump_tls_parameters(JsonWriter& json, const mesh::TlsTermination& tls) {
  using istio::TlsVersion;
  const auto lowest = tls.lowest == TlsVersion::automatic ? TlsVersion::v1_2 : tls.lowest;
  json.object("tls_params", [&] {
    json.field("tls_minimum_protocol_version", protocol_text(lowest));
    json.field("tls_maximum_protocol_version", protocol_text(tls.highest));
    dump_texts(json, "cipher_suites", tls.cipher_suites);
    dump_texts(json, "ecdh_curves", tls.ecdh_curves);
  });
}

void dump_client_validation(JsonWriter& json, const mesh::TlsTermination& tls) {
  json.object("combined_validation_context", [&] {
    json.object("default_validation_context", [&] {
      dump_texts(json, "match_subject_alt_names", tls.names);
      dump_texts(json, "verify_certificate_spki", tls.certificate_spki);
      dump_texts(json, "verify_certificate_hash", tls.certificate_hash);
      if (tls.skip_verify) json.field("trust_chain_verification", "ACCEPT_UNTRUSTED");
    });
    json.object("validation_context_sds_secret_config", [&] { json.field("name", tls.roots); });
  });
}

void dump_termination(JsonWriter& json, const mesh::TlsTermination& tls) {
  json.object("transport_socket", [&] {
    json.field("name", "envoy.transport_sockets.tls");
    json.object("typed_config", [&] {
      json.field("@type",
                 "type.googleapis.com/"
                 "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext");
      json.field("require_client_certificate", tls.needs_client());
      json.object("common_tls_context", [&] {
        dump_tls_parameters(json, tls);
        json.array("tls_certificate_sds_secret_configs", [&] {
          for (const auto& name : tls.certificates) json.object([&] { json.field("name", name); });
        });
        if (!tls.roots.empty()) dump_client_validation(json, tls);
        json.array("alpn_protocols", [&] { json.value("http/1.1"); });
      });
    });
  });
}

void dump_gateway_filter(JsonWriter& json, const mesh::GatewayChain& chain) {
  if (!chain.http) return dump_tcp_proxy(json, *chain.tcp);
  dump_filter(json, "http_connection_manager", "HttpConnectionManager", [&] {
    json.object("rds", [&] { json.field("route_config_name", chain.http->name); });
    json.field("use_remote_address", true);
  });
}

// `tls_alone`: where the names don't say it.
void dump_gateway_chain(JsonWriter& json, const mesh::GatewayChain& chain,
                        std::vector<std::string> names, bool tls_alone = false) {
  std::sort(names.begin(), names.end());
  json.object([&] {
    json.object("filter_chain_match", [&] {
      dump_texts(json, "server_names", names);
      if (tls_alone) json.field("transport_protocol", "tls");
      if (chain.mesh_only) dump_texts(json, "application_protocols", mesh::mesh_protocols());
    });
    if (chain.refused) {
      json.field("refused", chain.refused->context);
    } else {
      dump_gateway_filter(json, chain);
      if (chain.tls) dump_termination(json, *chain.tls);
    }
    json.field("name", chain.name);
    dump_origin(json, chain.from);
  });
}

}  // namespace

std::vector<mesh::GatewayListenerPtr> gateway_listeners(const mesh::GatewayPorts& ports) {
  std::vector<mesh::GatewayListenerPtr> out;
  for (const auto& [port, listener] : ports.by_port) out.push_back(listener);
  for (const auto& [address, listener] : ports.by_address) out.push_back(listener);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a->name < b->name; });
  return out;
}

void dump_gateway(JsonWriter& json, const mesh::GatewayListener& listener) {
  // A chain has several names; by its own, so that the dump is stable.
  std::map<std::string_view, std::pair<const mesh::GatewayChain*, std::vector<std::string>>> chains;
  const auto add = [&](const mesh::GatewayChainPtr& chain, std::string name) {
    auto& entry = chains[chain->name];
    entry.first = chain.get();
    entry.second.push_back(std::move(name));
  };
  for (const auto& [name, chain] : listener.by_sni.exact) add(chain, name);
  for (const auto& [suffix, chain] : listener.by_sni.suffix) add(chain, "*" + suffix);
  const auto everywhere = SocketAddress(IpAddress::v4(0), listener.port);
  const auto at = listener.bound_to();
  json.object("listener", [&] {
    json.field("@type", "type.googleapis.com/envoy.config.listener.v3.Listener");
    json.field("name", listener.name);
    dump_address(json, "address", at.is_set() ? at : everywhere);
    json.array("filter_chains", [&] {
      for (const auto& [name, entry] : chains) dump_gateway_chain(json, *entry.first, entry.second);
      if (listener.any_tls)
        dump_gateway_chain(json, *listener.any_tls, {}, listener.plain != nullptr);
      if (listener.plain) dump_gateway_chain(json, *listener.plain, {});
    });
    json.field("traffic_direction", "OUTBOUND");
  });
}

}  // namespace sallyport::admin
