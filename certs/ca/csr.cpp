#include "certs/ca/csr.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "certs/ca/extensions.h"
#include "certs/describe.h"

namespace sallyport::ca {
namespace {

using RequestPtr = std::unique_ptr<X509_REQ, certs::OpensslFree<X509_REQ_free>>;

Error refused(std::string reason) {
  ERR_clear_error();
  return {.fault = Fault::protocol, .context = std::move(reason)};
}

bool is_strong(const EVP_PKEY& key) {
  switch (EVP_PKEY_get_base_id(&key)) {
    case EVP_PKEY_RSA:
      return EVP_PKEY_get_bits(&key) >= 2048 && EVP_PKEY_get_bits(&key) <= 8192;
    case EVP_PKEY_EC:
      return EVP_PKEY_get_bits(&key) >= 256;
    case EVP_PKEY_ED25519:
      return true;
    default:
      return false;
  }
}

// Which names it asks for. What is no URI is named by its kind: no workload's id has such.
std::vector<std::string> asked_names(X509_REQ& request) {
  std::vector<std::string> asked;
  const ExtensionsPtr extensions(X509_REQ_get_extensions(&request));
  if (!extensions) return asked;
  const certs::GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) {
      asked.emplace_back("a name that is no URI");
      continue;
    }
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    asked.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                       static_cast<std::size_t>(ASN1_STRING_length(uri)));
  }
  return asked;
}

}  // namespace

Result<certs::KeyPtr> requested_key(const std::string& csr_pem, const std::string& spiffe_id) {
  const certs::BioPtr bio(BIO_new_mem_buf(csr_pem.data(), static_cast<int>(csr_pem.size())));
  const RequestPtr request(bio ? PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr)
                               : nullptr);
  if (!request) return refused("the CSR is no PKCS#10 request in PEM");
  certs::KeyPtr key(X509_REQ_get_pubkey(request.get()));
  if (!key) return refused("the CSR's key cannot be read");
  if (!is_strong(*key)) return refused("the CSR's key is too weak, or of a kind that is not taken");
  if (X509_REQ_verify(request.get(), key.get()) != 1)
    return refused("the CSR is not signed by its own key");
  for (const std::string& name : asked_names(*request)) {
    if (name == spiffe_id) continue;
    return refused("the CSR asks for " + certs::printable(name, 256) + ", the caller is " +
                   spiffe_id);
  }
  ERR_clear_error();
  return key;
}

}  // namespace sallyport::ca
