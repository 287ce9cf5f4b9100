// A certificate chain with its private key, and what can be said of a certificate without it.
// Values, immutable after parsing, shared between threads. Keys never appear in a text.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"

using X509 = struct x509_st;
using EVP_PKEY = struct evp_pkey_st;

namespace sallyport::certs {

struct CertificateInfo {
  std::string subject;  // "CN=client.example.com" (RFC 2253 order as OpenSSL's XN_FLAG_RFC2253)
  std::string issuer;
  std::string serial;                     // lower-case hex, as istioctl prints it
  int64_t not_before = 0, not_after = 0;  // seconds since 1970
  std::vector<std::string> dns_names, uris, ips, emails;
};

class KeyPair {
public:
  // `chain_pem`: leaf first, intermediates after. Errors (Fault::missing_secret) name what is
  // wrong: no certificate in it, key encrypted, key does not match the certificate, ...
  static Result<std::shared_ptr<const KeyPair>> parse(std::string_view chain_pem,
                                                      std::string_view key_pem);
  ~KeyPair();
  KeyPair(const KeyPair&) = delete;

  X509* leaf() const;
  const std::vector<X509*>& intermediates() const;
  EVP_PKEY* key() const;
  const CertificateInfo& info() const;                       // the leaf's
  const std::vector<CertificateInfo>& certificates() const;  // leaf first
  // Differs for every pair that this process parsed: a generation, for pool keys.
  uint64_t id() const;

private:
  KeyPair();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::certs
