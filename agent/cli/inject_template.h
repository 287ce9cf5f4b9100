// What `inject` puts into a pod, as JSON texts: Istio's injection template, as far as this data
// plane has a use for it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "agent/core/error.h"

namespace sallyport::cli {

struct TemplateFacts {  // about the pod
  std::string image;
  std::string namespace_name, workload, workload_kind;  // "Deployment"; "Pod" for a lone one
  std::map<std::string, std::string> labels, annotations;
  std::vector<std::string> container_names;
  std::string default_config;  // meshConfig.defaultConfig, as YAML
  std::string app_probers;     // ISTIO_KUBE_APP_PROBERS; empty: none
  std::string app_metrics;     // ISTIO_PROMETHEUS_ANNOTATIONS; empty: none
};

// Annotation inject.istio.io/templates: gateway. Its container istio-proxy is the pod's own.
bool is_gateway(const TemplateFacts& facts);

// Where the pod's annotations put the status port; 0: nowhere. Error: no port.
Result<uint16_t> status_port(const TemplateFacts& facts);
// Whether probes go through it: unless an annotation says no, or there is no status port.
Result<bool> rewrites_probes(const TemplateFacts& facts);

struct TemplateParts {
  std::vector<std::string> init_containers, containers, volumes;  // one JSON object each
  std::map<std::string, std::string> labels, annotations;         // to add
  bool first = false;        // the sidecar before the application (holdApplicationUntilProxyStarts)
  bool inits_first = false;  // a native sidecar before the pod's own init containers
  bool has_identity_source = false;  // the sidecar will know where to take its certificate from
};

// Error: an annotation that can't be honoured.
Result<TemplateParts> fill_template(const TemplateFacts& facts);

}  // namespace sallyport::cli
