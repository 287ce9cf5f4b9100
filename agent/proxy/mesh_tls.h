// The server's end of the mesh's mutual TLS: the workload's own certificate, who is let in, and who
// came.
//
// Threading: its worker's.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/published.h"
#include "agent/mesh/snapshot.h"
#include "certs/vault.h"
#include "tls/server.h"

namespace sallyport::proxy {

class MeshTls {
public:
  explicit MeshTls(const Published<certs::Vault>& vault) : vault_(vault) {}
  MeshTls(const MeshTls&) = delete;

  // For a connection whose first bytes, `hello`, were read already. Errors: missing_secret while
  // the workload has no certificate or no roots; tls_handshake when OpenSSL takes them not.
  Result<tls::SslPtr> open(const mesh::Snapshot& snapshot, std::string_view hello);

private:
  Result<tls::PreparedServerPtr> settings(const mesh::Snapshot& snapshot);

  Published<certs::Vault>::Reader vault_;
  tls::ServerContext context_{tls::ServerKind::mesh};
  // Made anew when what it was made from changes.
  tls::PreparedServerPtr settings_;
  std::shared_ptr<const istio::TlsDefaults> parameters_;
};

// A peer that came by mutual TLS.
struct MeshPeer {
  std::vector<std::string> uri_sans;
  std::string forwarded_cert;  // its element of X-Forwarded-Client-Cert
};
// REQUIRES: the handshake is done.
MeshPeer mesh_peer(const SSL& ssl);
// The same of a gateway's client, whose certificate the upstream gets to see, too. One that nobody
// vouches for (insecureSkipVerify) is shown and is no principal.
MeshPeer gateway_peer(const SSL& ssl);

}  // namespace sallyport::proxy
