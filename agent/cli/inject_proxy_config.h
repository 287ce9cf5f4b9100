// What a pod's proxy.istio.io/config over meshConfig.defaultConfig says about the pod itself. Pure.
#pragma once
#include <map>
#include <string>

#include "agent/cli/inject_template.h"

namespace sallyport::cli {

struct PodProxyConfig {
  std::string text;  // of the annotation
  std::string mode, concurrency, status_port;
  bool hold = false;  // holdApplicationUntilProxyStarts
  std::map<std::string, std::string> metadata;
  bool reads_udp() const;  // proxyMetadata has UDP_POLICY, and not "off"
};

struct BadAnnotation {  // thrown
  std::string reason;
};

std::string annotation(const TemplateFacts& facts, const std::string& name,
                       const std::string& fallback);

// Throws BadAnnotation: no YAML, or a mode that is not there.
PodProxyConfig proxy_config(const TemplateFacts& facts);
// 0: none. Throws BadAnnotation: no port.
uint16_t status_port_of(const TemplateFacts& facts, const PodProxyConfig& config);

// A CA is asked for a certificate where the pod's proxyMetadata names one.
bool asks_ca(const PodProxyConfig& config);
// Whether the sidecar will know where to take the workload's certificate from: a CA, mounted files,
// a SPIRE agent's socket.
bool has_identity_source(const TemplateFacts& facts, const PodProxyConfig& config);

}  // namespace sallyport::cli
