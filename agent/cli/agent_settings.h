// What the injector tells a running agent by environment variables, over the mesh's defaultConfig.
// Pure.
#pragma once
#include <functional>
#include <string>

#include "agent/admin/app_metrics.h"
#include "agent/admin/app_probes.h"
#include "agent/cli/shutdown.h"

namespace sallyport::cli {

using Lookup = std::function<std::string(const char*)>;  // "" for what is not set

struct AgentSettings {
  istio::ProxyConfig proxy;
  ShutdownTimes shutdown;
  admin::AppProbes probes;
  admin::ScrapeTargets scrape_targets;
  bool probe_localhost = false;  // rather than the pod's address
};

// PROXY_CONFIG, EXIT_ON_ZERO_ACTIVE_CONNECTIONS, MINIMUM_DRAIN_DURATION, ISTIO_KUBE_APP_PROBERS,
// ISTIO_PROMETHEUS_ANNOTATIONS,
// REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION; the flags among them may be proxyMetadata's, too.
// Error: a value that can't be read, with its variable's name.
Result<AgentSettings> agent_settings(const istio::MeshConfig& mesh, const Lookup& environment);

}  // namespace sallyport::cli
