#include "agent/proxy/mesh_tls.h"

#include <algorithm>

#include "agent/proxy/log_facts.h"
#include "agent/upstream/identity.h"
#include "tls/session_facts.h"

namespace sallyport::proxy {
namespace {

Error missing(std::string_view what, const certs::VaultEntry* entry) {
  const bool told = entry && !entry->problem.empty();
  return {Fault::missing_secret, Side::local, false,
          "the workload has no " + std::string(what) + ": " +
              (told ? entry->problem : std::string("no source of identities is configured")),
          ""};
}

// A CA signs what it is asked to: a name with a comma or a line's end would forge an element, or a
// header.
bool is_host_name(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return letter || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '*';
  });
}

// Envoy quotes what it can't tell from its own separators.
void add_quoted(std::string& out, std::string_view name, std::string_view value) {
  (out += name) += "=\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

// "By=OUR-URI;Hash=SHA-256;Subject="";URI=ITS-URI": Istio's sidecars set Subject, URI and DNS, its
// gateways Cert before them (istio-api.md 3.5; the order is Envoy's).
MeshPeer describe_peer(const SSL& ssl, bool with_certificate) {
  MeshPeer out;
  auto peer = tls::peer_certificate(ssl);
  if (!peer) return out;
  const auto own = tls::own_uris(ssl);
  auto& text = out.forwarded_cert;
  if (!own.empty()) (text += "By=") += own[0];
  ((text += text.empty() ? "Hash=" : ";Hash=") += peer->sha256) += ';';
  if (with_certificate)
    ((text += "Cert=\"") += url_encoded(tls::peer_certificate_pem(ssl))) += "\";";
  add_quoted(text, "Subject", peer->info.subject);
  for (const auto& uri : peer->info.uris) (text += ";URI=") += uri;
  for (const auto& name : peer->info.dns_names)
    if (is_host_name(name)) (text += ";DNS=") += name;
  if (peer->verified) out.uri_sans = std::move(peer->info.uris);
  return out;
}

}  // namespace

Result<tls::PreparedServerPtr> MeshTls::settings(const mesh::Snapshot& snapshot) {
  const certs::Vault& vault = *vault_.get();
  const auto* own = vault.find(certs::identity_name);
  if (!own || !own->pair) return missing("certificate (default)", own);
  const auto* roots = vault.find(certs::mesh_roots_name);
  if (!roots || !roots->roots) return missing("roots (ROOTCA)", roots);
  const auto& parameters = snapshot.mesh.mesh_mtls;
  const auto* now = settings_ ? &settings_->settings() : nullptr;
  const bool holds = now && now->certificates.front() == own->pair && now->roots == roots->roots &&
                     parameters_ == parameters &&
                     now->trust_domains == snapshot.inbound.trust_domains;
  if (holds) return settings_;
  tls::ServerSettings made;
  made.certificates = {own->pair};
  made.client_certificate = tls::ClientCertificate::required;
  made.roots = roots->roots;
  made.roots_name = certs::mesh_roots_name;
  made.trust_domains = snapshot.inbound.trust_domains;
  // Istio's servers offer h2, too: agreed on once HTTP/2 is read here. A client that begins with it
  // unasked (istio-h2) is carried as bytes.
  made.alpn = {"http/1.1"};
  if (parameters) static_cast<tls::Parameters&>(made) = upstream::parameters_of(*parameters);
  auto prepared = tls::PreparedServer::make(std::move(made));
  if (!prepared) return prepared.error();
  parameters_ = parameters;
  settings_ = std::move(*prepared);
  return settings_;
}

Result<tls::SslPtr> MeshTls::open(const mesh::Snapshot& snapshot, std::string_view hello) {
  auto with = settings(snapshot);
  if (!with) return with.error();
  return context_.open(std::move(*with), hello);
}

MeshPeer mesh_peer(const SSL& ssl) { return describe_peer(ssl, false); }

MeshPeer gateway_peer(const SSL& ssl) { return describe_peer(ssl, true); }

}  // namespace sallyport::proxy
