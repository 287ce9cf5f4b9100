// Service accounts' tokens (JWTs) for tests, signed in memory with ES256 or RS256.
#pragma once
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <ctime>
#include <memory>
#include <string>

namespace sallyport::test {

inline std::string base64url(std::string_view bytes) {
  std::string out(bytes.size() / 3 * 4 + 8, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  while (out.ends_with('=')) out.pop_back();
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

class TokenIssuer {
public:
  static TokenIssuer es256(std::string id = "k1") { return {EVP_EC_gen("P-256"), "ES256", id}; }
  static TokenIssuer rs256(std::string id = "k1") { return {EVP_RSA_gen(2048), "RS256", id}; }

  // Claims of a projected token of NAMESPACE/NAME for the audience istio-ca, good for an hour.
  static std::string claims(const std::string& namespace_name, const std::string& name,
                            const std::string& audience = "istio-ca", long until_s = 3600) {
    const auto now = std::time(nullptr);
    return R"({"aud":[")" + audience + R"("],"exp":)" + std::to_string(now + until_s) +
           R"(,"iat":)" + std::to_string(now) + R"(,"nbf":)" + std::to_string(now) +
           R"(,"iss":"https://kubernetes.default.svc","sub":"system:serviceaccount:)" +
           namespace_name + ":" + name + R"("})";
  }
  std::string token(const std::string& claims_json, std::string algorithm = "") const {
    if (algorithm.empty()) algorithm = algorithm_;
    const std::string text = base64url(R"({"alg":")" + algorithm + R"(","kid":")" + id_ + R"("})") +
                             "." + base64url(claims_json);
    return text + "." + base64url(signature(text));
  }
  std::string jwks() const { return R"({"keys":[)" + jwk() + "]}"; }
  std::string jwk() const {
    if (algorithm_ == "RS256") {
      return R"({"kty":"RSA","use":"sig","alg":"RS256","kid":")" + id_ + R"(","n":")" +
             number(OSSL_PKEY_PARAM_RSA_N) + R"(","e":")" + number(OSSL_PKEY_PARAM_RSA_E) + "\"}";
    }
    return R"({"kty":"EC","crv":"P-256","use":"sig","kid":")" + id_ + R"(","x":")" +
           number(OSSL_PKEY_PARAM_EC_PUB_X, 32) + R"(","y":")" +
           number(OSSL_PKEY_PARAM_EC_PUB_Y, 32) + "\"}";
  }
  std::string public_pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, key_.get());
    const char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<std::size_t>(size));
    BIO_free(bio);
    return text;
  }

private:
  TokenIssuer(EVP_PKEY* key, std::string algorithm, std::string id)
      : key_(key, EVP_PKEY_free), algorithm_(std::move(algorithm)), id_(std::move(id)) {}

  std::string number(const char* name, int bytes = 0) const {
    BIGNUM* value = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), name, &value);
    std::string out(static_cast<std::size_t>(bytes ? bytes : BN_num_bytes(value)), '\0');
    BN_bn2binpad(value, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
    BN_free(value);
    return base64url(out);
  }
  std::string signature(const std::string& text) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key_.get());
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    std::string out(1024, '\0');
    std::size_t size = out.size();
    EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size, bytes,
                   text.size());
    EVP_MD_CTX_free(context);
    out.resize(size);
    if (algorithm_ != "ES256") return out;
    const auto* der = reinterpret_cast<const unsigned char*>(out.data());
    ECDSA_SIG* parts = d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(out.size()));
    std::string raw(64, '\0');
    BN_bn2binpad(ECDSA_SIG_get0_r(parts), reinterpret_cast<unsigned char*>(raw.data()), 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(parts), reinterpret_cast<unsigned char*>(raw.data()) + 32, 32);
    ECDSA_SIG_free(parts);
    return raw;
  }

  std::shared_ptr<EVP_PKEY> key_;
  std::string algorithm_, id_;
};

}  // namespace sallyport::test
