#include "certs/ca/token_keys.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <boost/json/parse.hpp>
#include <optional>

#include "agent/core/limits.h"
#include "certs/openssl_ptr.h"

namespace sallyport::ca {
namespace {

namespace json = boost::json;
using BuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, certs::OpensslFree<OSSL_PARAM_BLD_free>>;
using ParametersPtr = std::unique_ptr<OSSL_PARAM, certs::OpensslFree<OSSL_PARAM_free>>;
using ContextPtr = std::unique_ptr<EVP_PKEY_CTX, certs::OpensslFree<EVP_PKEY_CTX_free>>;

Error bad_keys(std::string reason) {
  ERR_clear_error();
  return {.fault = Fault::protocol, .context = std::move(reason)};
}

std::string text_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  const json::string* text = value ? value->if_string() : nullptr;
  return text ? std::string(text->data(), text->size()) : std::string();
}

std::shared_ptr<EVP_PKEY> build(const char* type, OSSL_PARAM_BLD& builder) {
  const ParametersPtr parameters(OSSL_PARAM_BLD_to_param(&builder));
  const ContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return nullptr;
  return {key, EVP_PKEY_free};
}

certs::BignumPtr number_of(const std::string& bytes) {
  return certs::BignumPtr(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                                    static_cast<int>(bytes.size()), nullptr));
}

std::shared_ptr<EVP_PKEY> rsa_key(const json::object& object) {
  const auto n = from_base64url(text_of(object, "n")), e = from_base64url(text_of(object, "e"));
  if (!n || !e || n->empty() || e->empty() || n->size() > 1024 || e->size() > 8) return nullptr;
  const auto modulus = number_of(*n), exponent = number_of(*e);
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1)
    return nullptr;
  return build("RSA", *builder);
}

std::shared_ptr<EVP_PKEY> p256_key(const json::object& object) {
  const auto x = from_base64url(text_of(object, "x")), y = from_base64url(text_of(object, "y"));
  constexpr std::size_t coordinate = 32;
  if (!x || !y || x->size() != coordinate || y->size() != coordinate) return nullptr;
  const std::string point = "\x04" + *x + *y;  // SEC 1: uncompressed
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1)
    return nullptr;
  return build("EC", *builder);
}

// Which algorithm a key serves; none: another kind of key.
std::optional<TokenAlgorithm> algorithm_of(const EVP_PKEY& key) {
  if (EVP_PKEY_get_base_id(&key) == EVP_PKEY_RSA) return TokenAlgorithm::rs256;
  char group[32] = "";
  EVP_PKEY_get_group_name(&key, group, sizeof group, nullptr);
  if (EVP_PKEY_get_base_id(&key) == EVP_PKEY_EC && std::string_view(group) == "prime256v1")
    return TokenAlgorithm::es256;
  return std::nullopt;
}

Result<void> add(std::vector<TokenKey>& keys, std::string id, std::shared_ptr<EVP_PKEY> key) {
  const auto algorithm = algorithm_of(*key);
  if (!algorithm) return {};
  if (*algorithm == TokenAlgorithm::rs256 && EVP_PKEY_get_bits(key.get()) < 2048)
    return bad_keys("an RSA key of less than 2048 bits");
  if (keys.size() == limits::token_keys)
    return bad_keys("more than " + std::to_string(limits::token_keys) + " keys");
  keys.push_back({std::move(id), *algorithm, std::move(key)});
  return {};
}

Result<void> add_jwk(std::vector<TokenKey>& keys, const json::value& value) {
  const json::object* object = value.if_object();
  if (!object) return bad_keys("JWKS: a key that is no object");
  const std::string type = text_of(*object, "kty"), use = text_of(*object, "use");
  if (!use.empty() && use != "sig") return {};
  const bool rsa = type == "RSA", p256 = type == "EC" && text_of(*object, "crv") == "P-256";
  if (!rsa && !p256) return {};
  auto key = rsa ? rsa_key(*object) : p256_key(*object);
  if (!key) return bad_keys("JWKS: the key \"" + text_of(*object, "kid") + "\" cannot be read");
  return add(keys, text_of(*object, "kid"), std::move(key));
}

Result<std::vector<TokenKey>> from_jwks(std::string_view text) {
  json::error_code error;
  json::parse_options options;
  options.max_depth = 8;
  const auto document = json::parse({text.data(), text.size()}, error, {}, options);
  if (error) return bad_keys("JWKS: no JSON: " + error.message());
  const json::object* top = document.if_object();
  const json::value* list = top ? top->if_contains("keys") : nullptr;
  if (!list || !list->is_array()) return bad_keys("JWKS: it has no list `keys`");
  std::vector<TokenKey> keys;
  for (const json::value& one : list->get_array())
    if (auto added = add_jwk(keys, one); !added) return added.error();
  return keys;
}

Result<std::vector<TokenKey>> from_pem(std::string_view text) {
  const certs::BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  std::vector<TokenKey> keys;
  while (bio) {
    char *label = nullptr, *header = nullptr;
    unsigned char* der = nullptr;
    long size = 0;
    if (PEM_read_bio(bio.get(), &label, &header, &der, &size) != 1) break;
    const std::unique_ptr<char, certs::OpensslTextFree> own_label(label), own_header(header),
        own_der(reinterpret_cast<char*>(der));
    const unsigned char* at = der;
    std::shared_ptr<EVP_PKEY> key;
    if (std::string_view(label) == PEM_STRING_PUBLIC) {
      key.reset(d2i_PUBKEY(nullptr, &at, size), EVP_PKEY_free);
    } else if (std::string_view(label) == PEM_STRING_X509) {
      const certs::X509Ptr certificate(d2i_X509(nullptr, &at, size));
      key.reset(certificate ? X509_get_pubkey(certificate.get()) : nullptr, EVP_PKEY_free);
    } else {
      continue;
    }
    if (!key) return bad_keys("a public key that cannot be read");
    if (auto added = add(keys, "", std::move(key)); !added) return added.error();
  }
  return keys;
}

int sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '-' ? 62 : c == '_' ? 63 : -1;
}

}  // namespace

std::optional<std::string> from_base64url(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = sextet(c);
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xff);
  }
  return bytes;
}

Result<std::vector<TokenKey>> parse_token_keys(std::string_view text) {
  const auto start = text.find_first_not_of(" \t\r\n");
  const bool is_json = start != text.npos && text[start] == '{';
  auto keys = is_json ? from_jwks(text) : from_pem(text);
  ERR_clear_error();
  if (keys && keys->empty()) return bad_keys("no RSA or P-256 key in it");
  return keys;
}

}  // namespace sallyport::ca
