// What a tls block says and leaves out.
#include <algorithm>

#include "agent/analyze/checks.h"

namespace sallyport::analyze {
namespace {

bool skips(const istio::ClientTls& tls) { return tls.insecure_skip_verify.value_or(false); }

// The name of the block's service; empty where it may be several.
std::string host_of(const World& world, const TlsBlock& block) {
  return world.full_name(block.rule->host, block.rule->metadata.namespace_name());
}

bool entry_has_names(const World& world, const TlsBlock& block) {
  const auto hosts =
      world.hosts_called(host_of(world, block), block.rule->metadata.namespace_name());
  return std::any_of(hosts.begin(), hosts.end(), [](const auto* host) {
    return host->entry.value && !host->entry->subject_alt_names.empty();
  });
}

void check_ca(Checks& checks, const TlsBlock& block) {
  const auto& tls = *block.tls;
  // As Istio has it: a credentialName counts where sidecars honour it, a subset's tls does not.
  const bool honoured = !tls.credential_name.empty() && block.rule->workload_selector;
  if (!tls.ca_certificates.empty() || honoured || !block.subset.empty()) return;
  const auto& about = block.rule->metadata;
  std::string text =
      "DestinationRule " + about.namespace_name() + "/" + about.name() + " in namespace " +
      about.namespace_name() + " has TLS mode set to " + name_of(tls.mode) +
      " but no caCertificates are set to validate server identity for host: " + block.rule->host;
  if (block.port) text += " at port number:" + std::to_string(block.port);
  std::string cure;
  if (!tls.credential_name.empty())
    cure = "add spec.workloadSelector: without it credentialName is not honoured";
  else if (skips(tls))
    cure = "remove insecureSkipVerify and set caCertificates: nothing is verified now";
  checks.add(block.port ? "IST0129" : "IST0128", *block.rule.object, block.field, std::move(text),
             std::move(cure));
}

// With sni set, Istio checks no name. Under a CA of one's own and with the host's name that is
// how Istio's tasks have it; under the system's CAs any certificate of the internet will do.
void check_names(Checks& checks, const TlsBlock& block) {
  const auto& tls = *block.tls;
  if (tls.sni.empty() || !tls.subject_alt_names.empty() || skips(tls) ||
      entry_has_names(checks.world, block))
    return;
  const bool own_ca = !tls.ca_certificates.empty() || !tls.credential_name.empty();
  if (own_ca && tls.sni == host_of(checks.world, block)) return;
  checks.add("SLP0207", *block.rule.object, block.field + ".sni",
             "sni " + tls.sni +
                 " is sent but not checked: without subjectAltNames any certificate "
                 "of " +
                 std::string(own_ca ? "that CA" : "any CA of the system") + " is accepted",
             "set subjectAltNames: [" + tls.sni +
                 "], or remove sni: then the Host is sent and "
                 "checked");
}

// A name that no certificate has so.
std::string wrong_name(std::string_view name) {
  if (name.starts_with("spiffe://")) return {};
  if (name.find("://") != name.npos) return "is a URL";
  if (name.find('*') != name.npos) return "has a wildcard, and names are compared exactly";
  if (name.find('/') != name.npos) return "has a path";
  const auto colon = name.find(':');
  if (colon != name.npos && name.find(':', colon + 1) == name.npos) return "has a port";
  return {};
}

void check_name_forms(Checks& checks, const TlsBlock& block) {
  const auto& names = block.tls->subject_alt_names;
  for (std::size_t i = 0; i < names.size(); i++) {
    const auto wrong = wrong_name(names[i]);
    if (wrong.empty()) continue;
    checks.add("SLP0401", *block.rule.object, item(block.field + ".subjectAltNames", i),
               "subjectAltNames entry \"" + names[i] + "\" " + wrong + ": no certificate of " +
                   block.rule->host + " can match it");
  }
}

// `tls: {}`, or with settings but without a mode.
void check_mode(Checks& checks, const TlsBlock& block) {
  if (find(*block.rule.object->node, block.field + ".mode")) return;
  checks.add("SLP0205", *block.rule.object, block.field,
             "tls without mode is DISABLE: plaintext leaves, auto-mTLS included, whatever else "
             "the block says");
}

// tls of the host level that a port's entry leaves out.
void check_dropped(Checks& checks, const Typed<istio::DestinationRule>& rule, const auto& policy,
                   const std::string& at) {
  if (!policy || !policy->tls || policy->tls->mode == istio::TlsMode::disable) return;
  for (std::size_t i = 0; i < policy->port_level_settings.size(); i++) {
    const auto& entry = policy->port_level_settings[i];
    if (entry.tls) continue;
    checks.add("SLP0206", *rule.object, item(at + ".portLevelSettings", i),
               "the entry for port " + std::to_string(entry.port) +
                   " has no tls: trafficPolicy.tls is not inherited, so that plaintext leaves "
                   "through this port");
  }
}

}  // namespace

void check_tls_settings(Checks& checks) {
  for (const auto& block : tls_blocks(checks.world.all_read<istio::DestinationRule>())) {
    if (is_originating(block.tls)) check_ca(checks, block);
    if (!block.rule.object->resource) continue;
    check_mode(checks, block);
    if (!is_originating(block.tls)) continue;
    check_names(checks, block);
    check_name_forms(checks, block);
    if (skips(*block.tls)) {
      checks.add("SLP0208", *block.rule.object, block.field + ".insecureSkipVerify",
                 "insecureSkipVerify: neither chain nor name of " + block.rule->host +
                     " is verified; whoever answers reads the traffic");
    }
  }
  for (const auto& rule : checks.world.all<istio::DestinationRule>()) {
    check_dropped(checks, rule, rule->traffic_policy, "spec.trafficPolicy");
    for (std::size_t i = 0; i < rule->subsets.size(); i++) {
      check_dropped(checks, rule, rule->subsets[i].traffic_policy,
                    item("spec.subsets", i) + ".trafficPolicy");
    }
  }
}

}  // namespace sallyport::analyze
