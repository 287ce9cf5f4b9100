// The ports that Gateways open: listening sockets of all workers, opened and closed as the
// configuration changes. Connections that are open are not touched.
//
// Threading: the configuration thread's. Ownership: the workers own their sockets.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/core/address.h"
#include "agent/mesh/snapshot.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::proxy {
class Worker;
}

namespace sallyport::cli {

class GatewayListeners {
public:
  struct Log {
    std::function<void(const std::string&)> info, warn;
  };
  // `workers`: complete before the first follow(); they and `proxy` outlive this.
  GatewayListeners(boost::asio::io_context& io,
                   const std::vector<std::unique_ptr<proxy::Worker>>& workers,
                   const istio::Proxy& proxy, Log log);
  ~GatewayListeners();
  GatewayListeners(const GatewayListeners&) = delete;

  // Opens what `config` has and closes what it has no more. A port that can't be opened is told
  // with its Gateway, and tried again every few seconds. A gateway that opens nothing says so.
  void follow(const mesh::Snapshot& config);
  void stop();  // of a drain: nothing is opened any more
  // "0.0.0.0:443: Permission denied; wanted by Gateway ..."; one for each that is not open.
  std::vector<std::string> problems() const;

private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::cli
