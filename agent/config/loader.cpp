#include "agent/config/loader.h"

#include <algorithm>
#include <set>
#include <utility>

#include "agent/config/file.h"
#include "agent/config/server_parameters.h"
#include "agent/core/limits.h"
#include "agent/mesh/compile_gateway.h"
#include "agent/mesh/compile_termination.h"

namespace sallyport::config {
namespace {

istio::Finding about(std::string file, std::string reason) {
  return {istio::Severity::error, std::move(file), 0, "", "", "", "", std::move(reason)};
}

// The first who asks for each secret, by name: a cluster, or a server of a Gateway.
class Askers {
public:
  explicit Askers(const mesh::Snapshot& snapshot) {
    for (const auto& [name, cluster] : snapshot.clusters) {
      const auto& tls = cluster->tls;
      if (!tls.rule) continue;
      // What the operating system has is no secret of anybody's.
      if (tls.certificate.empty() && tls.roots == "system") continue;
      add(tls.certificate, cluster->name, tls.rule, 0);
      add(tls.roots, cluster->name, tls.rule, 0);
    }
    mesh::each_chain(snapshot.gateway, [this](const mesh::GatewayChainPtr& chain) {
      if (!chain->tls) return;
      for (const auto& name : mesh::secret_names(*chain->tls))
        add(name, chain->name, chain->from, chain->line);
    });
  }
  std::string text(std::string_view secret) const {
    const auto at = first_.find(secret);
    return at == first_.end() ? "" : text_at(at->second.ref, at->second.line);
  }

private:
  struct Asker {
    std::string_view name;
    ResourceRefPtr ref;
    int line = 0;
  };
  void add(const std::string& secret, std::string_view name, const ResourceRefPtr& ref, int line) {
    const auto [at, first] = first_.try_emplace(secret, Asker{name, ref, line});
    if (!first && name < at->second.name) at->second = {name, ref, line};
  }
  std::map<std::string, Asker, std::less<>> first_;
};

bool same_refused(const std::vector<istio::Refused>& a, const std::vector<istio::Refused>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& left, const auto& right) {
                      return left.hosts == right.hosts && left.selector == right.selector &&
                             left.finding.text() == right.finding.text();
                    });
}

// "12 resources, 1 new or changed: DestinationRule default/x (rules.yaml:3); 2 gone"
std::string news_of(std::size_t resources, const mesh::Changes& changes) {
  constexpr std::size_t named_most = 5;
  std::string out = std::to_string(resources) + (resources == 1 ? " resource, " : " resources, ") +
                    std::to_string(changes.refs.size()) + " new or changed";
  if (changes.refs.size() <= named_most) {
    std::set<std::string> names;
    for (const auto* ref : changes.refs) names.insert(ref->text());
    const char* before = ": ";
    for (const auto& name : names) out += std::exchange(before, ", ") + name;
  }
  return changes.gone ? out + "; " + std::to_string(changes.gone) + " gone" : out;
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
  // Compared as a pointer by clusters: a change of another field leaves their connections alone.
  if (mesh_ && mesh::same_content(mesh_->tls_defaults, read.config.tls_defaults))
    read.config.tls_defaults = mesh_->tls_defaults;
  mesh_ = std::move(read.config);
  mesh_->cluster_domain = options_.cluster_domain;
  if (options_.outbound_port) mesh_->proxy_listen_port = *options_.outbound_port;
  if (options_.inbound_port) mesh_->proxy_inbound_listen_port = *options_.inbound_port;
  mesh_digest_ = std::move(sum);
  mesh_changed_ = true;
  return {};
}

// Only files whose text changed, of which nothing else is known to differ: none of the others is
// looked at. Nothing: the whole directory has to be. So it is with links, whose targets have events
// under names that mean nothing here.
std::optional<InForce> Loader::read_edited(const Touched& touched) {
  if (touched.all || walk_due_ || !seen_.links.empty()) return std::nullopt;
  if (touched.paths.size() > limits::config_files_edited) return std::nullopt;
  std::vector<SourceFile> edited;
  for (const std::string& path : touched.paths) {
    const auto& known = seen_.directories;
    if (std::find(known.begin(), known.end(), path) != known.end()) return std::nullopt;
    auto file = read_entry(path);
    if (!file) return std::nullopt;
    if (!file->path.empty()) edited.push_back(std::move(*file));
  }
  return store_.edit(edited);
}

Result<std::optional<InForce>> Loader::read_resources(const Touched& touched,
                                                      std::vector<istio::Finding>& findings) {
  if (auto edited = read_edited(touched)) {
    resource_findings_ = std::move(edited->findings);
    refusals_.clear();
    findings.insert(findings.end(), resource_findings_.begin(), resource_findings_.end());
    return edited;
  }
  auto tree = read_tree(options_.directory, [this](const auto& path, const FileStamp& stamp) {
    return store_.held(path, stamp);
  });
  if (!tree && !compiled_.snapshot) return tree.error();
  walk_due_ = !tree;
  std::optional<InForce> fresh;
  if (tree) {
    fresh = store_.update(*tree);
    resource_findings_ = std::move(fresh->findings);
    refusals_ = std::move(fresh->refusals);
    seen_.directories = std::move(tree->directories);
    seen_.links = std::move(tree->links);
  } else {
    findings.push_back(
        about("", tree.error().context + "; the last good configuration stays in force"));
  }
  findings.insert(findings.end(), resource_findings_.begin(), resource_findings_.end());
  return fresh;
}

std::string Loader::compile(std::optional<InForce> fresh) {
  const bool same_resources = !fresh || (input_.resources == fresh->resources &&
                                         same_refused(input_.refused, fresh->refused));
  if (compiled_.snapshot && same_resources && !mesh_changed_) return {};
  if (!fresh) fresh = InForce{input_.resources, input_.refused, {}, {}};
  auto differ = mesh::changes_between(input_.resources, fresh->resources);
  // A PeerAuthentication that is refused says something of workloads too.
  differ.workloads |= !same_refused(input_.refused, fresh->refused);
  auto news = news_of(fresh->resources.size(), differ);
  if (mesh_changed_ && compiled_.snapshot) news += "; the mesh config changed";
  std::optional<mesh::Changes> changes;
  if (!mesh_changed_) changes = std::move(differ);
  const auto before = std::move(input_);  // until it is compared: refs are told apart by address
  input_ = {*mesh_, options_.proxy, std::move(fresh->resources), std::move(fresh->refused),
            std::move(changes)};
  compiled_ = mesh::compile(input_, compiled_.snapshot, ++version_);
  parameter_findings_ = missing_parameters(*compiled_.snapshot);
  mesh_changed_ = false;
  return "configuration " + std::to_string(version_) + " is in force: " + news;
}

std::shared_ptr<const certs::Vault> Loader::build_vault() {
  if (compiled_.secret_names.empty() && published_secrets_.empty())
    return secrets_.build({}, input_.resources, {});
  std::vector<WantedSecret> wanted;
  const Askers askers(*compiled_.snapshot);
  for (const std::string& name : compiled_.secret_names)
    wanted.push_back({name, askers.text(name)});
  // One that was never there is nobody's loss.
  for (const std::string& name : published_secrets_)
    if (secrets_.holds(name)) wanted.push_back({name, ""});
  return secrets_.build(wanted, input_.resources, resource_findings_);
}

Result<Load> Loader::load(const Touched& touched) {
  Load load;
  if (const auto read = read_mesh(load.findings); !read) return read.error();
  auto fresh = read_resources(touched, load.findings);
  if (!fresh) return fresh.error();
  if (auto news = compile(std::move(*fresh)); !news.empty()) news_ = std::move(news);
  load.news = news_;
  load.vault = build_vault();
  secret_news_.insert(secret_news_.end(), secrets_.news().begin(), secrets_.news().end());
  load.secret_news = secret_news_;
  load.snapshot = compiled_.snapshot;
  load.refusals = refusals_;
  const auto append = [&](const std::vector<istio::Finding>& more) {
    load.findings.insert(load.findings.end(), more.begin(), more.end());
  };
  append(compiled_.findings);
  append(parameter_findings_);
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
