// From sources to published snapshots: reads the directory, decodes, keeps last good versions,
// loads secrets, compiles, publishes; follows changes by inotify (and on SIGHUP through reload()).
//
// Threading: start() loads once on the caller's thread; afterwards all work is on the configuration
// thread's io_context, given by the caller.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/published.h"
#include "agent/istio/decode.h"
#include "agent/mesh/snapshot.h"
#include "certs/vault.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::config {

struct Options {
  std::string directory;         // --config: *.yaml, *.yml, *.json in it and below; hidden ones and
                                 // `..data` links as Kubernetes mounts them
  std::string mesh_config_file;  // --mesh-config; empty: defaults
  istio::Proxy proxy;
  std::string cluster_domain = "cluster.local";
  std::optional<uint16_t> outbound_port, inbound_port;  // in the place of the mesh config's
  // What is wrong with a mesh configuration in the eyes of others than its decoder (the access
  // log's format); such a one is refused as a whole. May be empty. Configuration thread.
  std::function<std::optional<istio::Finding>(const istio::MeshConfig&)> check_mesh = {};
  // Gets a line of what is new in force, or good again. May be empty. Configuration thread.
  std::function<void(const std::string&)> info = {};
  // Seconds since 1970, for the warnings of certificates that expire; empty: the system's clock.
  std::function<int64_t()> now = {};
};

class Service {
public:
  Service(boost::asio::io_context& io, Options options,
          std::function<void(const std::string&)> log);
  ~Service();
  Service(const Service&) = delete;

  // The first load and publication, then watching. Errors: the directory or mesh config can't be
  // read at all. Bad documents are no error: they are logged, left out, and listed by findings().
  Result<void> start();
  void reload();  // configuration thread
  // The workload's own identity, as the vault's entries "default" and "ROOTCA" from now on; the
  // vault has neither before the first call. Configuration thread, or before start().
  void set_identity(certs::VaultEntry pair, certs::VaultEntry roots);
  // Once the process has started: gives the memory back that this took (memory.h). From then on
  // that of each load and each new identity is given back by itself, a moment later. Configuration
  // thread, or before it runs.
  void settle();
  // Calls with each snapshot published from now on, on the configuration thread.
  void on_publish(std::function<void(const mesh::Snapshot&)> call);

  const Published<mesh::Snapshot>& snapshots() const;
  const Published<certs::Vault>& vault() const;
  std::vector<istio::Finding> findings() const;  // any thread: of the newest load
  // Any thread, for metrics: loads done, and documents and files refused (each once, until it is
  // good again).
  uint64_t loads() const, rejected() const;

private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::config
