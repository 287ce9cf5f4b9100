// Keeps the workload's identity in force: gets it from a source, checks it, publishes it, renews it
// in time, and goes on with the last good one while the source fails.
//
// Threading: the configuration thread's io_context. Ownership: it owns the source and its timers;
// destroying it ends all.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "certs/ca/identity_source.h"
#include "certs/ca/rotation.h"
#include "certs/vault.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::ca {

struct IdentitySinks {
  // The vault's entries "default" and "ROOTCA" as they are from now on; also when only `problem`
  // changed: why a newer identity was not taken, or why there is none.
  std::function<void(certs::VaultEntry pair, certs::VaultEntry roots)> publish;
  std::function<void(const std::string&)> info, warn;  // lines for the log; never a key
};

class IdentityManager {
public:
  IdentityManager(boost::asio::io_context& io, std::unique_ptr<IdentitySource> source,
                  RotationPolicy rotation, IdentitySinks sinks);
  ~IdentityManager();
  IdentityManager(const IdentityManager&) = delete;

  // Publishes once at once: files are read within the call, for others there is no identity yet.
  void start();
  // SIGHUP: files are read again; a CA is asked again only while it is failing.
  void reload();
  // Whether there has been an identity: until then the pod is not ready.
  bool ready() const;
  // Why there is no identity, or no newer one; empty: all is well.
  const std::string& problem() const;

private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::ca
