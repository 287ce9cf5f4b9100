// Secrets that Gateways name: whether the pods that serve them have them, and whether they are fit
// for it (istio/istio:pkg/config/analysis/analyzers/gateway/secret.go).
#include "agent/analyze/credentials.h"

namespace sallyport::analyze {
namespace {

using Gateway = Typed<istio::Gateway>;

// The Secret that a credentialName means; empty: none, or one of a namespace that is named. Of
// those a proxy says why it can't use them.
std::string secret_of_gateway(std::string_view written) {
  for (const std::string_view form : {"kubernetes://", "sds://"})
    if (written.starts_with(form)) written.remove_prefix(form.size());
  return written.find('/') == written.npos ? std::string(written) : std::string();
}

class GatewayCredentials {
public:
  explicit GatewayCredentials(Checks& checks) : checks_(checks), credentials_(checks) {}
  void look_at(const Gateway& gateway);

private:
  void look_at(const Gateway& gateway, std::size_t server, const std::string& namespace_name);
  void look_for_pairs(const istio::ServerTls& tls, SecretUse use, const std::string& field);
  void look_for_roots(const istio::ServerTls& tls, SecretUse use, const std::string& field);
  void check_pair(const SecretUse& use, const Credentials::Secret& secret);

  Checks& checks_;
  Credentials credentials_;
  std::set<const void*> soon_done_;
};

void GatewayCredentials::look_at(const Gateway& gateway) {
  std::set<std::string> spaces;
  for (const auto* pod : serving_pods(checks_.world, *gateway.value))
    spaces.insert(pod->ref->namespace_name);
  // Without a pod that is known: where Gateway and pods are usually together.
  if (spaces.empty() && checks_.world.workloads().empty())
    spaces.insert(gateway->metadata.namespace_name());
  for (const auto& space : spaces)
    for (std::size_t i = 0; i < gateway->servers.size(); i++) look_at(gateway, i, space);
}

void GatewayCredentials::look_at(const Gateway& gateway, std::size_t server,
                                 const std::string& namespace_name) {
  const auto& tls = gateway->servers[server].tls;
  if (!tls || istio::is_passthrough(*tls) || tls->mode == istio::ServerTlsMode::istio_mutual)
    return;
  SecretUse use;
  use.about = gateway.object;
  use.namespace_name = namespace_name;
  use.reader = "a gateway's proxy";
  const auto field = item("spec.servers", server) + ".tls";
  look_for_pairs(*tls, use, field);
  if (tls->mode != istio::ServerTlsMode::simple) look_for_roots(*tls, use, field);
}

void GatewayCredentials::look_for_pairs(const istio::ServerTls& tls, SecretUse use,
                                        const std::string& field) {
  const bool listed = find(*use.about->node, field + ".credentialNames");
  use.until = "the server refuses every handshake";
  for (std::size_t i = 0; i < tls.credential_names.size(); i++) {
    use.name = secret_of_gateway(tls.credential_names[i]);
    use.field = listed ? item(field + ".credentialNames", i) : field + ".credentialName";
    if (use.name.empty()) continue;
    const auto* secret = credentials_.find(use.namespace_name, use.name);
    if (secret)
      check_pair(use, *secret);
    else
      credentials_.report_missing(use);
  }
}

void GatewayCredentials::check_pair(const SecretUse& use, const Credentials::Secret& secret) {
  const auto& ref = *use.about->ref;
  const auto problem = credentials_.pair_problem(secret, ref.text(), "the server's certificate");
  if (problem.code.empty()) return;
  if (problem.code == "SLP0309") {  // still good
    if (soon_done_.insert(secret.value).second) credentials_.report(secret, problem);
    return;
  }
  checks_.add("IST0161", *use.about, use.field,
              "The credential referenced by the Gateway " + ref.name + " in namespace " +
                  use.namespace_name +
                  " is invalid, which can cause the traffic not to work as expected. " +
                  secret.object->ref->text() + ": " + problem.cause,
              std::string(code(problem.code).cure));
}

// The CA that clients are verified with: of caCertCredentialName, else of the first credential.
void GatewayCredentials::look_for_roots(const istio::ServerTls& tls, SecretUse use,
                                        const std::string& field) {
  const bool own = !tls.ca_credential_name.empty();
  if (!own && tls.credential_names.empty()) return;  // files
  use.name = secret_of_gateway(own ? tls.ca_credential_name : tls.credential_names.front());
  use.field = field + (own ? ".caCertCredentialName" : ".credentialName");
  use.until = "every client is refused";
  if (use.name.empty()) return;
  const bool is_ca_name = use.name.ends_with(ca_suffix);
  const auto* secret = credentials_.find(use.namespace_name, use.name);
  const auto* twin = is_ca_name
                         ? nullptr
                         : credentials_.find(use.namespace_name, use.name + std::string(ca_suffix));
  if (secret || twin)
    return credentials_.report_roots(use, secret, twin, "verifies clients with its CA",
                                     "every client");
  if (own) credentials_.report_missing(use);  // else the pair is missing, too
}

}  // namespace

void check_gateway_credentials(Checks& checks) {
  GatewayCredentials credentials(checks);
  for (const auto& gateway : checks.world.all<istio::Gateway>()) credentials.look_at(gateway);
}

}  // namespace sallyport::analyze
