#include "certs/ca/signing_request.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "certs/ca/extensions.h"
#include "certs/describe.h"
#include "certs/openssl_ptr.h"

namespace sallyport::ca {
namespace {

using RequestPtr = std::unique_ptr<X509_REQ, certs::OpensslFree<X509_REQ_free>>;

certs::KeyPtr make_key(KeyKind kind) {
  switch (kind) {
    case KeyKind::ec_p256:
      return certs::KeyPtr(EVP_EC_gen("P-256"));
    case KeyKind::ec_p384:
      return certs::KeyPtr(EVP_EC_gen("P-384"));
    case KeyKind::rsa_2048:
      return certs::KeyPtr(EVP_RSA_gen(2048));
    case KeyKind::rsa_3072:
      return certs::KeyPtr(EVP_RSA_gen(3072));
    case KeyKind::rsa_4096:
      return certs::KeyPtr(EVP_RSA_gen(4096));
  }
  return nullptr;
}

bool set_names(X509_REQ& request, const std::string& spiffe_id) {
  const ExtensionPtr names = alternative_names({.uris = {spiffe_id}}, true);
  const ExtensionsPtr all(sk_X509_EXTENSION_new_null());
  if (!names || !all || sk_X509_EXTENSION_push(all.get(), names.get()) == 0) return false;
  const bool added = X509_REQ_add_extensions(&request, all.get()) == 1;
  sk_X509_EXTENSION_zero(all.get());  // `names` owns it
  return added;
}

Error request_failed(const char* what) {
  return {.fault = Fault::internal,
          .context = std::string(what) + ": " + certs::take_openssl_errors()};
}

}  // namespace

Result<SigningRequest> make_signing_request(const std::string& spiffe_id, KeyKind kind) {
  const certs::KeyPtr key = make_key(kind);
  if (!key) return request_failed("making a key");
  const RequestPtr request(X509_REQ_new());
  if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      !set_names(*request, spiffe_id) || X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) <= 0)
    return request_failed("making a CSR");
  const certs::BioPtr csr(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509_REQ(csr.get(), request.get()) != 1) return request_failed("writing a CSR");
  auto key_pem = key_text(*key);
  if (!key_pem) return key_pem.error();
  return SigningRequest{std::move(*key_pem), memory_text(*csr)};
}

}  // namespace sallyport::ca
