// What kubelet's probes of the application became: the injector points them at the status port and
// leaves the originals in ISTIO_KUBE_APP_PROBERS, a JSON object from the new path to the old probe
// (istio/istio:pilot/cmd/pilot-agent/status/server.go, KubeAppProbers).
#pragma once
#include <chrono>
#include <map>
#include <string>
#include <string_view>

#include "agent/core/address.h"
#include "agent/core/error.h"

namespace sallyport::admin {

struct AppProbe {
  enum class Kind : uint8_t { http_get, tcp_socket, grpc };
  Kind kind = Kind::http_get;
  uint16_t port = 0;
  bool https = false;   // httpGet
  std::string path;     // httpGet; begins with '/'
  std::string service;  // grpc
  std::chrono::milliseconds timeout{0};
};

using AppProbes = std::map<std::string, AppProbe, std::less<>>;  // by path on the status port

struct ProbeOptions {
  IpAddress destination;     // the pod's own address, or loopback
  uint16_t status_port = 0;  // replaced in a Host that names it
};

// Error: what is wrong, with the variable's name and the path of the probe. An empty text has none.
Result<AppProbes> decode_app_probes(std::string_view json);

// Where probes go: the pod's first address, as kubelet itself would; loopback of its family when
// `legacy_localhost` says so (REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION), or without an address.
IpAddress probe_destination(const std::vector<std::string>& pod_addresses, bool legacy_localhost);

}  // namespace sallyport::admin
