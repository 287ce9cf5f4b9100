// Every secret that a configuration names, by Istio's resource names, as one immutable value that
// is replaced whole:
//   kubernetes://NAME           certificate and key of that Secret (in the proxy's namespace)
//   kubernetes://NAME-cacert    the CA of that Secret or of its -cacert twin
//   file-cert:CRT~KEY           certificate and key from files
//   file-root:CA                a CA from a file
//   default                     the workload's own certificate and key (its SPIFFE identity)
//   ROOTCA                      the mesh's roots
//   system                      the operating system's CA bundle (never listed: loaded when used)
//
// Threading: built on the configuration thread, read by all. A broken new version never replaces a
// good old one: the entry stays ACTIVE with `problem` set.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "agent/core/error.h"
#include "certs/key_pair.h"
#include "certs/trust.h"

namespace sallyport::certs {

inline constexpr const char *identity_name = "default", *mesh_roots_name = "ROOTCA";

// Whether a name is the workload's own identity's, or its roots': it comes from the CA, or from
// where its files are mounted, at run time.
inline bool is_of_workload(std::string_view name) {
  return name == identity_name || name == mesh_roots_name;
}

struct VaultEntry {
  std::shared_ptr<const KeyPair> pair;      // for certificate names
  std::shared_ptr<const TrustStore> roots;  // for CA names
  std::string problem;  // why it is WARMING, or why a newer version was not taken
  bool active() const { return pair || roots; }
};

struct Vault {
  std::map<std::string, VaultEntry, std::less<>> entries;
  const VaultEntry* find(std::string_view name) const {
    const auto at = entries.find(name);
    return at == entries.end() ? nullptr : &at->second;
  }
};

}  // namespace sallyport::certs
