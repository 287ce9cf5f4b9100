// The two ends of Istio's mutual TLS: what DestinationRules send, and what PeerAuthentications take
// of it.
#include <algorithm>

#include "agent/analyze/checks.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/peer_authentication.h"

namespace sallyport::analyze {
namespace {

using istio::MutualTls;
using istio::TlsMode;

// Empty: they go together. Of MUTUAL nothing is known: it may show a certificate of the mesh.
std::string_view contradiction(TlsMode sent, MutualTls taken) {
  if (taken == MutualTls::strict && (sent == TlsMode::disable || sent == TlsMode::simple))
    return "SLP0210";
  if (taken == MutualTls::disable && sent == TlsMode::istio_mutual) return "SLP0211";
  return {};
}

class Ends {
public:
  explicit Ends(Checks& checks)
      : checks_(checks), input_(checks.world.input_for({})), policies_(input_) {}

  void look_at(const TlsBlock& block);

private:
  bool look_at(const TlsBlock& block, const Host& host, const istio::ServicePort& port);
  bool tell(const TlsBlock& block, const Host& host, const istio::ServicePort& port,
            const mesh::MutualTlsChoice& choice, const std::string& who);
  const istio::Labels* labels_of(const TlsBlock& block) const;

  Checks& checks_;
  mesh::CompileInput input_;
  mesh::PeerAuthentications policies_;
};

// An entry for the port counts in place of what is said for all.
bool is_replaced(const TlsBlock& block, uint16_t port) {
  const auto replaces = [&](const auto& policy) {
    if (!policy) return false;
    const auto& entries = policy->port_level_settings;
    return std::any_of(entries.begin(), entries.end(),
                       [&](const auto& entry) { return entry.port == port; });
  };
  if (block.port != 0) return block.port != port;
  if (block.subset.empty()) return replaces(block.rule->traffic_policy);
  const auto& subsets = block.rule->subsets;
  return std::any_of(subsets.begin(), subsets.end(), [&](const auto& one) {
    return one.name == block.subset && replaces(one.traffic_policy);
  });
}

const istio::Labels* Ends::labels_of(const TlsBlock& block) const {
  for (const auto& subset : block.rule->subsets)
    if (subset.name == block.subset) return &subset.labels;
  return nullptr;
}

void Ends::look_at(const TlsBlock& block) {
  const auto& from = block.rule->metadata.namespace_name();
  for (const auto* host :
       checks_.world.hosts_under(checks_.world.full_name(block.rule->host, from), from)) {
    if (!host->service.value || host->service->selector.empty()) continue;
    for (const auto& port : host->ports()) {
      if (!is_replaced(block, port.number) && look_at(block, *host, port)) return;
    }
  }
}

// True: it has told; once a block is enough. Where no pods are given the selector stands for them.
bool Ends::look_at(const TlsBlock& block, const Host& host, const istio::ServicePort& port) {
  auto selector = host.service->selector;
  if (const auto* more = labels_of(block)) selector.insert(more->begin(), more->end());
  const auto& space = host.namespace_name();
  const auto pods = checks_.world.selected(selector, space);
  if (pods.empty()) {
    const auto number = port.target_port_name.empty()
                            ? (port.target_port ? port.target_port : port.number)
                            : uint16_t{0};
    return tell(block, host, port, policies_.of_workload(space, selector, number),
                "its workloads take");
  }
  for (const auto* pod : pods) {
    if (!checks_.world.why_no_sidecar(*pod).empty()) continue;
    const auto number = container_port(port, *pod);
    if (tell(block, host, port, policies_.of_workload(space, pod->labels, number),
             pod->ref->text() + " takes on port " + std::to_string(number)))
      return true;
  }
  return false;
}

bool Ends::tell(const TlsBlock& block, const Host& host, const istio::ServicePort& port,
                const mesh::MutualTlsChoice& choice, const std::string& who) {
  const auto id = contradiction(block.tls->mode, choice.mode);
  if (id.empty() || choice.refused) return false;
  const bool strict = choice.mode == MutualTls::strict;
  checks_.add(
      id, *block.rule.object, block.field,
      std::string("mode ") + name_of(block.tls->mode) + " for port " + std::to_string(port.number) +
          " of " + host.name + ": " + who +
          (strict ? " Istio's mutual TLS alone (STRICT by " : " no mutual TLS (DISABLE by ") +
          (choice.from ? choice.from->text() : std::string("default")) +
          (strict ? "): every connection is reset"
                  : "): the handshake would reach the application as bytes"));
  return true;
}

}  // namespace

void check_mutual_tls(Checks& checks) {
  Ends ends(checks);
  for (const auto& block : tls_blocks(checks.world.all<istio::DestinationRule>()))
    ends.look_at(block);
}

}  // namespace sallyport::analyze
