// PeerAuthentication (istio-api.md 1.7), and what a refused policy was to protect.
#include "agent/istio/kinds.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

constexpr Choice mutual_tls_modes[] = {
    {"UNSET", 0}, {"DISABLE", 1}, {"PERMISSIVE", 2}, {"STRICT", 3}};

MutualTlsMode decode_mode(Fields& mtls, const ResourceRef& ref) {
  MutualTlsMode out;
  out.mode = static_cast<MutualTls>(mtls.choice("mode", mutual_tls_modes).value_or(0));
  ResourceRef at = ref;
  at.line = mtls.line_of("mode");
  out.ref = std::make_shared<const ResourceRef>(std::move(at));
  return out;
}

void decode_ports(PeerAuthentication& policy, const Node& node, Fields& ports) {
  const ResourceRef& ref = *policy.metadata.ref;
  for (const Node::Entry& entry : node.entries) {
    const auto number = integer_value(entry.key);
    if (!number || *number < 1 || *number > 65535) {
      ports.ignore({entry.key});
      ports.error(entry.key, "port must be in range 1..65535");
      continue;
    }
    MutualTlsMode mode;
    ports.object(
        entry.key, [&](Fields& mtls) { mode = decode_mode(mtls, ref); }, Unknown::refuse);
    if (!policy.port_modes.try_emplace(static_cast<uint16_t>(*number), mode).second) {
      ports.error(entry.key, "port " + std::to_string(*number) + " is given twice");
    }
  }
}

void decode_spec(PeerAuthentication& policy, Fields& spec) {
  spec.object(
      "selector",
      [&](Fields& selector) { policy.selector = decode_selector(selector, "matchLabels"); },
      Unknown::refuse);
  spec.object(
      "mtls", [&](Fields& mtls) { policy.mtls = decode_mode(mtls, *policy.metadata.ref); },
      Unknown::refuse);
  const bool has_ports = spec.object(
      "portLevelMtls",
      [&](Fields& ports) { decode_ports(policy, *spec.find("portLevelMtls"), ports); },
      Unknown::refuse);
  if (!has_ports) return;
  if (policy.port_modes.empty()) {
    spec.error("portLevelMtls", "port level mTLS, if defined, must have at least one element");
  }
  if (is_for_all(policy)) {
    spec.error("portLevelMtls", "mesh/namespace peer authentication cannot have port level mTLS");
  }
}

// Neither refuses anybody: a dry run and an AUDIT only note.
bool only_notes(const Node& document, const Node& spec) {
  const Node* const metadata = document.find("metadata");
  const Node* const annotations = metadata ? metadata->find("annotations") : nullptr;
  const Node* const dry_run = annotations ? annotations->find("istio.io/dry-run") : nullptr;
  const Node* const action = spec.find("action");
  return (action && action->text == "AUDIT") || (dry_run && go_boolean(dry_run->text) == true);
}

// Labels that are not well formed are left out: that selects more, never less.
Labels readable_labels(const Node* wanted) {
  Labels out;
  if (!wanted) return out;
  for (const Node::Entry& entry : wanted->entries) {
    const bool fits = entry.value->kind == Node::Kind::text && !entry.key.empty() &&
                      (entry.key + entry.value->text).find('*') == std::string::npos;
    if (fits) out.emplace(entry.key, entry.value->text);
  }
  return out;
}

}  // namespace

// An unknown field refuses the whole spec of a policy: a misspelt `mtls` or `portLevelMtls` would
// else let plaintext in.
PeerAuthentication decode_peer_authentication(Metadata metadata, Fields& document) {
  PeerAuthentication policy;
  policy.metadata = std::move(metadata);
  document.object(
      "spec", [&](Fields& spec) { decode_spec(policy, spec); }, Unknown::refuse);
  document.ignore({"status"});
  return policy;
}

std::optional<Labels> protected_workloads(std::string_view kind, const Node& document) {
  if (kind == "Sidecar") return sidecar_workloads(document);
  const bool known =
      kind == "PeerAuthentication" || kind == "AuthorizationPolicy" || kind == "Gateway";
  if (!known) return std::nullopt;
  const Node* const spec = document.find("spec");
  if (!spec || spec->kind != Node::Kind::mapping) return Labels();
  if (kind == "Gateway") return readable_labels(spec->find("selector"));
  if (kind == "AuthorizationPolicy") {
    if (only_notes(document, *spec)) return std::nullopt;
    const bool of_gateways = spec->find("targetRef") || spec->find("targetRefs") ||
                             spec->find("target_ref") || spec->find("target_refs");
    if (of_gateways && !spec->find("selector")) return std::nullopt;
  }
  const Node* const selector = spec->find("selector");
  const Node* wanted = selector ? selector->find("matchLabels") : nullptr;
  if (selector && !wanted) wanted = selector->find("match_labels");
  return readable_labels(wanted);
}

}  // namespace sallyport::istio
