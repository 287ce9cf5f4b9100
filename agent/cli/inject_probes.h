// `inject`'s part in probe rewriting: kubelet can't speak mutual TLS, so the probes and hooks of
// the application's containers are pointed at the sidecar's status port, which asks the application
// from inside the pod (istio/istio:pkg/kube/inject/app_probe.go). For injector.cpp; include in .cpp
// files only (yaml-cpp).
#pragma once
#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sallyport::cli {

class YamlEdit;

// httpGet, tcpSocket and grpc probes, httpGet and tcpSocket hooks; exec stays.
struct AppHandler {
  YAML::Node owner;       // the probe or hook that has it
  std::string kind;       // its key there
  std::string path;       // on the status port: "/app-health/web/livez"
  std::string rewritten;  // the httpGet that takes its place, as JSON
  std::string original;   // its entry of ISTIO_KUBE_APP_PROBERS, as JSON
};

struct BadProbe {  // thrown
  int line;
  std::string reason;
};

// Of all containers but istio-proxy, except those that ask the status port already.
// Throws BadProbe: a port that isn't there.
std::vector<AppHandler> app_handlers(const YAML::Node& spec, uint16_t status_port);

// The value of ISTIO_KUBE_APP_PROBERS; empty for none.
std::string probers_json(const std::vector<AppHandler>& handlers);

// Throws BadProbe where the text is laid out in a way that can't be edited.
void rewrite_handlers(YamlEdit& edit, const std::vector<AppHandler>& handlers);

// Handlers of the spec that ask the status port for an application's.
std::size_t count_rewritten(const YAML::Node& spec, uint16_t status_port);

}  // namespace sallyport::cli
