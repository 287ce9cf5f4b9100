#include "deploy/sandbox/token_signer.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include <stdexcept>

namespace sallyport::sandbox {
namespace {

constexpr const char* key_id = "sandbox";
constexpr const char* issuer = "https://kubernetes.default.svc.cluster.local";
constexpr int number_bytes = 32;  // P-256

std::string base64url(std::string_view bytes) {
  std::string out(bytes.size() / 3 * 4 + 8, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  while (out.ends_with('=')) out.pop_back();
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

std::string padded(const BIGNUM& number) {
  std::string bytes(number_bytes, '\0');
  BN_bn2binpad(&number, reinterpret_cast<unsigned char*>(bytes.data()), number_bytes);
  return bytes;
}

// JSON strings of Kubernetes' names need no escapes.
std::string json_text(const std::string& text) { return '"' + text + '"'; }

}  // namespace

struct TokenSigner::Key {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pkey{EVP_EC_gen("P-256"), EVP_PKEY_free};

  std::string coordinate(const char* name) const {
    BIGNUM* number = nullptr;
    if (EVP_PKEY_get_bn_param(pkey.get(), name, &number) != 1)
      throw std::runtime_error("the signing key of the sandbox");
    std::string text = base64url(padded(*number));
    BN_free(number);
    return text;
  }
  std::string sign(const std::string& text) const;
};

// JWS has r and s side by side.
std::string TokenSigner::Key::sign(const std::string& text) const {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  unsigned char der[256];
  std::size_t size = sizeof der;
  EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, pkey.get());
  if (EVP_DigestSign(context.get(), der, &size, reinterpret_cast<const unsigned char*>(text.data()),
                     text.size()) != 1)
    throw std::runtime_error("signing a token");
  const unsigned char* at = der;
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> signature(
      d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)), ECDSA_SIG_free);
  return padded(*ECDSA_SIG_get0_r(signature.get())) + padded(*ECDSA_SIG_get0_s(signature.get()));
}

TokenSigner::TokenSigner() : key_(std::make_unique<Key>()) {
  jwks_ = R"({"keys":[{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":)" +
          json_text(key_id) + R"(,"x":)" + json_text(key_->coordinate(OSSL_PKEY_PARAM_EC_PUB_X)) +
          R"(,"y":)" + json_text(key_->coordinate(OSSL_PKEY_PARAM_EC_PUB_Y)) + "}]}\n";
}
TokenSigner::~TokenSigner() = default;

std::string TokenSigner::token(const std::string& namespace_name, const std::string& account,
                               const std::string& pod, const std::string& audience, int64_t seconds,
                               int64_t now) {
  Signed& known = signed_[namespace_name + '/' + account + '/' + pod + '/' + audience];
  if (now < known.renew_at) return known.text;
  const std::string header = R"({"alg":"ES256","typ":"JWT","kid":)" + json_text(key_id) + "}";
  const std::string claims =
      R"({"aud":[)" + json_text(audience.empty() ? issuer : audience) + R"(],"exp":)" +
      std::to_string(now + seconds) + R"(,"iat":)" + std::to_string(now) + R"(,"nbf":)" +
      std::to_string(now) + R"(,"iss":)" + json_text(issuer) + R"(,"kubernetes.io":{"namespace":)" +
      json_text(namespace_name) + R"(,"pod":{"name":)" + json_text(pod) +
      R"(},"serviceaccount":{"name":)" + json_text(account) + R"(}},"sub":)" +
      json_text("system:serviceaccount:" + namespace_name + ":" + account) + "}";
  const std::string text = base64url(header) + '.' + base64url(claims);
  known = {text + '.' + base64url(key_->sign(text)), now + seconds * 4 / 5};
  return known.text;
}

}  // namespace sallyport::sandbox
