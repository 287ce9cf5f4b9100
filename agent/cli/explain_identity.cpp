#include "agent/cli/explain_identity.h"

#include <algorithm>

#include "agent/config/file.h"
#include "agent/core/limits.h"
#include "certs/ca/identity_check.h"
#include "certs/describe.h"
#include "certs/pem.h"

namespace sallyport::cli {
namespace {

constexpr std::size_t chain_most = 64;

std::string out_of_time(const certs::CertificateInfo& info, int64_t now) {
  if (now < info.not_before)
    return "certificate is not valid before " + certs::time_text(info.not_before);
  if (now >= info.not_after) return "certificate EXPIRED at " + certs::time_text(info.not_after);
  return {};
}

Result<certs::CertificateInfo> leaf_of(const std::string& pem) {
  const auto contents = certs::read_pem(pem, chain_most);
  if (!contents) return contents.error();
  if (contents->certificates.empty()) return certs::missing_secret("it has no certificate");
  return certs::describe(*contents->certificates.front());
}

// Empty: it is in force.
std::string why_not_active(const RunningProxy& running, const char* name, const char* what) {
  const auto* secret = running.secret(name);
  if (!secret) {
    return std::string("the running proxy has no ") + what + " (" + name +
           "): it was given no CA, files or Workload API (503)";
  }
  if (secret->active) return {};
  return std::string("the running proxy has no ") + what + " yet (" + name +
         " is WARMING): " + (secret->problem.empty() ? "it waits for it" : secret->problem) +
         " (503)";
}

void take_running(const RunningProxy& running, int64_t now, OwnIdentity& out) {
  out.known = true;
  out.from = "the running proxy (" + running.admin + ")";
  out.problem = why_not_active(running, certs::identity_name, "workload certificate");
  if (out.problem.empty())
    out.problem = why_not_active(running, certs::mesh_roots_name, "mesh roots");
  if (!out.problem.empty()) return;
  const auto leaf = leaf_of(running.secret(certs::identity_name)->pem);
  if (!leaf) {
    out.problem = "the running proxy's certificate can't be read: " + leaf.error().context;
    return;
  }
  out.leaf = *leaf;
  auto roots = certs::TrustStore::parse(running.secret(certs::mesh_roots_name)->pem);
  if (!roots) {
    out.problem = "the running proxy's mesh roots can't be read: " + roots.error().context;
    return;
  }
  out.roots.roots = std::move(*roots);
  const auto late = out_of_time(out.leaf, now);
  if (late.empty()) return;
  const auto& newer = running.secret(certs::identity_name)->problem;
  out.problem = "the running proxy's " + late + (newer.empty() ? "" : "; " + newer);
}

struct ReadFiles {
  std::shared_ptr<const certs::KeyPair> pair;
  std::shared_ptr<const certs::TrustStore> roots;
};

Result<std::string> read(const std::string& path) {
  auto text = config::read_file(path, limits::pem_bytes);
  if (!text) return Error{.context = path + ": " + text.error().context};
  return text;
}

Result<ReadFiles> read_files(const ca::IdentityFiles& files, const std::string& more_roots,
                             int64_t now) {
  auto chain = read(files.chain), key = read(files.key), roots = read(files.roots);
  for (const auto* one : {&chain, &key, &roots})
    if (!*one) return one->error();
  ca::IdentityMaterial material{std::move(*chain), ca::SecretText(std::move(*key)),
                                std::move(*roots)};
  if (!more_roots.empty()) {
    const auto more = read(more_roots);
    if (!more) return more.error();
    material.roots_pem += "\n" + *more;
  }
  ReadFiles out;
  auto store = certs::TrustStore::parse(material.roots_pem);
  if (!store) return Error{.context = files.roots + ": " + store.error().context};
  out.roots = std::move(*store);
  auto pair = ca::check_identity(material, *out.roots, now);
  if (!pair) return Error{.context = files.chain + ": " + pair.error().context};
  out.pair = std::move(*pair);
  return out;
}

void take_files(const ca::IdentityFiles& files, const std::string& more_roots, int64_t now,
                OwnIdentity& out) {
  auto found = read_files(files, more_roots, now);
  if (out.known && (!found || !out.problem.empty())) return;  // the proxy holds what was good
  out.known = true;
  out.from = files.chain;
  if (!found) {
    out.problem = "the workload's certificate can't be used: " + found.error().context;
    return;
  }
  out.pair.pair = std::move(found->pair);
  out.leaf = out.pair.pair->info();
  if (!out.roots.roots) out.roots.roots = std::move(found->roots);
}

}  // namespace

OwnIdentity own_identity(const ca::IdentitySettings& settings, const RunningProxy* running,
                         int64_t now) {
  OwnIdentity out;
  if (running) take_running(*running, now, out);
  if (const auto* files = std::get_if<ca::IdentityFiles>(&settings.source))
    take_files(*files, settings.more_roots_file, now, out);
  return out;
}

bool needs_identity(const mesh::Cluster& cluster) {
  const auto& tls = cluster.tls;
  if (tls.mode == mesh::Originate::none) return false;
  if (tls.mode != mesh::Originate::istio_mutual)
    return certs::is_of_workload(tls.certificate) || certs::is_of_workload(tls.roots);
  return !tls.automatic || std::any_of(cluster.endpoints.begin(), cluster.endpoints.end(),
                                       [](const mesh::Endpoint& one) { return one.mesh_tls; });
}

void explain_identity(mesh::ExplainedTarget& target, const OwnIdentity& own) {
  if (!own.known || !target.cluster || !needs_identity(*target.cluster)) return;
  mesh::ExplainedStep step{"identity", own.problem, own.from, {}};
  if (own.problem.empty()) {
    std::string names;
    for (const auto& uri : own.leaf.uris) names += (names.empty() ? "" : ", ") + uri;
    step.text = (names.empty() ? own.leaf.subject : names) + ", valid until " +
                certs::time_text(own.leaf.not_after);
  }
  const auto at = std::find_if(target.steps.begin(), target.steps.end(),
                               [](const auto& one) { return one.name == "TLS"; });
  target.steps.insert(at == target.steps.end() ? at : at + 1, std::move(step));
  if (target.refused.empty()) target.refused = own.problem;
}

certs::Vault with_identity(certs::Vault vault, const OwnIdentity& own) {
  vault.entries.insert_or_assign(certs::identity_name, own.pair);
  vault.entries.insert_or_assign(certs::mesh_roots_name, own.roots);
  return vault;
}

}  // namespace sallyport::cli
