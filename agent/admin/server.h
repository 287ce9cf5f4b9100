// The admin port (15000 on loopback): /ready /config_dump /clusters /certs /stats /stats/prometheus
// /logging /server_info /quitquitquit (POST) /healthcheck/fail /healthcheck/ok, and 15021
// /healthz/ready for kubelet. Beast on the configuration thread's io_context.
//
// Threading: the io_context's thread; every Source is called on it.
// Limits: limits::admin_connections on each port, admin_head_bytes, admin_body_bytes, admin_idle.
#pragma once
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
  std::function<bool()> ready;                // false while starting or draining
  std::function<void()> quit;                 // /quitquitquit; called once the answer is out
  std::function<std::string()> more_metrics;  // Prometheus lines of process-wide things (log drops)
  // /logging: sets the level of a logger (empty: of all); false: no such logger or level. Both
  // empty: it says that it is not offered.
  std::function<bool(const std::string& logger, const std::string& level)> set_log_level = {};
  std::function<std::vector<std::pair<std::string, std::string>>()> log_levels = {};
};

class Server {
public:
  // Errors: an address in use, or not this machine's.
  static Result<std::unique_ptr<Server>> start(boost::asio::io_context& io, SocketAddress admin,
                                               std::vector<SocketAddress> health, Sources sources);
  ~Server();  // closes every connection
  Server(const Server&) = delete;
  SocketAddress address() const;  // as bound
  std::vector<SocketAddress> health_addresses() const;

private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::admin
