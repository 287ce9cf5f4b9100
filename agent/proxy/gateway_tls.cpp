#include "agent/proxy/gateway_tls.h"

#include <unordered_set>

#include "agent/istio/resources.h"
#include "agent/mesh/compile_gateway.h"
#include "tls/server_settings.h"

namespace sallyport::proxy {
namespace {

constexpr std::size_t contexts_of_their_own = 16;  // the first servers of a worker: 320 KiB

using Certificates = std::vector<std::shared_ptr<const certs::KeyPair>>;
using Roots = std::shared_ptr<const certs::TrustStore>;

Error not_there(const mesh::GatewayChain& chain, std::string_view what, const std::string& name,
                const certs::VaultEntry* entry) {
  std::string why = "server " + chain.name + " has no " + std::string(what) + " (" + name + ")";
  if (entry && !entry->problem.empty()) why += ": " + entry->problem;
  return {Fault::missing_secret, Side::local, false, std::move(why),
          text_at(chain.from, chain.line)};
}

Result<Certificates> certificates_of(const mesh::GatewayChain& chain, const certs::Vault& vault) {
  Certificates out;
  for (const auto& name : chain.tls->certificates) {
    const auto* entry = vault.find(name);
    if (!entry || !entry->pair) return not_there(chain, "certificate", name, entry);
    out.push_back(entry->pair);
  }
  return out;
}

Result<Roots> roots_of(const mesh::GatewayChain& chain, const certs::Vault& vault) {
  const auto& name = chain.tls->roots;
  if (name.empty()) return Roots();
  const auto* entry = vault.find(name);
  if (!entry || !entry->roots) return not_there(chain, "CA for its clients", name, entry);
  return entry->roots;
}

tls::Version version_of(istio::TlsVersion asked, tls::Version usual) {
  switch (asked) {
    case istio::TlsVersion::v1_0:
      return tls::Version::tls_1_0;
    case istio::TlsVersion::v1_1:
      return tls::Version::tls_1_1;
    case istio::TlsVersion::v1_2:
      return tls::Version::tls_1_2;
    case istio::TlsVersion::v1_3:
      return tls::Version::tls_1_3;
    default:
      return usual;
  }
}

// What this OpenSSL does not have was warned of when the configuration was read.
Result<tls::Parameters> parameters_for(const mesh::TlsTermination& termination) {
  tls::Parameters out;
  out.lowest = version_of(termination.lowest, out.lowest);
  out.highest = version_of(termination.highest, out.highest);
  auto ciphers = tls::available_ciphers(termination.cipher_suites);
  if (!ciphers) return ciphers.error();
  auto curves = tls::available_curves(termination.ecdh_curves);
  if (!curves) return curves.error();
  out.ciphers = std::move(ciphers->list);
  out.curves = std::move(curves->list);
  return out;
}

Result<void> set_pins(const mesh::TlsTermination& termination, tls::ServerSettings& out) {
  for (const auto& text : termination.certificate_spki) {
    auto pin = tls::parse_spki_pin(text);
    if (!pin) return pin.error();
    out.certificate_spki.push_back(*pin);
  }
  for (const auto& text : termination.certificate_hash) {
    auto pin = tls::parse_certificate_pin(text);
    if (!pin) return pin.error();
    out.certificate_hash.push_back(*pin);
  }
  return {};
}

Result<tls::PreparedServerPtr> prepare(const mesh::GatewayChain& chain, Certificates certificates,
                                       Roots roots) {
  const auto& termination = *chain.tls;
  auto parameters = parameters_for(termination);
  if (!parameters) return parameters.error();
  tls::ServerSettings out;
  static_cast<tls::Parameters&>(out) = std::move(*parameters);
  out.certificates = std::move(certificates);
  out.server_name = chain.name;
  if (termination.asks_for_client())
    out.client_certificate = termination.needs_client() ? tls::ClientCertificate::required
                                                        : tls::ClientCertificate::optional;
  out.roots = std::move(roots);
  out.roots_name = termination.roots;
  out.names_roots = true;
  out.names = termination.names;
  if (auto set = set_pins(termination, out); !set) return set.error();
  out.accept_untrusted = termination.skip_verify;
  // Istio's gateways offer h2, too: agreed on once HTTP/2 is read here.
  out.alpn = {"http/1.1"};
  return tls::PreparedServer::make(std::move(out));
}

}  // namespace

Result<GatewayTls::Ready*> GatewayTls::ready_for(const mesh::GatewayChain& chain) {
  if (const auto& vault = vault_.get(); vault != seen_) {
    seen_ = vault;
    generation_++;
  }
  auto& known = ready_[chain.tls.get()];
  if (known.server && known.generation == generation_) return &known;
  auto certificates = certificates_of(chain, *seen_);
  if (!certificates) return certificates.error();
  auto roots = roots_of(chain, *seen_);
  if (!roots) return roots.error();
  const auto* now = known.server ? &known.server->settings() : nullptr;
  if (!now || now->certificates != *certificates || now->roots != *roots) {
    auto made = prepare(chain, std::move(*certificates), std::move(*roots));
    if (!made) {
      auto error = made.error();
      error.resource = text_at(chain.from, chain.line);
      return error;
    }
    known.server = std::move(*made);
    if (known.context) contexts_--;  // give_context() makes one of the new server in its place
    known.context.reset();
  }
  known.tls = chain.tls;
  known.generation = generation_;
  return &known;
}

Result<void> GatewayTls::give_context(Ready& ready) {
  if (ready.context || contexts_ == contexts_of_their_own) return {};
  auto made = tls::ServerContext::showing(tls::ServerKind::gateway, ready.server);
  if (!made) return made.error();
  ready.context = std::move(*made);
  contexts_++;
  return {};
}

Result<tls::SslPtr> GatewayTls::open(const mesh::GatewayChain& chain, std::string_view hello) {
  const auto ready = ready_for(chain);
  if (!ready) return ready.error();
  Ready& known = **ready;
  if (auto given = give_context(known); !given) return given.error();
  if (known.context) return known.context->open(known.server, hello);
  if (!shared_) shared_ = std::make_unique<tls::ServerContext>(tls::ServerKind::gateway);
  return shared_->open(known.server, hello);
}

void GatewayTls::keep_only(const mesh::GatewayPorts& ports) {
  std::unordered_set<const mesh::TlsTermination*> listed;
  mesh::each_chain(ports,
                   [&](const mesh::GatewayChainPtr& chain) { listed.insert(chain->tls.get()); });
  std::erase_if(ready_, [&](const auto& entry) {
    const bool gone = !listed.contains(entry.first);
    if (gone && entry.second.context) contexts_--;
    return gone;
  });
}

}  // namespace sallyport::proxy
