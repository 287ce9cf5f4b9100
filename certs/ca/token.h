// Who a bearer token is: a Kubernetes service account's JWT, or a line of a file of tokens. Pure.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"
#include "certs/ca/token_keys.h"

namespace sallyport::ca {

struct ServiceAccount {
  std::string namespace_name, name;
  bool operator==(const ServiceAccount&) const = default;
};

struct TokenRules {
  std::vector<TokenKey> keys;
  std::vector<std::string> audiences = {"istio-ca"};  // one of them must be among the token's
  std::string issuer = {};                            // empty: any
};

// The service account of a JWT: `sub` of the form system:serviceaccount:NAMESPACE:NAME, else the
// claim `kubernetes.io`. RS256 and ES256, each with keys of its own kind alone. Errors:
// Fault::denied with the reason, for the CA's log (a client is told nothing of it). `now`: seconds
// since 1970.
Result<ServiceAccount> verify_token(std::string_view token, const TokenRules& rules, int64_t now);

// SHA-256 of a token → whose it is. Lines: TOKEN NAMESPACE/SERVICEACCOUNT, `#` begins a comment.
using StaticTokens = std::map<std::string, ServiceAccount>;
// Errors name the line, never the token.
Result<StaticTokens> parse_static_tokens(std::string_view text);

}  // namespace sallyport::ca
