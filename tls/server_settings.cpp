#include "tls/server_settings.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <algorithm>

#include "tls/context.h"
#include "tls/verify.h"

namespace sallyport::tls {
namespace {

// The list goes out with each request for a certificate, and a TLS message's field for it holds 64
// KiB. A bundle of public CAs tells a client nothing: then none is named, and any may be shown.
constexpr int root_names_most = 64;

Error unfit(Fault fault, std::string why) { return refused(fault, Side::local, std::move(why)); }

Result<void> check_certificates(const ServerSettings& settings) {
  const auto& certificates = settings.certificates;
  const bool present = !certificates.empty() && std::find(certificates.begin(), certificates.end(),
                                                          nullptr) == certificates.end();
  if (!present) return unfit(Fault::missing_secret, "the server has no certificate");
  if (certificates.size() > 2)
    return unfit(Fault::tls_handshake,
                 "a server may have two certificates, not " + std::to_string(certificates.size()));
  return {};
}

Result<void> check_verification(const ServerSettings& settings) {
  if (settings.client_certificate != ClientCertificate::none) {
    if (settings.roots || settings.accept_untrusted) return {};
    return unfit(Fault::missing_secret, "no CA to verify clients with");
  }
  const bool demands = settings.roots || !settings.trust_domains.empty() ||
                       !settings.names.empty() || !settings.certificate_spki.empty() ||
                       !settings.certificate_hash.empty();
  if (!demands) return {};
  return unfit(Fault::tls_handshake,
               "roots, names or pins for clients' certificates, but none is asked for");
}

// Length before each part: no two settings have the same text.
void add_part(std::string& text, std::string_view part) {
  ((text += std::to_string(part.size())) += ':') += part;
}
void add_parts(std::string& text, const std::vector<std::string>& parts) {
  add_part(text, std::to_string(parts.size()));
  for (const std::string& part : parts) add_part(text, part);
}
void add_pins(std::string& text, const std::vector<Sha256>& pins) {
  add_part(text, std::to_string(pins.size()));
  for (const Sha256& pin : pins) text.append(pin.begin(), pin.end());
}

// A changed version or cipher suite counts, too: a resumed session of TLS 1.2 keeps its own.
std::string session_terms(const ServerSettings& settings) {
  std::string text;
  add_part(text, settings.server_name);
  for (const auto number :
       {static_cast<int>(settings.client_certificate), static_cast<int>(settings.accept_untrusted),
        static_cast<int>(settings.lowest), static_cast<int>(settings.highest)})
    add_part(text, std::to_string(number));
  // An id of its own for each parsing of CAs and CRLs.
  add_part(text, std::to_string(settings.roots ? settings.roots->id() : 0));
  add_parts(text, settings.trust_domains);
  add_parts(text, settings.names);
  add_pins(text, settings.certificate_spki);
  add_pins(text, settings.certificate_hash);
  add_part(text, settings.ciphers);
  add_part(text, settings.curves);
  return text;
}

int kind_of(const certs::KeyPair& pair) { return EVP_PKEY_get_base_id(pair.key()); }

bool speaks_for(const certs::KeyPair& pair, std::string_view name) {
  const auto& names = pair.info().dns_names;
  return std::any_of(names.begin(), names.end(),
                     [name](const std::string& san) { return dns_name_matches(name, san); });
}

int64_t first_end(const std::vector<certs::CrlInfo>& crls) {
  int64_t first = 0;
  for (const certs::CrlInfo& crl : crls)
    if (crl.next_update != 0 && (first == 0 || crl.next_update < first)) first = crl.next_update;
  return first;
}

bool add_name(STACK_OF(X509_NAME) & names, const X509_NAME* name) {
  for (int i = 0; i < sk_X509_NAME_num(&names); ++i)
    if (X509_NAME_cmp(sk_X509_NAME_value(&names, i), name) == 0) return true;
  X509_NAME* const copy = X509_NAME_dup(name);
  if (copy && sk_X509_NAME_push(&names, copy) > 0) return true;
  X509_NAME_free(copy);
  return false;
}

// The subjects of the store's certificates; null: there are none, or too many.
STACK_OF(X509_NAME) * subjects_of(X509_STORE& store) {
  STACK_OF(X509)* const roots = X509_STORE_get1_all_certs(&store);
  STACK_OF(X509_NAME)* names = sk_X509_NAME_new_null();
  bool good = roots && names && sk_X509_num(roots) > 0 && sk_X509_num(roots) <= root_names_most;
  for (int i = 0; good && i < sk_X509_num(roots); ++i)
    good = add_name(*names, X509_get_subject_name(sk_X509_value(roots, i)));
  sk_X509_pop_free(roots, X509_free);
  if (good) return names;
  sk_X509_NAME_pop_free(names, X509_NAME_free);
  return nullptr;
}

}  // namespace

void PreparedServer::NamesFree::operator()(stack_st_X509_NAME* names) const noexcept {
  sk_X509_NAME_pop_free(names, X509_NAME_free);
}

PreparedServer::PreparedServer(ServerSettings settings) : settings_(std::move(settings)) {}
PreparedServer::~PreparedServer() = default;

Result<PreparedServerPtr> PreparedServer::make(ServerSettings settings) {
  if (auto fits = check_certificates(settings); !fits) return fits.error();
  if (auto fits = check_verification(settings); !fits) return fits.error();
  if (settings.lowest > settings.highest)
    return unfit(Fault::tls_handshake, "the lowest version, " +
                                           versions_text(settings.lowest, settings.lowest) +
                                           ", is above the highest, " +
                                           versions_text(settings.highest, settings.highest));
  const std::shared_ptr<PreparedServer> made(new PreparedServer(std::move(settings)));
  const ServerSettings& kept = made->settings_;
  const std::string terms = session_terms(kept);
  if (EVP_Digest(terms.data(), terms.size(), made->session_context_.data(), nullptr, EVP_sha256(),
                 nullptr) != 1)
    return unfit(Fault::tls_handshake, "SHA-256");
  made->kinds_differ_ = kept.certificates.size() == 2 &&
                        kind_of(*kept.certificates[0]) != kind_of(*kept.certificates[1]);
  if (kept.roots) made->crls_end_ = first_end(kept.roots->crls());
  const bool asks = kept.client_certificate != ClientCertificate::none;
  if (asks && kept.names_roots && kept.roots)
    made->root_names_.reset(subjects_of(*kept.roots->store()));
  ERR_clear_error();
  return PreparedServerPtr(made);
}

const certs::KeyPair* PreparedServer::certificate_of(std::string_view name) const {
  if (settings_.certificates.size() != 2) return nullptr;
  const auto& first = settings_.certificates[0];
  const auto& second = settings_.certificates[1];
  const bool of_first = speaks_for(*first, name), of_second = speaks_for(*second, name);
  if (of_first == of_second) return nullptr;
  return of_first ? first.get() : second.get();
}

}  // namespace sallyport::tls
