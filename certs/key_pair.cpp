#include "certs/key_pair.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "agent/core/limits.h"
#include "certs/describe.h"
#include "certs/object_id.h"
#include "certs/pem.h"

namespace sallyport::certs {

struct KeyPair::State {
  std::vector<X509Ptr> chain;
  std::vector<X509*> intermediates;  // chain without the leaf
  KeyPtr key;
  std::vector<CertificateInfo> certificates;
  uint64_t id = 0;
};

namespace {

// OpenSSL asks for a pass phrase only where the key is encrypted.
int refuse_pass_phrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Result<KeyPtr> read_key(std::string_view pem) {
  if (pem.size() > limits::pem_bytes)
    return missing_secret("private key: longer than " + std::to_string(limits::pem_bytes) +
                          " bytes");
  if (pem.find("PRIVATE KEY-----") == std::string_view::npos)
    return missing_secret("private key: no private key in the PEM text");
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!bio) return missing_secret("private key: " + take_openssl_errors());
  bool encrypted = false;
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_pass_phrase, &encrypted));
  const std::string reason = take_openssl_errors();
  if (key) return key;
  if (encrypted)
    return missing_secret("private key: it is encrypted; store it without a pass phrase");
  return missing_secret("private key: cannot be read: " + reason);
}

// The commonest slip is an issuer before the leaf; it is named.
Error mismatch(const std::vector<X509Ptr>& chain, EVP_PKEY& key) {
  for (std::size_t i = 1; i < chain.size(); ++i)
    if (X509_check_private_key(chain[i].get(), &key) == 1) {
      ERR_clear_error();
      return missing_secret(
          "certificate chain: the leaf must come first: the private key belongs to "
          "certificate " +
          std::to_string(i + 1) + " (subject \"" + subject_text(*chain[i]) + "\")");
    }
  ERR_clear_error();
  return missing_secret("private key: does not match the certificate (subject \"" +
                        subject_text(*chain.front()) + "\")");
}

}  // namespace

KeyPair::KeyPair() : state_(std::make_unique<State>()) {}
KeyPair::~KeyPair() = default;

Result<std::shared_ptr<const KeyPair>> KeyPair::parse(std::string_view chain_pem,
                                                      std::string_view key_pem) {
  auto contents = read_pem(chain_pem, limits::certificates_per_chain);
  if (!contents) return while_doing("certificate chain", contents.error());
  if (contents->certificates.empty())
    return missing_secret("certificate chain: no certificate in the PEM text");
  auto key = read_key(key_pem);
  if (!key) return key.error();
  std::vector<X509Ptr>& chain = contents->certificates;
  if (X509_check_private_key(chain.front().get(), key->get()) != 1) return mismatch(chain, **key);

  const std::shared_ptr<KeyPair> pair(new KeyPair);
  State& state = *pair->state_;
  state.chain = std::move(chain);
  for (std::size_t i = 1; i < state.chain.size(); ++i)
    state.intermediates.push_back(state.chain[i].get());
  // Certificates read their extensions when first needed, under a lock; here no worker waits for
  // it.
  for (const X509Ptr& certificate : state.chain) X509_check_purpose(certificate.get(), -1, 0);
  state.key = std::move(*key);
  for (const X509Ptr& one : state.chain) state.certificates.push_back(describe(*one));
  state.id = next_object_id();
  ERR_clear_error();
  return std::shared_ptr<const KeyPair>(pair);
}

X509* KeyPair::leaf() const { return state_->chain.front().get(); }
const std::vector<X509*>& KeyPair::intermediates() const { return state_->intermediates; }
EVP_PKEY* KeyPair::key() const { return state_->key.get(); }
const CertificateInfo& KeyPair::info() const { return state_->certificates.front(); }
const std::vector<CertificateInfo>& KeyPair::certificates() const { return state_->certificates; }
uint64_t KeyPair::id() const { return state_->id; }

}  // namespace sallyport::certs
