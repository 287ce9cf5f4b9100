// Where a connection's TLS mode is decided: what a DestinationRule's `tls` means for one port of
// one service (istio-api.md 1.3, 2.8, 2.9, 7). Pure.
#pragma once
#include "agent/mesh/cluster.h"
#include "agent/mesh/known_services.h"
#include "agent/mesh/rule_choice.h"

namespace sallyport::mesh {

struct TlsQuestion {
  const istio::DestinationRule* rule = nullptr;  // null: none applies
  const istio::ClientTls* tls =
      nullptr;  // of the rule for this port (rules_for_port); null: it says nothing
  const KnownService& service;
  const KnownPort& port;
  const istio::Proxy& proxy;
};

// An error closes the cluster: the rule asks for TLS that can't be given as asked, and plaintext is
// never the answer.
Result<TlsOrigination> compile_tls(const TlsQuestion& question);

// The certs::Vault names that `tls` refers to, "system" left out.
std::vector<std::string> secret_names(const TlsOrigination& tls);

}  // namespace sallyport::mesh
