// As whom and to whom a cluster's TLS speaks: what is part of the key of pooled connections and of
// TLS sessions beside the address. A cluster has one, or one a Host where SNI or the name to verify
// come from the request. With Istio's mutual TLS it has one for requests and one for bytes, which
// say what they carry by ALPN.
//
// Threading: its worker's.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "agent/core/error.h"
#include "agent/mesh/cluster.h"
#include "certs/vault.h"
#include "tls/client.h"

namespace sallyport::upstream {

using Identity = tls::ClientSettings;  // immutable once made; compared by address
using IdentityPtr = std::shared_ptr<const Identity>;

// What the request or connection contributes to the identity: its authority, or nothing, or that it
// is opaque bytes.
std::string_view identity_key(const mesh::Cluster& cluster, std::string_view authority, bool http);

// REQUIRES: cluster.tls.mode is not none. `http`: requests go over its connections. Errors:
// Fault::missing_secret names the rule, the secret and its problem; Fault::tls_verify when there is
// no name to verify though the rule asks for it.
Result<IdentityPtr> make_identity(const mesh::Cluster& cluster, std::string_view authority,
                                  const certs::Vault& vault, bool http = true);

// What Istio's mutual TLS offers by ALPN (istio-api.md 2.12).
std::vector<std::string> mesh_alpn(bool http);

// What meshConfig.tlsDefaults or meshMTLS say, in OpenSSL's words.
tls::Parameters parameters_of(const istio::TlsDefaults& defaults);

// The generations of the secrets that the cluster names; 0 for one that is absent. Connections and
// sessions made under other generations are not to be used again.
struct SecretIds {
  uint64_t certificate = 0, roots = 0;
  bool operator==(const SecretIds&) const = default;
};
SecretIds secret_ids(const mesh::Cluster& cluster, const certs::Vault& vault);

}  // namespace sallyport::upstream
