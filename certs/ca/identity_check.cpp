#include "certs/ca/identity_check.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <set>

#include "agent/core/limits.h"
#include "certs/describe.h"
#include "certs/openssl_ptr.h"
#include "certs/pem.h"

namespace sallyport::ca {
namespace {

using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, certs::OpensslFree<X509_STORE_CTX_free>>;
struct StackFree {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};

Error not_taken(std::string reason) { return {.fault = Fault::tls_verify, .context = reason}; }

std::string shown(const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) text += (text.empty() ? "" : ", ") + id;
  return certs::printable(text.empty() ? "none" : text, 512);
}

Result<void> check_time(const certs::CertificateInfo& info, int64_t now) {
  if (now < info.not_before) {
    return not_taken("the certificate is not valid before " + certs::time_text(info.not_before) +
                     ", now is " + certs::time_text(now));
  }
  if (now >= info.not_after)
    return not_taken("the certificate expired at " + certs::time_text(info.not_after));
  return {};
}

Result<void> check_chain(const certs::KeyPair& pair, const certs::TrustStore& roots, int64_t now) {
  const StoreContextPtr context(X509_STORE_CTX_new());
  const std::unique_ptr<STACK_OF(X509), StackFree> intermediates(sk_X509_new_null());
  for (X509* one : pair.intermediates()) sk_X509_push(intermediates.get(), one);
  if (!context ||
      X509_STORE_CTX_init(context.get(), roots.store(), pair.leaf(), intermediates.get()) != 1)
    return not_taken("the chain cannot be verified: " + certs::take_openssl_errors());
  X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, now);
  const int verified = X509_verify_cert(context.get());
  const int reason = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (verified == 1) return {};
  return not_taken("its own roots do not verify the chain at depth " +
                   std::to_string(X509_STORE_CTX_get_error_depth(context.get())) + ": " +
                   X509_verify_cert_error_string(reason));
}

}  // namespace

Result<std::shared_ptr<const certs::KeyPair>> check_identity(const IdentityMaterial& material,
                                                             const certs::TrustStore& roots,
                                                             int64_t now) {
  auto pair = certs::KeyPair::parse(material.chain_pem, material.key_pem.view());
  if (!pair) return pair;
  const certs::CertificateInfo& info = (*pair)->info();
  const bool right_id = info.uris.size() == 1 && info.uris.front() == material.spiffe_id;
  if (!material.spiffe_id.empty() && !right_id) {
    return not_taken("the certificate is for " + shown(info.uris) + ", not for " +
                     material.spiffe_id);
  }
  if (auto good = check_time(info, now); !good) return good.error();
  if (auto good = check_chain(**pair, roots, now); !good) return good.error();
  return pair;
}

Result<std::string> join_certificates(const std::vector<std::string>& texts) {
  std::string joined;
  std::set<std::string> seen;
  for (const std::string& text : texts) {
    auto contents = certs::read_pem(text, limits::certificates_per_bundle);
    if (!contents) return contents.error();
    for (const certs::X509Ptr& one : contents->certificates) {
      unsigned char sum[EVP_MAX_MD_SIZE];
      unsigned int size = 0;
      X509_digest(one.get(), EVP_sha256(), sum, &size);
      if (!seen.emplace(reinterpret_cast<const char*>(sum), size).second) continue;
      joined += certs::pem_text(*one);
    }
  }
  if (seen.empty()) return certs::missing_secret("no certificate in the PEM text");
  return joined;
}

}  // namespace sallyport::ca
