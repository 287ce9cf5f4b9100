// A running proxy: the configuration thread (the caller's), one thread a worker, the log's thread;
// signals and draining.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/address.h"
#include "agent/istio/resources.h"
#include "certs/ca/identity_settings.h"

namespace sallyport::cli {

struct ProcessOptions {
  std::string config_directory, mesh_config_file;
  istio::Proxy proxy;
  ca::IdentitySettings identity;  // of the workload's certificate; may have no source
  std::string cluster_domain = "cluster.local";
  uint32_t proxy_uid = 0;  // with proxy.udp_policy: who to go on as; 0: nobody else
  bool learn = false;      // of a sidecar: /debug/egressz
  int concurrency = 1;     // workers
  std::optional<uint16_t> outbound_port, inbound_port;  // else the mesh configuration's
  SocketAddress admin;
  uint16_t health_port = 15021;                         // all addresses of the pod; 0: none
  uint16_t metrics_port = 15090;                        // the same
  std::optional<uint16_t> status_port;                  // the same; else the mesh configuration's
  std::vector<SocketAddress> dns_servers;               // empty: /etc/resolv.conf
  std::optional<std::chrono::milliseconds> drain_time;  // else terminationDrainDuration
};

// Runs until SIGTERM and the drain that follows, SIGINT, or /quitquitquit (shutdown.h).
//   SIGHUP reloads configuration, SIGUSR1 reopens the access log.
// Of the environment it reads PROXY_CONFIG, EXIT_ON_ZERO_ACTIVE_CONNECTIONS,
// MINIMUM_DRAIN_DURATION, ISTIO_KUBE_APP_PROBERS, ISTIO_PROMETHEUS_ANNOTATIONS and
// REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION, as istio-agent does. Returns the exit code: 0; 1 with
// a logged reason when it could not start.
int run_process(const ProcessOptions& options);

}  // namespace sallyport::cli
