// A certificate authority: its key, its chain, the roots that its clients trust; signs what it is
// told. Immutable after it is made; a changed CA is another object.
//
// Threading: any. Keys never appear in a text.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/core/error.h"
#include "certs/key_pair.h"
#include "certs/trust.h"

namespace sallyport::ca {

struct IssuedCertificate {
  std::vector<std::string> chain;  // PEM, one certificate each: the leaf, then intermediates
  std::string serial;              // lower-case hex
  int64_t not_after = 0;           // seconds since 1970
};

class Authority {
public:
  // Istio's plug-in form in `directory`: ca-cert.pem, ca-key.pem, and, where the CA is no root,
  // cert-chain.pem (the CA's certificate up to its root) and root-cert.pem (one root or several).
  // Errors name the file and what is wrong: no CA's certificate, another's key, a chain that its
  // roots do not verify.
  static Result<std::shared_ptr<const Authority>> load(const std::string& directory);
  // A root of its own, P-256, good for ten years, with `organization` for a name. With a directory
  // it is the one that is kept there (as `load` reads it), or a new one is put there, its key
  // readable by the owner alone; what a start that was cut off left there is completed. Empty: it
  // lives in memory and dies with the process.
  static Result<std::shared_ptr<const Authority>> self_signed(const std::string& organization,
                                                              const std::string& directory);
  ~Authority();
  Authority(const Authority&) = delete;

  // A workload's certificate for the key of `csr_pem` with `spiffe_id` and nothing else of the CSR
  // in it: good since two minutes ago, for `ttl` from now but not longer than the CA itself.
  // Errors: Fault::protocol for a CSR that is none, is not signed by its own key, has a weak key or
  // names another id; Fault::internal for what is the CA's own fault. `now`: seconds since 1970.
  Result<IssuedCertificate> sign(const std::string& csr_pem, const std::string& spiffe_id,
                                 std::chrono::seconds ttl, int64_t now) const;
  // A certificate for a server of ours with a key of its own.
  Result<std::shared_ptr<const certs::KeyPair>> issue_server(
      const std::vector<std::string>& dns_names, const std::vector<std::string>& addresses,
      std::chrono::seconds ttl, int64_t now) const;

  const std::string& roots_pem() const;  // all of root-cert.pem
  const certs::TrustStore& roots() const;
  const certs::CertificateInfo& info() const;  // of the CA's certificate

private:
  Authority();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::ca
