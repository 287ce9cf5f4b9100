#include "certs/trust.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <cstdlib>
#include <fstream>
#include <mutex>
#include <sstream>

#include "agent/core/limits.h"
#include "certs/describe.h"
#include "certs/object_id.h"
#include "certs/pem.h"

namespace sallyport::certs {

struct TrustStore::State {
  StorePtr store;
  std::vector<CertificateInfo> certificates;
  std::vector<CrlInfo> crls;
  uint64_t id = 0;
};

namespace {

// Where distributions keep the bundle: Debian, Fedora, openSUSE, OpenELEC, RHEL, Alpine (the list
// istio-agent uses).
constexpr const char* system_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

Result<void> add_crls(X509_STORE& store, const std::vector<CrlPtr>& crls) {
  for (const CrlPtr& crl : crls)
    if (X509_STORE_add_crl(&store, crl.get()) != 1)
      return missing_secret("CRL: " + take_openssl_errors());
  if (crls.empty()) return {};
  X509_STORE_set_flags(&store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return {};
}

Result<StorePtr> make_store(const PemContents& roots, const PemContents& revoked) {
  StorePtr store(X509_STORE_new());
  if (!store) return missing_secret("CA: " + take_openssl_errors());
  // Envoy: a listed intermediate is trusted without its root.
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  for (const X509Ptr& certificate : roots.certificates)
    if (X509_STORE_add_cert(store.get(), certificate.get()) != 1)
      return missing_secret("CA: " + take_openssl_errors());
  // CRLs may stand among the CAs too, as Envoy has it.
  for (const PemContents* contents : {&roots, &revoked})
    if (auto added = add_crls(*store, contents->crls); !added) return added.error();
  ERR_clear_error();
  return store;
}

}  // namespace

TrustStore::TrustStore() : state_(std::make_unique<State>()) {}
TrustStore::~TrustStore() = default;

Result<std::shared_ptr<const TrustStore>> TrustStore::parse(std::string_view ca_pem,
                                                            std::string_view crl_pem) {
  auto roots = read_pem(ca_pem, limits::certificates_per_bundle);
  if (!roots) return while_doing("CA", roots.error());
  if (roots->certificates.empty()) return missing_secret("CA: no certificate in the PEM text");
  auto revoked = read_pem(crl_pem, limits::certificates_per_bundle);
  if (!revoked) return while_doing("CRL", revoked.error());
  if (!crl_pem.empty() && revoked->crls.empty())
    return missing_secret("CRL: no CRL in the PEM text");  // asked for, so never silently unchecked
  auto store = make_store(*roots, *revoked);
  if (!store) return store.error();

  const std::shared_ptr<TrustStore> trust(new TrustStore);
  State& state = *trust->state_;
  state.store = std::move(*store);
  for (const X509Ptr& certificate : roots->certificates)
    state.certificates.push_back(describe(*certificate));
  for (const PemContents* contents : {&*roots, &*revoked})
    for (const CrlPtr& crl : contents->crls)
      state.crls.push_back({name_text(*X509_CRL_get_issuer(crl.get())),
                            seconds_of(X509_CRL_get0_lastUpdate(crl.get())),
                            seconds_of(X509_CRL_get0_nextUpdate(crl.get()))});
  state.id = next_object_id();
  return std::shared_ptr<const TrustStore>(trust);
}

namespace {

Result<std::string> read_bundle(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!(text << file.rdbuf())) return missing_secret(std::string(path) + ": cannot be read");
  return std::move(text).str();
}

}  // namespace

Result<std::shared_ptr<const TrustStore>> TrustStore::system() {
  static std::mutex loading;
  // Only a success is kept: the bundle may yet be mounted.
  static std::shared_ptr<const TrustStore> loaded;
  const std::lock_guard lock(loading);
  if (loaded) return loaded;
  std::vector<const char*> paths(std::begin(system_bundles), std::end(system_bundles));
  if (const char* own = std::getenv("SSL_CERT_FILE")) paths = {own};  // as OpenSSL and Go have it
  for (const char* path : paths) {
    auto text = read_bundle(path);
    if (!text) continue;
    auto trust = parse(*text);
    if (!trust) return while_doing(std::string("system CA bundle ") + path, trust.error());
    (*trust)->state_->certificates = {};  // 140 of them that nobody lists
    loaded = *trust;
    return loaded;
  }
  std::string tried;
  for (const char* path : paths) tried += (tried.empty() ? "" : ", ") + std::string(path);
  return missing_secret("no system CA bundle: none of " + tried + " can be read");
}

X509_STORE* TrustStore::store() const { return state_->store.get(); }
const std::vector<CertificateInfo>& TrustStore::certificates() const {
  return state_->certificates;
}
const std::vector<CrlInfo>& TrustStore::crls() const { return state_->crls; }
uint64_t TrustStore::id() const { return state_->id; }

}  // namespace sallyport::certs
