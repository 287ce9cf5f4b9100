// Builds the Vault: the secrets that clusters name, from Secret and ConfigMap manifests and from
// PEM files.
//
// A version that did not change keeps its parsed objects (their ids are in pool keys), a broken or
// vanished one leaves the good old one in force with `problem` set, and one never there stays
// without material: its cluster refuses, closed.
#pragma once
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agent/config/secret_keys.h"
#include "agent/config/store.h"
#include "certs/vault.h"

namespace sallyport::config {

// A name that clusters ask for, and the resource that made the first one ask.
struct WantedSecret {
  std::string name;
  std::string wanted_by;  // ResourceRef::text()
};

class Secrets {
public:
  // Secrets are looked up in this namespace only (istio-api.md 2.2: they never follow exportTo).
  explicit Secrets(std::string namespace_name) : namespace_name_(std::move(namespace_name)) {}

  // The vault for `wanted`; the same pointer as last time when nothing changed. Reads PEM files.
  // `refusals`: what was found wrong with the resources, so that a Secret that was refused is not
  // called missing.
  std::shared_ptr<const certs::Vault> build(std::span<const WantedSecret> wanted,
                                            std::span<const ResourcePtr> resources,
                                            std::span<const istio::Finding> refusals = {});
  // Whether the last build found it.
  bool holds(const std::string& name) const {
    const auto at = entries_.find(name);
    return at != entries_.end() && at->second.value.active();
  }
  // One finding for each wanted secret with a problem, of the last build.
  const std::vector<istio::Finding>& findings() const { return findings_; }
  // What the last build, unless it was the first, took into use: a line each.
  const std::vector<std::string>& news() const { return news_; }
  // The PEM files that the last build read, to be watched.
  const std::vector<std::string>& files() const { return files_; }

private:
  struct Material;  // what a name leads to now
  struct Entry {
    std::string digest;  // of the PEM texts that `value` was parsed from
    certs::VaultEntry value;
  };

  struct Sources;  // resources and refusals, by name

  Material material_of(const std::string& name, const Sources& sources);
  Material secret_material(std::string_view name, bool roots, const Sources& sources) const;
  Result<void> parse(Entry& entry, const Material& material);
  void take(Entry& entry, const WantedSecret& wanted, const Material& material);

  std::string namespace_name_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::map<std::string, std::weak_ptr<const certs::TrustStore>>
      trust_;  // by digest: parsed once a process
  std::shared_ptr<const certs::Vault> vault_ = std::make_shared<certs::Vault>();
  void tell(const std::string& name, const certs::VaultEntry& value);

  std::vector<istio::Finding> findings_;
  std::vector<std::string> news_;
  bool built_ = false;
  std::vector<std::string> files_;
};

}  // namespace sallyport::config
