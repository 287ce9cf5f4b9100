#include "agent/cli/inject_proxy_config.h"

#include <yaml-cpp/yaml.h>

#include <charconv>

#include "agent/cli/workload_identity.h"

namespace sallyport::cli {
namespace {

// Field by field over what is there already; proxyMetadata name by name.
void overlay(PodProxyConfig& config, const std::string& text) {
  const YAML::Node node = YAML::Load(text);
  if (!node.IsMap()) return;
  config.mode = node["interceptionMode"].as<std::string>(config.mode);
  config.concurrency = node["concurrency"].as<std::string>(config.concurrency);
  config.status_port = node["statusPort"].as<std::string>(config.status_port);
  config.hold = node["holdApplicationUntilProxyStarts"].as<bool>(config.hold);
  for (const auto& [name, value] : node["proxyMetadata"].as<std::map<std::string, std::string>>(
           std::map<std::string, std::string>()))
    config.metadata[name] = value;
}

}  // namespace

std::string annotation(const TemplateFacts& facts, const std::string& name,
                       const std::string& fallback) {
  const auto found = facts.annotations.find(name);
  return found == facts.annotations.end() ? fallback : found->second;
}

bool PodProxyConfig::reads_udp() const {
  const auto found = metadata.find("UDP_POLICY");
  return found != metadata.end() && found->second != "off";
}

PodProxyConfig proxy_config(const TemplateFacts& facts) {
  PodProxyConfig config{.text = annotation(facts, "proxy.istio.io/config", "")};
  const std::pair<const char*, std::string> layers[] = {
      {"meshConfig.defaultConfig", facts.default_config}, {"proxy.istio.io/config", config.text}};
  for (const auto& [name, text] : layers) {
    try {
      overlay(config, text);
    } catch (const YAML::Exception& error) {
      throw BadAnnotation{std::string(name) + ": " + error.msg};
    }
  }
  config.mode = annotation(facts, "sidecar.istio.io/interceptionMode",
                           config.mode.empty() ? "REDIRECT" : config.mode);
  if (config.mode != "REDIRECT" && config.mode != "TPROXY" && config.mode != "NONE") {
    throw BadAnnotation{"interceptionMode " + config.mode + " is none of REDIRECT, TPROXY, NONE"};
  }
  return config;
}

uint16_t status_port_of(const TemplateFacts& facts, const PodProxyConfig& config) {
  const std::string text = annotation(facts, "status.sidecar.istio.io/port",
                                      config.status_port.empty() ? "15020" : config.status_port);
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, port);
  if (read.ec != std::errc() || read.ptr != end)
    throw BadAnnotation{"status.sidecar.istio.io/port: \"" + text + "\" is no port"};
  return port;
}

bool asks_ca(const PodProxyConfig& config) { return config.metadata.contains("CA_ADDR"); }

bool has_identity_source(const TemplateFacts& facts, const PodProxyConfig& config) {
  const Environment environment = [&](const char* name) -> const char* {
    const auto found = config.metadata.find(name);
    return found == config.metadata.end() ? nullptr : found->second.c_str();
  };
  const std::string mounts = annotation(facts, "sidecar.istio.io/userVolumeMount", "");
  const auto is_mounted = [&](const std::string& path) {
    return mounts.find(path.substr(0, path.rfind('/'))) != mounts.npos;
  };
  const auto found = find_workload_identity({}, environment, is_mounted);
  return !found || found->any();  // what can't be read the sidecar itself refuses
}

}  // namespace sallyport::cli
