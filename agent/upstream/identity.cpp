#include "agent/upstream/identity.h"

#include "agent/istio/resources.h"
#include "dns/names.h"

namespace sallyport::upstream {
namespace {

constexpr std::string_view system_roots = "system";

std::string rule_of(const mesh::TlsOrigination& tls) {
  return tls.rule ? tls.rule->text() : std::string("auto mTLS");
}

Error refusal(const mesh::TlsOrigination& tls, Fault fault, std::string text) {
  return Error{fault, Side::local, false, std::move(text), tls.rule ? tls.rule->text() : ""};
}

// "DestinationRule default/x (rules.yaml:12) needs the certificate kubernetes://client: no such
// Secret"
Error missing(const mesh::TlsOrigination& tls, std::string_view what, std::string_view name,
              std::string_view problem) {
  return refusal(tls, Fault::missing_secret,
                 rule_of(tls) + " needs the " + std::string(what) + " " + std::string(name) + ": " +
                     std::string(problem.empty() ? "it is not there" : problem));
}

std::optional<Error> set_certificate(const mesh::TlsOrigination& tls, const certs::Vault& vault,
                                     Identity& identity) {
  if (tls.mode == mesh::Originate::simple) return std::nullopt;
  if (tls.certificate.empty()) {
    return refusal(tls, Fault::missing_secret, rule_of(tls) + " names no client certificate");
  }
  const certs::VaultEntry* entry = vault.find(tls.certificate);
  if (!entry || !entry->pair) {
    return missing(tls, "client certificate", tls.certificate, entry ? entry->problem : "");
  }
  identity.certificate = entry->pair;
  return std::nullopt;
}

std::optional<Error> set_roots(const mesh::TlsOrigination& tls, const certs::Vault& vault,
                               Identity& identity) {
  if (tls.skip_verify) return std::nullopt;
  if (tls.roots.empty()) {
    return refusal(tls, Fault::missing_secret, rule_of(tls) + " names no CA certificates");
  }
  if (tls.roots == system_roots) {
    auto loaded = certs::TrustStore::system();
    if (!loaded) return missing(tls, "CA bundle", tls.roots, loaded.error().context);
    identity.roots = std::move(*loaded);
    return std::nullopt;
  }
  const certs::VaultEntry* entry = vault.find(tls.roots);
  if (!entry || !entry->roots) {
    return missing(tls, "CA certificate", tls.roots, entry ? entry->problem : "");
  }
  identity.roots = entry->roots;
  identity.roots_name = tls.roots;
  return std::nullopt;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ":") + name;
  return out;
}

// The request's host, or the service's where a request gives none (HTTP/1.0).
std::string host_of(const mesh::Cluster& cluster, std::string_view authority) {
  if (!authority.empty()) return dns::canonical(authority);
  return cluster.host.starts_with('*') ? std::string() : dns::canonical(cluster.host);
}

}  // namespace

// Without istio-peer-exchange: who offers it has to send a frame of metadata first.
std::vector<std::string> mesh_alpn(bool http) {
  if (http) return {"istio-http/1.1", "istio", "http/1.1"};
  return {"istio"};
}

tls::Parameters parameters_of(const istio::TlsDefaults& defaults) {
  return {.lowest = defaults.only_tls_1_3 ? tls::Version::tls_1_3 : tls::Version::tls_1_2,
          .ciphers = joined(defaults.cipher_suites),
          .curves = joined(defaults.ecdh_curves)};
}

std::string_view identity_key(const mesh::Cluster& cluster, std::string_view authority, bool http) {
  constexpr std::string_view bytes = "\ttcp";  // no authority
  if (cluster.tls.mode == mesh::Originate::istio_mutual && !http) return bytes;
  return cluster.tls.auto_sni || cluster.tls.auto_san ? authority : std::string_view();
}

Result<IdentityPtr> make_identity(const mesh::Cluster& cluster, std::string_view authority,
                                  const certs::Vault& vault, bool http) {
  const mesh::TlsOrigination& tls = cluster.tls;
  auto identity = std::make_shared<Identity>();
  identity->skip_verify = tls.skip_verify;
  if (tls.parameters) static_cast<tls::Parameters&>(*identity) = parameters_of(*tls.parameters);
  if (auto error = set_certificate(tls, vault, *identity)) return *error;
  if (auto error = set_roots(tls, vault, *identity)) return *error;
  const std::string host = host_of(cluster, authority);
  identity->sni = tls.sni;
  if (identity->sni.empty() && tls.auto_sni) identity->sni = host;
  identity->names = tls.names;
  if (tls.mode == mesh::Originate::istio_mutual) identity->alpn = mesh_alpn(http);
  if (tls.auto_san && tls.names.empty() && !tls.skip_verify) {
    if (host.empty()) {
      return refusal(tls, Fault::tls_verify,
                     rule_of(tls) + " verifies the request's Host, and there is none");
    }
    identity->names = {host};
  }
  return IdentityPtr(std::move(identity));
}

SecretIds secret_ids(const mesh::Cluster& cluster, const certs::Vault& vault) {
  SecretIds out;
  if (const auto* entry = vault.find(cluster.tls.certificate); entry && entry->pair) {
    out.certificate = entry->pair->id();
  }
  if (const auto* entry = vault.find(cluster.tls.roots); entry && entry->roots) {
    out.roots = entry->roots->id();
  }
  return out;
}

}  // namespace sallyport::upstream
