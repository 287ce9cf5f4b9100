// Where a connection's TLS mode is decided: what a DestinationRule's `tls` means for one port of
// one service, and where it says nothing, auto mTLS (istio-api.md 1.3, 2.8 to 2.10, 7). Pure.
#pragma once
#include "agent/mesh/auto_mtls.h"
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
  std::string_view subset;  // empty: the whole service
  Discovery discovery;      // of the cluster
  const ServedBy& served;   // who serves it
  ServiceWorkloads& workloads;
};

// An error closes the cluster: the rule asks for TLS that can't be given as asked, and plaintext is
// never the answer.
Result<TlsOrigination> compile_tls(const TlsQuestion& question);

// The certs::Vault names of the Secrets and files that `tls` refers to: without "system", and
// without the workload's own identity, which is there without asking.
std::vector<std::string> secret_names(const TlsOrigination& tls);

}  // namespace sallyport::mesh
