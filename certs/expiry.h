// When what a vault holds runs out: for the metric of every certificate, and for warnings in the
// log at 30, 7 and 1 days before and when it has happened.
//
// Threading: the configuration thread.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "certs/vault.h"

namespace sallyport::certs {

struct Expiry {
  const char* what;             // "certificate", "CA certificate", "CRL"
  std::string resource;         // the vault's name
  std::string subject;          // a CRL's issuer; a workload's URI SAN, as its subject is empty
  std::string serial;           // empty for CRLs
  int64_t from = 0, until = 0;  // seconds since 1970
};

// Every certificate (leaf, intermediates, CAs) and CRL, in the order of the vault.
std::vector<Expiry> expiries(const Vault& vault);

class ExpiryWarnings {
public:
  // One line for each certificate and CRL that has come to a further threshold since the last call.
  // A threshold of more than half its life is passed over: a certificate of 24 hours is no news
  // soon after its birth. What left the vault is forgotten.
  std::vector<std::string> due(const Vault& vault, int64_t now);

private:
  using Key = std::tuple<std::string, std::string, std::string, int64_t>;
  std::map<Key, int> told_;  // the least threshold told, in days; 0: it has expired
};

}  // namespace sallyport::certs
