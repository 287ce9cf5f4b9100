// A set of CA certificates (and CRLs) as a shared X509_STORE. Parsed once a process and shared by
// all workers.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"
#include "certs/key_pair.h"

using X509_STORE = struct x509_store_st;

namespace sallyport::certs {

struct CrlInfo {
  std::string issuer;
  int64_t last_update = 0, next_update = 0;  // seconds since 1970; next 0: it does not say
};

class TrustStore {
public:
  // Errors (Fault::missing_secret) name what is wrong. `crl_pem` may be empty; with CRLs, there or
  // among the CAs, every certificate of a chain is checked, and as in Envoy each CA of it needs
  // one.
  static Result<std::shared_ptr<const TrustStore>> parse(std::string_view ca_pem,
                                                         std::string_view crl_pem = {});
  // The operating system's bundle; loaded when first asked for (25 ms, 0.8 MiB), then shared.
  // Thread-safe.
  static Result<std::shared_ptr<const TrustStore>> system();
  ~TrustStore();
  TrustStore(const TrustStore&) = delete;

  X509_STORE* store() const;
  // What was parsed, for listings; empty for the system's.
  const std::vector<CertificateInfo>& certificates() const;
  const std::vector<CrlInfo>& crls() const;
  uint64_t id() const;

private:
  TrustStore();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::certs
