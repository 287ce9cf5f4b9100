#include "certs/ca/authority.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include <ctime>

#include "agent/config/file.h"
#include "agent/core/limits.h"
#include "certs/ca/authority_files.h"
#include "certs/ca/certificate_maker.h"
#include "certs/ca/csr.h"
#include "certs/ca/identity_check.h"
#include "certs/ca/signing_request.h"
#include "certs/describe.h"
#include "certs/pem.h"

namespace sallyport::ca {

struct Authority::State {
  std::shared_ptr<const certs::KeyPair> pair;  // the CA's certificate, up to below its root
  std::vector<std::string> intermediates;      // PEM: what follows a leaf
  std::string roots_pem;
  std::shared_ptr<const certs::TrustStore> roots;
  int64_t not_after = 0;  // of the first of its chain to end, its root included
};

namespace {

constexpr int64_t backdated_s = 120;  // Istio's: clients' clocks may be late by that
constexpr int64_t self_signed_s = 3650 * int64_t{86'400};  // CITADEL_SELF_SIGNED_CA_CERT_TTL

bool is_self_issued(const X509& certificate) {
  return X509_NAME_cmp(X509_get_subject_name(&certificate), X509_get_issuer_name(&certificate)) ==
         0;
}

bool may_sign(X509& certificate) {
  return X509_check_ca(&certificate) == 1 &&
         (X509_get_key_usage(&certificate) & KU_KEY_CERT_SIGN) != 0;
}

bool ends_at(X509& root, X509& certificate) {
  if (X509_cmp(&root, &certificate) == 0) return true;
  return X509_check_issued(&root, &certificate) == X509_V_OK &&
         X509_verify(&certificate, X509_get0_pubkey(&root)) == 1;
}

// Until when a chain of `pair` has a root: of a renewed root both may stand there, and the later
// one counts.
Result<int64_t> end_of_roots(const certs::KeyPair& pair, const std::string& roots_pem) {
  auto roots = certs::read_pem(roots_pem, limits::certificates_per_bundle);
  if (!roots) return roots.error();
  std::vector<X509*> chain = {pair.leaf()};
  chain.insert(chain.end(), pair.intermediates().begin(), pair.intermediates().end());
  int64_t end = 0;
  for (const certs::X509Ptr& root : roots->certificates) {
    for (X509* one : chain)
      if (ends_at(*root, *one)) end = std::max(end, certs::describe(*root).not_after);
  }
  ERR_clear_error();
  return end;
}

Result<SecretText> new_key() {
  const certs::KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return certs::missing_secret("making a key: " + certs::take_openssl_errors());
  return key_text(*key);
}

// PEM.
Result<std::string> root_of(const SecretText& key_pem, const std::string& organization) {
  const certs::BioPtr bio(
      BIO_new_mem_buf(key_pem.view().data(), static_cast<int>(key_pem.view().size())));
  // An encrypted key has no pass phrase to be asked for.
  const certs::KeyPtr key(PEM_read_bio_PrivateKey(
      bio.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  if (!key) return certs::missing_secret("no private key: " + certs::take_openssl_errors());
  const int64_t now = std::time(nullptr);
  CertificateFields fields;
  fields.public_key = fields.signing_key = key.get();
  fields.not_before = now - backdated_s;
  fields.not_after = now + self_signed_s;
  fields.organization = organization;
  fields.is_ca = true;
  auto root = make_certificate(fields);
  if (!root) return root.error();
  return certs::pem_text(**root);
}

// With the key of a start that was cut off, if one is there.
Result<void> keep_new(const std::string& organization, const std::string& directory) {
  auto key = read_left_key(directory);
  if (!key) return key.error();
  if (key->empty()) {
    key = new_key();
    if (!key) return key.error();
    if (auto kept = write_key(directory, *key); !kept) return kept;
  }
  auto root_pem = root_of(*key, organization);
  if (!root_pem) return while_doing(directory + "/ca-key.pem", root_pem.error());
  return write_certificate(directory, *root_pem);
}

}  // namespace

Authority::Authority() : state_(std::make_unique<State>()) {}
Authority::~Authority() = default;

Result<std::shared_ptr<const Authority>> Authority::load(const std::string& directory) {
  auto files = read_authority(directory);
  if (!files) return files.error();
  auto roots = certs::TrustStore::parse(files->roots_pem);
  if (!roots) return while_doing(directory + "/root-cert.pem", roots.error());
  if (auto own = certs::KeyPair::parse(files->chain_pem, files->key_pem.view()); !own)
    return while_doing(directory + "/ca-key.pem", own.error());  // the certificates were read
  IdentityMaterial material{std::move(files->chain_pem), std::move(files->key_pem),
                            files->roots_pem};
  auto pair = check_identity(material, **roots, std::time(nullptr));
  if (!pair) return while_doing(directory + "/ca-cert.pem", pair.error());
  if (!may_sign(*(*pair)->leaf()))
    return certs::missing_secret(directory + "/ca-cert.pem: not a CA's certificate");

  const std::shared_ptr<Authority> made(new Authority);
  State& state = *made->state_;
  state.pair = std::move(*pair);
  state.roots = std::move(*roots);
  state.roots_pem = std::move(files->roots_pem);
  auto end = end_of_roots(*state.pair, state.roots_pem);
  if (!end) return end.error();
  state.not_after = std::min(state.pair->info().not_after, *end);
  if (!is_self_issued(*state.pair->leaf()))
    state.intermediates.push_back(certs::pem_text(*state.pair->leaf()));
  for (X509* one : state.pair->intermediates()) {
    if (is_self_issued(*one)) continue;  // a root, or none of the chain
    state.intermediates.push_back(certs::pem_text(*one));
    state.not_after = std::min(state.not_after, certs::describe(*one).not_after);
  }
  return std::shared_ptr<const Authority>(made);
}

Result<std::shared_ptr<const Authority>> Authority::self_signed(const std::string& organization,
                                                                const std::string& directory) {
  if (!directory.empty()) {
    if (!has_authority(directory)) {
      if (auto kept = keep_new(organization, directory); !kept) return kept.error();
    }
    auto loaded = load(directory);
    if (loaded) complete_roots(directory, (*loaded)->roots_pem());
    return loaded;
  }
  auto key = new_key();
  if (!key) return key.error();
  auto root_pem = root_of(*key, organization);
  if (!root_pem) return root_pem.error();
  auto pair = certs::KeyPair::parse(*root_pem, key->view());
  if (!pair) return pair.error();
  auto roots = certs::TrustStore::parse(*root_pem);
  if (!roots) return roots.error();
  const int64_t not_after = (*pair)->info().not_after;
  const std::shared_ptr<Authority> made(new Authority);
  *made->state_ = {std::move(*pair), {}, std::move(*root_pem), std::move(*roots), not_after};
  return std::shared_ptr<const Authority>(made);
}

Result<IssuedCertificate> Authority::sign(const std::string& csr_pem, const std::string& spiffe_id,
                                          std::chrono::seconds ttl, int64_t now) const {
  auto key = requested_key(csr_pem, spiffe_id);
  if (!key) return key.error();
  if (now >= state_->not_after) {
    return Error{
        .fault = Fault::internal,
        .context = "the CA's own certificate expired at " + certs::time_text(state_->not_after)};
  }
  CertificateFields fields;
  fields.public_key = key->get();
  fields.issuer = state_->pair->leaf();
  fields.signing_key = state_->pair->key();
  fields.not_before = now - backdated_s;
  fields.not_after = std::min<int64_t>(now + ttl.count(), state_->not_after);
  fields.names.uris = {spiffe_id};
  auto leaf = make_certificate(fields);
  if (!leaf) return leaf.error();
  IssuedCertificate issued{
      {certs::pem_text(**leaf)}, certs::describe(**leaf).serial, fields.not_after};
  issued.chain.insert(issued.chain.end(), state_->intermediates.begin(),
                      state_->intermediates.end());
  ERR_clear_error();
  return issued;
}

Result<std::shared_ptr<const certs::KeyPair>> Authority::issue_server(
    const std::vector<std::string>& dns_names, const std::vector<std::string>& addresses,
    std::chrono::seconds ttl, int64_t now) const {
  const certs::KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return certs::missing_secret("making a key: " + certs::take_openssl_errors());
  CertificateFields fields;
  fields.public_key = key.get();
  fields.issuer = state_->pair->leaf();
  fields.signing_key = state_->pair->key();
  fields.not_before = now - backdated_s;
  fields.not_after = std::min<int64_t>(now + ttl.count(), state_->not_after);
  fields.names = {dns_names, {}, addresses};
  auto leaf = make_certificate(fields);
  if (!leaf) return leaf.error();
  std::string chain = certs::pem_text(**leaf);
  for (const std::string& one : state_->intermediates) chain += one;
  auto key_pem = key_text(*key);
  if (!key_pem) return key_pem.error();
  return certs::KeyPair::parse(chain, key_pem->view());
}

const std::string& Authority::roots_pem() const { return state_->roots_pem; }
const certs::TrustStore& Authority::roots() const { return *state_->roots; }
const certs::CertificateInfo& Authority::info() const { return state_->pair->info(); }

}  // namespace sallyport::ca
