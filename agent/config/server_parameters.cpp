#include "agent/config/server_parameters.h"

#include <map>

#include "agent/mesh/compile_gateway.h"
#include "tls/parameters.h"

namespace sallyport::config {
namespace {

using Names = std::vector<std::string>;
using Ask = Result<tls::Available> (*)(const Names&);

// Thousands of servers name the same few lists, and OpenSSL takes its time.
class Asked {
public:
  explicit Asked(Ask ask) : ask_(ask) {}
  const Result<tls::Available>& operator()(const Names& names) {
    const auto at = known_.find(names);
    return at != known_.end() ? at->second : known_.emplace(names, ask_(names)).first->second;
  }

private:
  Ask ask_;
  std::map<Names, Result<tls::Available>> known_;
};

std::string listed(const Names& names) {
  std::string out;
  for (const auto& name : names) (out += out.empty() ? "" : ", ") += name;
  return out;
}

istio::Finding about(const mesh::GatewayChain& chain, std::string field, std::string reason,
                     istio::Severity severity) {
  const auto& from = *chain.from;
  return {severity,  from.file,        chain.line,       from.kind, from.namespace_name,
          from.name, std::move(field), std::move(reason)};
}

// `usual`: the mesh's own, which are told of where they stand.
void look_at(const mesh::GatewayChain& chain, const Names& names, const Names* usual,
             const char* field, Asked& ask, std::vector<istio::Finding>& out) {
  if (names.empty()) return;
  const std::string place = std::string("spec.servers.tls.") + field;
  const auto& found = ask(names);
  if (!found) {
    out.push_back(about(chain, place, chain.name + " is closed: " + found.error().context,
                        istio::Severity::error));
  } else if (!found->missing.empty() && !(usual && names == *usual)) {
    out.push_back(about(chain, place,
                        "skipped, this OpenSSL does not have " + listed(found->missing),
                        istio::Severity::warning));
  }
}

}  // namespace

std::vector<istio::Finding> missing_parameters(const mesh::Snapshot& snapshot) {
  std::vector<istio::Finding> out;
  Asked ciphers(tls::available_ciphers), curves(tls::available_curves);
  const auto* const usual = snapshot.mesh.tls_defaults.get();
  mesh::each_chain(snapshot.gateway, [&](const mesh::GatewayChainPtr& chain) {
    if (!chain->tls) return;
    look_at(*chain, chain->tls->cipher_suites, usual ? &usual->cipher_suites : nullptr,
            "cipherSuites", ciphers, out);
    look_at(*chain, chain->tls->ecdh_curves, usual ? &usual->ecdh_curves : nullptr, "ecdhCurves",
            curves, out);
  });
  return out;
}

}  // namespace sallyport::config
