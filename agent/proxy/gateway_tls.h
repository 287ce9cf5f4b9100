// The server's end of TLS for a gateway's filter chains: certificates and CAs from the vault, made
// ready once a server and used again until one of them changes.
//
// Threading: its worker's.
#pragma once
#include <memory>
#include <string_view>
#include <unordered_map>

#include "agent/core/published.h"
#include "agent/mesh/gateway.h"
#include "certs/vault.h"
#include "tls/server.h"

namespace sallyport::proxy {

class GatewayTls {
public:
  explicit GatewayTls(const Published<certs::Vault>& vault) : vault_(vault) {}
  GatewayTls(const GatewayTls&) = delete;

  // For a connection whose first bytes, `hello`, were read already. REQUIRES: chain.tls. Errors:
  // missing_secret, naming the server and what of it is not there; tls_handshake when OpenSSL takes
  // its certificate or parameters not. Other chains are not concerned.
  Result<tls::SslPtr> open(const mesh::GatewayChain& chain, std::string_view hello);
  void keep_only(const mesh::GatewayPorts& ports);  // servers of the newest configuration

private:
  struct Ready {
    mesh::TlsTerminationPtr tls;  // held, so that no other gets its address
    uint64_t generation = 0;      // of the vault that it was looked up in last
    tls::PreparedServerPtr server;
    std::unique_ptr<tls::ServerContext> context;  // its own, showing `server`; null: the shared one
  };
  Result<Ready*> ready_for(const mesh::GatewayChain& chain);
  Result<void> give_context(Ready& ready);

  Published<certs::Vault>::Reader vault_;
  std::shared_ptr<const certs::Vault> seen_;
  uint64_t generation_ = 0;                     // counts what was seen
  std::unique_ptr<tls::ServerContext> shared_;  // made for the first connection of those
  std::size_t contexts_ = 0;                    // how many of ready_ have their own
  std::unordered_map<const mesh::TlsTermination*, Ready> ready_;
};

}  // namespace sallyport::proxy
