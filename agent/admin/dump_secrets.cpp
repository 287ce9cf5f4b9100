#include "agent/admin/certificates.h"
#include "agent/admin/config_dump.h"
#include "agent/admin/json.h"

namespace sallyport::admin {
namespace {

void dump_certificate(JsonWriter& json, const certs::KeyPair& pair) {
  json.object("tls_certificate", [&] {
    json.object("certificate_chain", [&] { json.field("inline_bytes", base64(chain_pem(pair))); });
    json.object("private_key", [&] { json.field("inline_bytes", base64("[redacted]")); });
  });
}

void dump_roots(JsonWriter& json, const certs::TrustStore& roots) {
  json.object("validation_context", [&] {
    json.object("trusted_ca", [&] { json.field("inline_bytes", base64(roots_pem(roots))); });
    json.array("trusted_ca_subjects", [&] {
      for (const auto& info : roots.certificates()) json.value(info.subject);
    });
  });
}

void dump_secret(JsonWriter& json, const std::string& version, const std::string& name,
                 const certs::VaultEntry& entry) {
  json.object([&] {
    json.field("name", name);
    json.field("version_info", version);
    json.object("secret", [&] {
      json.field("@type", "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret");
      json.field("name", name);
      if (entry.pair) dump_certificate(json, *entry.pair);
      if (entry.roots) dump_roots(json, *entry.roots);
    });
    if (entry.problem.empty()) return;
    json.object("error_state", [&] { json.field("details", entry.problem); });
  });
}

// The workload's own first, as istiod's agent has them.
std::vector<std::string_view> names_of(const certs::Vault& vault) {
  std::vector<std::string_view> out;
  for (const auto* own : {certs::identity_name, certs::mesh_roots_name})
    if (vault.find(own)) out.emplace_back(own);
  for (const auto& [name, entry] : vault.entries)
    if (name != certs::identity_name && name != certs::mesh_roots_name) out.emplace_back(name);
  return out;
}

}  // namespace

void dump_secrets(JsonWriter& json, const mesh::Snapshot& snapshot, const certs::Vault& vault) {
  const std::string version = std::to_string(snapshot.version);
  const auto names = names_of(vault);
  const auto list = [&](std::string_view key, bool active) {
    json.array(key, [&] {
      for (const auto name : names) {
        const auto& entry = *vault.find(name);
        if (entry.active() == active) dump_secret(json, version, std::string(name), entry);
      }
    });
  };
  json.object([&] {
    json.field("@type", "type.googleapis.com/envoy.admin.v3.SecretsConfigDump");
    list("dynamic_active_secrets", true);
    list("dynamic_warming_secrets", false);
  });
}

}  // namespace sallyport::admin
