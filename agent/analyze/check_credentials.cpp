// Secrets that DestinationRules name: where they are, what is in them, and until when.
#include <algorithm>
#include <set>

#include "agent/analyze/credentials.h"
#include "agent/mesh/proxy_views.h"

namespace sallyport::analyze {
namespace {

constexpr std::string_view secret_prefix = "kubernetes://", map_prefix = "configmap://";

// Where VirtualServices lead their gateways' proxies: full names.
std::set<std::string> hosts_behind_gateways(const World& world) {
  std::set<std::string> out;
  for (const auto& service : world.all<istio::VirtualService>()) {
    const bool of_gateways = std::any_of(service->gateways.begin(), service->gateways.end(),
                                         [](const auto& name) { return name != "mesh"; });
    if (!of_gateways) continue;
    const auto add = [&](const auto& rules) {
      for (const auto& rule : rules)
        for (const auto& route : rule.route)
          out.insert(world.full_name(route.destination.host, service->metadata.namespace_name()));
    };
    add(service->http);
    add(service->tls);
    add(service->tcp);
  }
  return out;
}

class RuleCredentials {
public:
  explicit RuleCredentials(Checks& checks)
      : checks_(checks),
        credentials_(checks),
        behind_gateways_(hosts_behind_gateways(checks.world)) {
    const auto resources = checks.world.input_for({}).resources;
    for (const auto& proxy : mesh::router_views(resources, checks.world.pods()))
      gateway_spaces_.insert(proxy.namespace_name);
  }
  void look_at(const TlsBlock& block);

private:
  bool is_of_gateways(const TlsBlock& block) const;
  SecretUse use_of(const TlsBlock& block, std::string namespace_name) const;
  void look_for(const TlsBlock& block, SecretUse use);

  Checks& checks_;
  Credentials credentials_;
  std::set<std::string> behind_gateways_, gateway_spaces_;
  std::set<const void*> pairs_done_;  // one finding a Secret, however many use it
};

// A rule for all that a gateway's proxy uses: that reads credentialName without a selector.
bool RuleCredentials::is_of_gateways(const TlsBlock& block) const {
  if (block.rule->workload_selector || gateway_spaces_.empty()) return false;
  const auto& about = block.rule->metadata;
  return behind_gateways_.contains(
      checks_.world.full_name(block.rule->host, about.namespace_name()));
}

SecretUse RuleCredentials::use_of(const TlsBlock& block, std::string namespace_name) const {
  SecretUse use;
  use.about = block.rule.object;
  use.field = block.field + ".credentialName";
  use.name = block.tls->credential_name;
  use.namespace_name = std::move(namespace_name);
  use.reader = is_of_gateways(block) ? "a gateway's proxy" : "a sidecar";
  use.until = "requests are answered 503";
  return use;
}

void RuleCredentials::look_at(const TlsBlock& block) {
  const auto& name = block.tls->credential_name;
  if (!is_originating(block.tls) || name.empty() || name.starts_with(map_prefix)) return;
  if (is_of_gateways(block)) {
    for (const auto& space : gateway_spaces_) look_for(block, use_of(block, space));
    return;
  }
  auto use = use_of(block, block.rule->metadata.namespace_name());
  if (!block.rule->workload_selector) {
    checks_.add("SLP0301", *use.about, use.field,
                "credentialName " + name +
                    " in a rule without workloadSelector: Istio's sidecars send plaintext to " +
                    block.rule->host + " then; this one answers 503");
  }
  look_for(block, std::move(use));
}

void RuleCredentials::look_for(const TlsBlock& block, SecretUse use) {
  auto& name = use.name;
  if (name.starts_with(secret_prefix))
    name = name.substr(secret_prefix.size());
  else if (name.find("://") != name.npos)
    return;  // no Secret: a proxy says why it can't use it
  if (const auto slash = name.find('/'); slash != name.npos) {
    const auto named = name.substr(0, slash);
    name = name.substr(slash + 1);
    if (named != use.namespace_name) return credentials_.report_missing(use);
  }
  const auto* secret = credentials_.find(use.namespace_name, name);
  const bool is_ca_name = name.ends_with(ca_suffix);
  const auto* twin =
      is_ca_name ? nullptr : credentials_.find(use.namespace_name, name + std::string(ca_suffix));
  const bool mutual = block.tls->mode == istio::TlsMode::mutual;
  if (!secret && (mutual || !twin)) return credentials_.report_missing(use);
  if (mutual && secret && pairs_done_.insert(secret->value).second) {
    const auto owner = "mode MUTUAL of " + use.about->ref->text();
    credentials_.report(*secret,
                        credentials_.pair_problem(*secret, owner, "the client certificate"));
  }
  if (!block.tls->insecure_skip_verify.value_or(false))
    credentials_.report_roots(use, secret, twin, "verifies servers with its CA", "every server");
}

}  // namespace

void check_credentials(Checks& checks) {
  RuleCredentials credentials(checks);
  for (const auto& block : tls_blocks(checks.world.all<istio::DestinationRule>()))
    credentials.look_at(block);
}

}  // namespace sallyport::analyze
