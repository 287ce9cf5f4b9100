#include "agent/config/secrets.h"

#include <unordered_map>

#include "agent/config/file.h"
#include "certs/describe.h"

namespace sallyport::config {

struct Secrets::Material {
  Result<Pem> pem = Error{};
  bool is_roots = false;
  istio::Finding place;                     // where it comes from: file and line, kind and name
  const istio::Finding* refusal = nullptr;  // of a newer version than `pem`; null: there is none
};

namespace {

constexpr std::string_view secret_prefix = "kubernetes://", map_prefix = "configmap://",
                           cert_prefix = "file-cert:", root_prefix = "file-root:",
                           ca_suffix = "-cacert";

// The system's CAs are loaded when used, and the workload's own identity is Service's to add.
bool is_elsewhere(std::string_view name) { return name == "system" || certs::is_of_workload(name); }

istio::Finding place_of(const ResourceRef& ref) {
  return {istio::Severity::error, ref.file, ref.line, ref.kind,
          ref.namespace_name,     ref.name, "",       ""};
}

bool same(const certs::Vault& a, const certs::Vault& b) {
  return std::equal(a.entries.begin(), a.entries.end(), b.entries.begin(), b.entries.end(),
                    [](const auto& left, const auto& right) {
                      return left.first == right.first && left.second.pair == right.second.pair &&
                             left.second.roots == right.second.roots &&
                             left.second.problem == right.second.problem;
                    });
}

std::string key_of(std::string_view kind, std::string_view namespace_name, std::string_view name) {
  return std::string(kind) + '/' + std::string(namespace_name) + '/' + std::string(name);
}

}  // namespace

struct Secrets::Sources {
  Sources(std::span<const ResourcePtr> given, std::span<const istio::Finding> findings);
  template <class T>
  const T* find(std::string_view kind, std::string_view namespace_name,
                std::string_view name) const {
    const auto at = resources.find(key_of(kind, namespace_name, name));
    return at == resources.end() ? nullptr : std::get_if<T>(at->second);
  }
  const istio::Finding* refusal(std::string_view kind, std::string_view namespace_name,
                                std::string_view name) const {
    const auto at = refusals.find(key_of(kind, namespace_name, name));
    return at == refusals.end() ? nullptr : at->second;
  }

  std::unordered_map<std::string, const istio::Resource*> resources;
  std::unordered_map<std::string, const istio::Finding*> refusals;
};

Secrets::Sources::Sources(std::span<const ResourcePtr> given,
                          std::span<const istio::Finding> findings) {
  for (const ResourcePtr& resource : given) {
    const auto& about = istio::metadata_of(*resource);
    if (std::holds_alternative<istio::Secret>(*resource)) {
      resources.try_emplace(key_of("Secret", about.namespace_name(), about.name()), resource.get());
    } else if (std::holds_alternative<istio::ConfigMap>(*resource)) {
      resources.try_emplace(key_of("ConfigMap", about.namespace_name(), about.name()),
                            resource.get());
    }
  }
  for (const istio::Finding& one : findings) {
    const bool tells = one.kind == "Secret" || one.kind == "ConfigMap";
    if (tells && one.severity == istio::Severity::error)
      refusals.try_emplace(key_of(one.kind, one.namespace_name, one.name), &one);
  }
}

// `kubernetes://NAME-cacert` is the CA of the Secret NAME-cacert, or of NAME where there is no such
// twin.
Secrets::Material Secrets::secret_material(std::string_view name, bool roots,
                                           const Sources& sources) const {
  Material material;
  material.is_roots = roots;
  const auto refused = [&](std::string_view which) {
    return sources.refusal("Secret", namespace_name_, which);
  };
  const auto* secret = sources.find<istio::Secret>("Secret", namespace_name_, name);
  const istio::Finding* refusal = refused(name);
  std::string tried(name);
  if (!secret && !refusal && roots) {
    const std::string_view base = name.substr(0, name.size() - ca_suffix.size());
    secret = sources.find<istio::Secret>("Secret", namespace_name_, base);
    refusal = refused(base);
    tried = std::string(base) + " (or " + tried + ')';
  }
  if (secret) {
    material.place = place_of(*secret->metadata.ref);
    material.pem = roots ? roots_in(secret->data) : certificate_in(secret->data);
    material.refusal = refusal;
  } else if (refusal) {
    material.place = *refusal;
    material.pem = missing_secret(refusal->reason);
  } else {
    material.place = {istio::Severity::error, "", 0, "Secret", namespace_name_, tried, "", ""};
    material.pem = missing_secret("missing");
  }
  return material;
}

Secrets::Material Secrets::material_of(const std::string& name, const Sources& sources) {
  if (name.starts_with(secret_prefix)) {
    const std::string_view secret = std::string_view(name).substr(secret_prefix.size());
    return secret_material(secret, secret.ends_with(ca_suffix), sources);
  }
  Material material;
  material.is_roots = !name.starts_with(cert_prefix);
  if (name.starts_with(map_prefix)) {
    const std::string path = name.substr(map_prefix.size());
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string namespace_name = path.substr(0, slash);
    const std::string map_name = slash < path.size() ? path.substr(slash + 1) : "";
    material.place = {istio::Severity::error, "", 0, "ConfigMap", namespace_name, map_name, "", ""};
    const auto* map = sources.find<istio::ConfigMap>("ConfigMap", namespace_name, map_name);
    const auto* refusal = sources.refusal("ConfigMap", namespace_name, map_name);
    if (map) material.place = place_of(*map->metadata.ref);
    if (!map && refusal) material.place = *refusal;
    material.pem = map ? roots_in(map->data)
                       : Result<Pem>(missing_secret(refusal ? refusal->reason : "missing"));
    material.refusal = map ? refusal : nullptr;
  } else if (name.starts_with(cert_prefix) || name.starts_with(root_prefix)) {
    const std::vector<std::string> paths = paths_in(name);
    files_.insert(files_.end(), paths.begin(), paths.end());
    material.place.file = paths[0];
    material.pem = read_pem(paths);
  } else {
    material.pem = missing_secret("secrets of this form are not supported: " + name);
  }
  return material;
}

Result<void> Secrets::parse(Entry& entry, const Material& material) {
  const Pem& pem = *material.pem;
  const std::string sum = digest(pem.first + '\0' + pem.second);
  if (entry.value.active() && entry.digest == sum) return {};
  if (!material.is_roots) {
    auto pair = certs::KeyPair::parse(pem.first, pem.second);
    if (!pair) return pair.error();
    entry.value.pair = std::move(*pair);
  } else if (auto shared = trust_[sum].lock()) {
    entry.value.roots = std::move(shared);
  } else {
    auto roots = certs::TrustStore::parse(pem.first, pem.second);
    if (!roots) return roots.error();
    trust_[sum] = *roots;
    entry.value.roots = std::move(*roots);
  }
  entry.digest = sum;
  return {};
}

// So that whoever waits for a Secret sees it come (Istio's agent says that it pushed it).
void Secrets::tell(const std::string& name, const certs::VaultEntry& value) {
  if (!built_) return;
  std::string line = name;
  if (value.pair) {
    const auto& leaf = value.pair->info();
    line += ": key/cert pair went live: subject \"" + leaf.subject + "\", serial " + leaf.serial +
            ", valid until " + certs::time_text(leaf.not_after);
  } else {
    const auto count = value.roots->certificates().size();
    line += ": CA certificates went live: " + std::to_string(count);
  }
  news_.push_back(std::move(line));
}

void Secrets::take(Entry& entry, const WantedSecret& wanted, const Material& material) {
  const std::string before = entry.digest;
  Result<void> outcome = material.pem ? parse(entry, material) : Result<void>(material.pem.error());
  if (outcome) {
    if (entry.digest != before) tell(wanted.name, entry.value);
    entry.value.problem = material.refusal ? material.refusal->text() : "";
    return;
  }
  istio::Finding finding = material.place;
  finding.reason = outcome.error().context;
  if (entry.value.active()) finding.reason += "; the last good version stays in use";
  if (!wanted.wanted_by.empty()) finding.reason += "; needed by " + wanted.wanted_by;
  entry.value.problem = finding.text();
  findings_.push_back(std::move(finding));
}

std::shared_ptr<const certs::Vault> Secrets::build(std::span<const WantedSecret> wanted,
                                                   std::span<const ResourcePtr> resources,
                                                   std::span<const istio::Finding> refusals) {
  findings_.clear();
  news_.clear();
  files_.clear();
  std::map<std::string, Entry, std::less<>> entries;
  auto vault = std::make_shared<certs::Vault>();
  const Sources sources(resources, refusals);
  for (const WantedSecret& secret : wanted) {
    if (is_elsewhere(secret.name) || entries.contains(secret.name)) continue;
    const auto before = entries_.find(secret.name);
    Entry entry = before != entries_.end() ? before->second : Entry{};
    take(entry, secret, material_of(secret.name, sources));
    vault->entries.emplace(secret.name, entry.value);
    entries.emplace(secret.name, std::move(entry));
  }
  entries_ = std::move(entries);
  built_ = true;
  std::erase_if(trust_, [](const auto& known) { return known.second.expired(); });
  if (!same(*vault, *vault_)) vault_ = std::move(vault);
  return vault_;
}

}  // namespace sallyport::config
