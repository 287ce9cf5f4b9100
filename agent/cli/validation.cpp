#include "agent/cli/validation.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>

#include "agent/cli/input.h"
#include "agent/cli/mesh_config.h"
#include "agent/config/secrets.h"
#include "agent/config/store.h"
#include "agent/istio/labels.h"
#include "agent/mesh/compile.h"
#include "agent/mesh/proxy_views.h"

namespace sallyport::cli {
namespace {

using Resources = std::vector<config::ResourcePtr>;

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::vector<mesh::PodLabels> pods_of(const Resources& resources) {
  std::vector<mesh::PodLabels> out;
  for (const auto& resource : resources) {
    const auto* pod = std::get_if<istio::Pod>(resource.get());
    if (!pod) continue;
    out.push_back({pod->metadata.namespace_name(), pod->metadata.name(), pod->metadata.labels});
  }
  return out;
}

bool serves_gateways(const Resources& resources, const istio::Proxy& proxy) {
  return std::any_of(resources.begin(), resources.end(), [&](const auto& resource) {
    const auto* gateway = std::get_if<istio::Gateway>(resource.get());
    return gateway && !gateway->selector.empty() && istio::selects(gateway->selector, proxy.labels);
  });
}

// Of the secrets that rules name, those that are given.
std::vector<config::WantedSecret> given_secrets(const std::vector<std::string>& wanted,
                                                const Resources& resources,
                                                const std::string& namespace_name) {
  constexpr std::string_view scheme = "kubernetes://", ca = "-cacert";
  std::set<std::string> names;
  for (const auto& resource : resources) {
    const auto* secret = std::get_if<istio::Secret>(resource.get());
    if (secret && secret->metadata.namespace_name() == namespace_name) {
      names.insert(secret->metadata.name());
    }
  }
  std::vector<config::WantedSecret> out;
  for (const auto& one : wanted) {
    if (!one.starts_with(scheme)) continue;
    const auto name = one.substr(scheme.size());
    const auto base = name.ends_with(ca) ? name.substr(0, name.size() - ca.size()) : name;
    if (names.contains(name) || names.contains(base)) out.push_back({one, ""});
  }
  return out;
}

// What is the proxy's to say: others say the same of the rest.
bool is_its_own(const istio::Finding& finding, const istio::Proxy& proxy) {
  if (proxy.type == istio::Proxy::Type::router)
    return finding.kind == "Gateway" || finding.kind == "VirtualService";
  return finding.namespace_name == proxy.namespace_name;
}

class Validator {
public:
  Validator(const config::SourceTree& tree, const istio::MeshConfig& mesh);
  void look_as(const istio::Proxy& proxy, bool at_all);
  const Resources& resources() const { return in_force_.resources; }
  Validation take();

private:
  void add(const istio::Finding& finding);

  const config::SourceTree& tree_;
  const istio::MeshConfig& mesh_;
  config::Store store_;
  config::InForce in_force_;
  std::set<std::string> told_;
  std::vector<istio::Finding> findings_;
};

Validator::Validator(const config::SourceTree& tree, const istio::MeshConfig& mesh)
    : tree_(tree), mesh_(mesh), in_force_(store_.update(tree)) {
  for (const auto& finding : in_force_.findings) add(finding);
  for (const auto& resource : resources()) {
    const auto* telemetry = std::get_if<istio::Telemetry>(resource.get());
    if (!telemetry) continue;
    for (const auto& finding : log_filter_findings(*telemetry)) add(finding);
    for (const auto& finding : metric_tag_findings(*telemetry)) add(finding);
  }
}

void Validator::add(const istio::Finding& finding) {
  if (told_.insert(finding.text()).second) findings_.push_back(finding);
}

void Validator::look_as(const istio::Proxy& proxy, bool at_all) {
  const auto compiled =
      mesh::compile({mesh_, proxy, in_force_.resources, in_force_.refused}, nullptr, 1);
  for (const auto& finding : compiled.findings) {
    const bool of_mesh = finding.kind == "MeshConfig";
    if (at_all || of_mesh || is_its_own(finding, proxy)) add(finding);
  }
  config::Secrets secrets(proxy.namespace_name);
  secrets.build(given_secrets(compiled.secret_names, resources(), proxy.namespace_name),
                resources());
  for (const auto& finding : secrets.findings()) add(finding);
}

Validation Validator::take() {
  std::map<std::string, std::size_t> place;
  for (const auto& file : tree_.files) place.emplace(file.path, place.size());
  const auto key = [&place](const istio::Finding& finding) {
    const auto at = place.find(finding.file);
    return std::pair(at == place.end() ? place.size() : at->second, finding.line);
  };
  std::stable_sort(findings_.begin(), findings_.end(),
                   [&](const auto& a, const auto& b) { return key(a) < key(b); });
  Validation out;
  out.files = tree_.files.size();
  out.resources = in_force_.resources.size() + in_force_.refused.size();
  out.findings = std::move(findings_);
  out.errors = static_cast<std::size_t>(std::count_if(
      out.findings.begin(), out.findings.end(),
      [](const auto& finding) { return finding.severity == istio::Severity::error; }));
  return out;
}

Result<void> add_directory(const std::string& path, config::SourceTree& tree) {
  auto read = config::read_tree(path);
  if (!read) return read.error();
  const auto append = [](auto& to, auto& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  append(tree.files, read->files);
  append(tree.unreadable, read->unreadable);
  return {};
}

}  // namespace

Result<config::SourceTree> read_sources(const std::vector<std::string>& paths) {
  config::SourceTree tree;
  for (const auto& path : paths) {
    if (path != "-" && is_directory(path)) {
      if (const auto added = add_directory(path, tree); !added) return added.error();
      continue;
    }
    auto text = read_input(path);
    if (!text) return text.error();
    tree.files.push_back({path == "-" ? "<stdin>" : path, std::move(*text), ""});
  }
  return tree;
}

Validation validate(const config::SourceTree& tree, const istio::MeshConfig& mesh,
                    const std::optional<istio::Proxy>& proxy) {
  Validator validator(tree, mesh);
  if (proxy) {
    auto one = *proxy;
    if (serves_gateways(validator.resources(), one)) one.type = istio::Proxy::Type::router;
    validator.look_as(one, true);
  } else {
    const auto& resources = validator.resources();
    for (const auto& one : mesh::sidecar_views(resources)) validator.look_as(one, false);
    for (const auto& one : mesh::router_views(resources, pods_of(resources)))
      validator.look_as(one, false);
  }
  return validator.take();
}

}  // namespace sallyport::cli
