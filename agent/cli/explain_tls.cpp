#include "agent/cli/explain_tls.h"

#include <algorithm>

#include "agent/mesh/host_names.h"
#include "agent/upstream/identity.h"
#include "certs/describe.h"

namespace sallyport::cli {
namespace {

// Where a vault name's material comes from: the Secret's place, or the files themselves.
std::string source_of(const std::string& name, const mesh::CompileInput& input) {
  constexpr std::string_view scheme = "kubernetes://", ca = "-cacert";
  if (certs::is_of_workload(name)) return "the workload's own identity";
  if (!name.starts_with(scheme)) return name == "system" ? "the operating system's bundle" : name;
  const auto wanted = name.substr(scheme.size());
  const auto base = wanted.ends_with(ca) ? wanted.substr(0, wanted.size() - ca.size()) : wanted;
  std::string found;
  for (const auto& resource : input.resources) {
    const auto* secret = std::get_if<istio::Secret>(resource.get());
    if (!secret || secret->metadata.namespace_name() != input.proxy.namespace_name) continue;
    if (secret->metadata.name() == wanted) return secret->metadata.ref->text();
    if (secret->metadata.name() == base) found = secret->metadata.ref->text();
  }
  if (!found.empty()) return found;
  return "Secret " + input.proxy.namespace_name + "/" + base + " (not there)";
}

void check_time(const certs::CertificateInfo& info, int64_t now, mesh::ExplainedStep& step) {
  if (now < info.not_before) {
    step.notes.push_back("not valid before " + certs::date_text(info.not_before));
  }
  if (now > info.not_after) {
    step.notes.push_back("EXPIRED on " + certs::date_text(info.not_after) +
                         ": replace it; servers refuse it");
  }
}

bool has_expired(const certs::CrlInfo& crl, int64_t now) {
  return crl.next_update != 0 && crl.next_update < now;
}

// With a CRL that has run out no certificate of its issuer is believed. Empty: one may still hold.
std::string expired_crls(const std::string& roots, const certs::Vault& vault, int64_t now) {
  const auto* entry = roots.empty() || roots == "system" ? nullptr : vault.find(roots);
  if (!entry || !entry->roots || entry->roots->crls().empty()) return {};
  const auto& crls = entry->roots->crls();
  if (!std::all_of(crls.begin(), crls.end(),
                   [&](const auto& crl) { return has_expired(crl, now); }))
    return {};
  return "the CRL of " + crls.front().issuer + " expired on " +
         certs::date_text(crls.front().next_update) +
         ": no certificate of that CA is believed (503)";
}

std::string told(const certs::CertificateInfo& info) {
  return info.subject + ", issued by " + info.issuer + ", valid until " +
         certs::date_text(info.not_after);
}

mesh::ExplainedStep step_for(const char* what, const std::string& name,
                             const mesh::CompileInput& input, const certs::Vault& vault,
                             int64_t now) {
  mesh::ExplainedStep step{what, name, source_of(name, input), {}};
  if (name == "system" || certs::is_of_workload(name)) return step;
  const auto* entry = vault.find(name);
  if (entry && entry->pair) {
    step.text += ": " + told(entry->pair->info()) + "; the key belongs to it";
    check_time(entry->pair->info(), now, step);
  } else if (entry && entry->roots) {
    const auto& all = entry->roots->certificates();
    step.text += ": " + std::to_string(all.size()) +
                 (all.size() == 1 ? " CA certificate" : " CA certificates");
    if (!all.empty()) step.text += ", " + told(all.front());
    for (const auto& one : all) check_time(one, now, step);
    for (const auto& crl : entry->roots->crls()) {
      if (has_expired(crl, now)) {
        step.notes.push_back("CRL of " + crl.issuer + " EXPIRED on " +
                             certs::date_text(crl.next_update) + ": replace it");
      }
    }
  } else {
    step.text +=
        ": NOT THERE: " +
        (entry && !entry->problem.empty() ? entry->problem : std::string("no such secret"));
  }
  return step;
}

// Why a server can't use it; empty: it can.
std::string why_unusable(const std::string& name, const certs::Vault& vault) {
  if (certs::is_of_workload(name)) return {};
  const auto* entry = vault.find(name);
  if (entry && entry->active()) return {};
  return name + ": " +
         (entry && !entry->problem.empty() ? entry->problem : std::string("no such secret"));
}

}  // namespace

void explain_termination(mesh::GatewayExplanation& explained, const mesh::CompileInput& input,
                         const certs::Vault& vault, int64_t now) {
  auto& plan = explained.plan;
  if (!explained.chain || !explained.chain->tls) return;
  const auto& tls = *explained.chain->tls;
  const auto at = std::find_if(plan.steps.begin(), plan.steps.end(),
                               [](const auto& step) { return step.name == "server TLS"; });
  if (at == plan.steps.end()) return;
  std::vector<mesh::ExplainedStep> steps;
  std::string wrong;
  const auto look_at = [&](const char* what, const std::string& name) {
    if (name.empty()) return;
    steps.push_back(step_for(what, name, input, vault, now));
    if (wrong.empty()) wrong = why_unusable(name, vault);
  };
  for (const auto& name : tls.certificates) look_at("certificate", name);
  if (tls.mode != istio::ServerTlsMode::istio_mutual) look_at("client CA", tls.roots);
  plan.steps.insert(at + 1, steps.begin(), steps.end());
  if (wrong.empty()) wrong = expired_crls(tls.roots, vault, now);
  if (!wrong.empty() && plan.refused.empty())
    plan.refused = "the handshake with the client fails: " + wrong;
}

void explain_secrets(mesh::ExplainedTarget& target, const mesh::CompileInput& input,
                     const certs::Vault& vault, int64_t now) {
  if (!target.cluster || target.cluster->refused) return;
  const auto& tls = target.cluster->tls;
  // The step TLS says all of it: its certificate and roots come from the CA at run time.
  if (tls.mode == mesh::Originate::none || tls.mode == mesh::Originate::istio_mutual) return;
  std::vector<mesh::ExplainedStep> steps;
  if (!tls.certificate.empty()) {
    steps.push_back(step_for("certificate", tls.certificate, input, vault, now));
  }
  if (!tls.roots.empty()) steps.push_back(step_for("CA", tls.roots, input, vault, now));
  const auto at = std::find_if(target.steps.begin(), target.steps.end(),
                               [](const auto& step) { return step.name == "TLS"; });
  target.steps.insert(at == target.steps.end() ? at : at + 1, steps.begin(), steps.end());
  if (target.refused.empty()) target.refused = expired_crls(tls.roots, vault, now);
  if (certs::is_of_workload(tls.certificate) || certs::is_of_workload(tls.roots)) return;
  mesh::HostRoom room;
  const auto host = mesh::host_key(target.authority, room);
  const auto identity = upstream::make_identity(*target.cluster, host, vault);
  if (identity || !target.refused.empty()) return;
  target.refused = identity.error().context;
  const auto& because = identity.error().resource;
  if (!because.empty() && target.refused.find(because) == target.refused.npos) {
    target.refused += "; " + because;
  }
}

}  // namespace sallyport::cli
