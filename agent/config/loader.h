// One load: sources → store → compile → vault, as a value. Keeps what the next load builds on.
// Configuration thread.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/config/secrets.h"
#include "agent/config/service.h"
#include "agent/config/store.h"
#include "agent/config/touched.h"
#include "agent/config/watch_points.h"
#include "agent/mesh/compile.h"

namespace sallyport::config {

struct Load {
  mesh::SnapshotPtr snapshot;                 // the same pointer as last time when nothing changed
  std::shared_ptr<const certs::Vault> vault;  // likewise
  std::vector<istio::Finding> findings;       // all that hold now
  std::vector<std::string> refusals;          // InForce::refusals
  // One line of what is new in the snapshot, for the log; empty: it is the one that was published.
  std::string news;
  std::vector<std::string> secret_news;  // the same of secrets
};

class Loader {
public:
  explicit Loader(Options options);

  // Error only when nothing good is there to go on with: the directory or the mesh config can't be
  // read, and never could.
  // `touched`: what of the directory may differ since the last load (mesh config and PEM files are
  // always looked at).
  Result<Load> load(const Touched& touched = {});
  // The newest load is what workers get: until the next is, they may ask for its secrets.
  void published() {
    published_secrets_ = compiled_.secret_names;
    news_.clear();
    secret_news_.clear();
  }
  // What decides about the next load: the directory's tree, the mesh config, the PEM files.
  WatchPoints watch_points() const;

private:
  Result<void> read_mesh(std::vector<istio::Finding>& findings);
  // Unset: they can't be read, and the last good ones stay in force.
  Result<std::optional<InForce>> read_resources(const Touched& touched,
                                                std::vector<istio::Finding>& findings);
  std::optional<InForce> read_edited(const Touched& touched);
  // Returns what is new; empty: nothing.
  std::string compile(std::optional<InForce> fresh);
  std::shared_ptr<const certs::Vault> build_vault();

  Options options_;
  std::optional<istio::MeshConfig> mesh_;  // last good; none before the first load
  std::string mesh_digest_;
  Store store_;
  Secrets secrets_;
  SourceTree seen_;  // directories and links of the newest tree, without texts
  std::vector<istio::Finding> resource_findings_;   // of what is in force
  std::vector<std::string> refusals_;               // InForce::refusals
  mesh::CompileInput input_;                        // what `compiled_` was made from
  mesh::Compiled compiled_;                         // without a snapshot before the first load
  bool walk_due_ = true;                            // the newest tree could not be read
  bool mesh_changed_ = false;                       // since the last compile
  std::vector<std::string> published_secrets_;      // that the published snapshot names
  std::string news_;                                // of what was compiled since
  std::vector<std::string> secret_news_;            // likewise
  std::vector<istio::Finding> parameter_findings_;  // of `compiled_`
  uint64_t version_ = 0;
};

}  // namespace sallyport::config
