// Service accounts' tokens for projected volumes, as an API server would sign them: JWTs with ES256
// by a key that is made when the sandbox starts and dies with it.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace sallyport::sandbox {

class TokenSigner {
public:
  TokenSigner();
  ~TokenSigner();
  TokenSigner(const TokenSigner&) = delete;

  // The public key as a JWKS document.
  const std::string& jwks() const { return jwks_; }
  // The token of a pod's account for `audience` (empty: the API server's own), good for `seconds`.
  // The same one again until four fifths of its life are over (kubelet's rule). `now`: seconds
  // since 1970.
  std::string token(const std::string& namespace_name, const std::string& account,
                    const std::string& pod, const std::string& audience, int64_t seconds,
                    int64_t now);

private:
  struct Key;
  struct Signed {
    std::string text;
    int64_t renew_at = 0;
  };
  std::unique_ptr<Key> key_;
  std::string jwks_;
  std::map<std::string, Signed> signed_;
};

}  // namespace sallyport::sandbox
