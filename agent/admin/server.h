// The admin port (15000 on loopback): /ready /config_dump /clusters /certs /stats /stats/prometheus /logging /server_info
// /quitquitquit (POST) /healthcheck/fail /healthcheck/ok, and 15021 /healthz/ready for kubelet. Beast on the configuration thread's io_context.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/config/service.h"
#include "agent/core/address.h"
#include "agent/observe/metrics.h"
#include "agent/upstream/upstreams.h"

namespace sallyport::admin {

struct Sources {
  const config::Service& config;
  std::vector<const observe::WorkerMetrics*> workers;
  // Asks every worker for its clusters and calls back on the admin thread.
  std::function<void(std::function<void(std::vector<upstream::Upstreams::ClusterInfo>)>)> clusters;
  std::function<bool()> ready;            // false while starting or draining
  std::function<void()> quit;             // /quitquitquit
  std::function<std::string()> more_metrics;  // Prometheus lines of process-wide things (log drops)
};

class Server {
public:
  // Errors: an address in use.
  static Result<std::unique_ptr<Server>> start(boost::asio::io_context& io, SocketAddress admin,
                                               std::vector<SocketAddress> health, Sources sources);
  ~Server();

private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::admin
