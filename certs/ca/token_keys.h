// Public keys that JWTs are verified with, out of a JWKS document (RFC 7517) or PEM. Immutable.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"

using EVP_PKEY = struct evp_pkey_st;

namespace sallyport::ca {

enum class TokenAlgorithm : uint8_t { rs256, es256 };

struct TokenKey {
  std::string id;  // `kid`; empty: it has none
  TokenAlgorithm algorithm;
  std::shared_ptr<EVP_PKEY> key;
};

// JWKS when the text begins with `{`, else PEM public keys or certificates. Keys of other kinds
// (and those for encryption) are passed over. Errors: none left, more than limits::token_keys, no
// JSON, RSA below 2048 bits.
Result<std::vector<TokenKey>> parse_token_keys(std::string_view text);

// RFC 4648 section 5 without padding; empty optional: other characters, or a length that none has.
std::optional<std::string> from_base64url(std::string_view text);

}  // namespace sallyport::ca
