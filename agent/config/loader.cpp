#include "agent/config/loader.h"

#include "agent/config/file.h"
#include "agent/core/limits.h"

namespace sallyport::config {
namespace {

istio::Finding about(std::string file, std::string reason) {
  return {istio::Severity::error, std::move(file), 0, "", "", "", "", std::move(reason)};
}

// The first cluster, by name, that asks for each secret.
std::map<std::string_view, const mesh::Cluster*> askers(const mesh::Snapshot& snapshot) {
  std::map<std::string_view, const mesh::Cluster*> out;
  const auto asks = [&out](const mesh::Cluster& cluster, std::string_view secret) {
    const auto at = out.try_emplace(secret, &cluster).first;
    if (cluster.name < at->second->name) at->second = &cluster;
  };
  for (const auto& [name, cluster] : snapshot.clusters) {
    if (!cluster->tls.rule) continue;
    asks(*cluster, cluster->tls.certificate);
    asks(*cluster, cluster->tls.roots);
  }
  return out;
}

bool same_refused(const std::vector<istio::Refused>& a, const std::vector<istio::Refused>& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](const auto& left, const auto& right) {
        return left.hosts == right.hosts && left.finding.text() == right.finding.text();
      });
}

}  // namespace

Loader::Loader(Options options)
    : options_(std::move(options)), secrets_(options_.proxy.namespace_name) {}

Result<void> Loader::read_mesh(std::vector<istio::Finding>& findings) {
  istio::MeshConfigResult read;
  std::string sum;
  if (!options_.mesh_config_file.empty()) {
    const auto text = read_file(options_.mesh_config_file, limits::config_file_bytes);
    if (!text && !mesh_)
      return while_doing("mesh config " + options_.mesh_config_file, text.error());
    if (!text) {
      findings.push_back(
          about(options_.mesh_config_file,
                text.error().context + "; the last good mesh config stays in force"));
      return {};
    }
    read = istio::decode_mesh_config(*text, options_.mesh_config_file);
    sum = digest(*text);
  }
  const auto find_bad = [&read] {
    return std::find_if(read.findings.begin(), read.findings.end(), [](const auto& finding) {
      return finding.severity == istio::Severity::error;
    });
  };
  auto bad = find_bad();
  if (bad == read.findings.end() && options_.check_mesh) {
    if (auto wrong = options_.check_mesh(read.config)) {
      wrong->file = options_.mesh_config_file;
      read.findings.push_back(std::move(*wrong));
    }
    bad = find_bad();
  }
  const bool is_bad = bad != read.findings.end();
  // A mistyped REGISTRY_ONLY must not become ALLOW_ANY: without a good one there is no start.
  if (is_bad && !mesh_) return Error{.fault = Fault::internal, .context = bad->text()};
  if (is_bad) bad->reason += "; the last good mesh config stays in force";
  findings.insert(findings.end(), read.findings.begin(), read.findings.end());
  if (is_bad || (mesh_ && sum == mesh_digest_)) return {};
  mesh_ = std::move(read.config);
  mesh_->cluster_domain = options_.cluster_domain;
  mesh_digest_ = std::move(sum);
  input_.reset();
  return {};
}

Result<void> Loader::read_resources(std::vector<istio::Finding>& findings) {
  auto tree = read_tree(options_.directory, [this](const auto& path, const FileStamp& stamp) {
    return store_.holds(path, stamp);
  });
  if (!tree && !in_force_) return tree.error();
  if (tree) {
    in_force_ = store_.update(*tree);
    seen_.directories = std::move(tree->directories);
    seen_.links = std::move(tree->links);
  } else {
    findings.push_back(
        about("", tree.error().context + "; the last good configuration stays in force"));
  }
  findings.insert(findings.end(), in_force_->findings.begin(), in_force_->findings.end());
  return {};
}

bool Loader::is_compiled() const {
  return input_ && input_->resources == in_force_->resources &&
         same_refused(input_->refused, in_force_->refused);
}

void Loader::compile() {
  if (is_compiled()) return;
  wanted_before_ = std::move(compiled_.secret_names);
  const bool same_mesh = input_.has_value();  // read_mesh() resets it
  input_ = mesh::CompileInput{*mesh_, options_.proxy, in_force_->resources, in_force_->refused,
                              same_mesh};
  compiled_ = mesh::compile(*input_, compiled_.snapshot, ++version_);
}

// Secrets that only the previous snapshot names stay for this one load: workers may still be on
// that snapshot.
std::shared_ptr<const certs::Vault> Loader::build_vault() {
  std::vector<WantedSecret> wanted;
  const auto first_asker = askers(*compiled_.snapshot);
  for (const std::string& name : compiled_.secret_names) {
    const auto at = first_asker.find(name);
    wanted.push_back({name, at == first_asker.end() ? "" : at->second->tls.rule->text()});
  }
  for (const std::string& name : wanted_before_) wanted.push_back({name, ""});
  return secrets_.build(wanted, in_force_->resources, in_force_->findings);
}

Result<Load> Loader::load() {
  Load load;
  if (const auto read = read_mesh(load.findings); !read) return read.error();
  if (const auto read = read_resources(load.findings); !read) return read.error();
  compile();
  load.vault = build_vault();
  load.snapshot = compiled_.snapshot;
  load.refusals = in_force_->refusals;
  const auto append = [&](const std::vector<istio::Finding>& more) {
    load.findings.insert(load.findings.end(), more.begin(), more.end());
  };
  append(compiled_.findings);
  append(secrets_.findings());
  return load;
}

WatchPoints Loader::watch_points() const {
  WatchPoints points;
  add_path(options_.directory, points);
  for (const std::string& directory : seen_.directories) add_directory(directory, points);
  for (const std::string& link : seen_.links) add_path(link, points);
  if (!options_.mesh_config_file.empty()) add_path(options_.mesh_config_file, points);
  for (const std::string& file : secrets_.files()) add_path(file, points);
  return points;
}

}  // namespace sallyport::config
