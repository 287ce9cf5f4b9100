#include "agent/admin/config_dump.h"

#include "agent/admin/json.h"

namespace sallyport::admin {
namespace {

// "DestinationRule" → "destination-rule", as Istio writes kinds in metadata.
std::string kebab(std::string_view kind) {
  std::string out;
  for (const char c : kind) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper && !out.empty()) out += '-';
    out += upper ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

std::string group_of(std::string_view kind) {
  const bool protects = kind == "PeerAuthentication" || kind == "AuthorizationPolicy" ||
                        kind == "RequestAuthentication";
  if (kind == "Telemetry") return "telemetry.istio.io/v1";
  return protects ? "security.istio.io/v1" : "networking.istio.io/v1alpha3";
}

}  // namespace

std::string config_dump(const mesh::Snapshot& snapshot, const certs::Vault& vault,
                        const std::vector<istio::Finding>& findings) {
  JsonWriter json;
  json.object([&] {
    json.array("configs", [&] {
      dump_bootstrap(json, snapshot);
      dump_clusters(json, snapshot);
      dump_listeners(json, snapshot);
      dump_routes(json, snapshot);
      dump_secrets(json, snapshot, vault);
      dump_findings(json, findings);
    });
  });
  return json.take();
}

void dump_address(JsonWriter& json, std::string_view key, const std::string& host, uint16_t port) {
  json.object(key, [&] {
    json.object("socket_address", [&] {
      json.field("address", host);
      json.field("port_value", port);
    });
  });
}

void dump_address(JsonWriter& json, std::string_view key, const SocketAddress& address) {
  if (!address.is_unix()) return dump_address(json, key, address.ip().text(), address.port());
  json.object(key, [&] { json.object("pipe", [&] { json.field("path", address.path()); }); });
}

void dump_origin(JsonWriter& json, const ResourceRefPtr& origin) {
  if (!origin) return;
  json.object("metadata", [&] {
    json.object("filter_metadata", [&] {
      json.object("istio", [&] {
        json.field("config", "/apis/" + group_of(origin->kind) + "/namespaces/" +
                                 origin->namespace_name + "/" + kebab(origin->kind) + "/" +
                                 origin->name);
        json.field("source", origin->text());
      });
    });
  });
}

std::string seconds_text(std::chrono::milliseconds time) {
  const auto whole = std::to_string(time.count() / 1000);
  if (time.count() % 1000 == 0) return whole + "s";
  const auto part = std::to_string(1000 + time.count() % 1000).substr(1);
  return whole + "." + part + "s";
}

}  // namespace sallyport::admin
