// The keys of our X25519 provider and what OpenSSL may do with them; inside only.
#pragma once
#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <sodium/crypto_scalarmult_curve25519.h>

#include <array>

namespace sallyport::tls::x25519 {

inline constexpr int security_bits = 128;

using Bytes = std::array<unsigned char, crypto_scalarmult_curve25519_BYTES>;

// Either nothing (what a group is before a key of it was made), a public key, or both.
struct Key {
  Bytes public_key{};
  Bytes private_key{};
  bool has_public = false;
  bool has_private = false;

  Key() = default;
  Key(const Key&) = default;
  Key& operator=(const Key&) = delete;
  ~Key() { OPENSSL_cleanse(private_key.data(), private_key.size()); }
};

// Has libsodium choose its code for this machine when a key is first needed, not at start: a pod
// without TLS never touches it. False: it can't, and must not be called.
bool sodium_is_ready();

// OpenSSL's tables have functions of every type under one.
template <typename Function>
OSSL_DISPATCH entry(int id, Function* function) {
  return {id, reinterpret_cast<void (*)()>(function)};
}

// provider-keymgmt(7); ends with an entry of 0. Lives as long as the process.
const OSSL_DISPATCH* key_functions();

}  // namespace sallyport::tls::x25519
