#include "agent/cli/inject_template.h"

#include <yaml-cpp/yaml.h>

#include "agent/cli/inject_proxy_config.h"
#include "agent/cli/yaml_edit.h"

namespace sallyport::cli {
namespace {

constexpr const char* capture = "traffic.sidecar.istio.io/";

std::string array(const std::vector<std::string>& texts) {
  std::string json;
  for (const std::string& text : texts) json += (json.empty() ? "" : ", ") + quoted(text);
  return "[" + json + "]";
}

std::string literal(const std::string& name, const std::string& value) {
  return R"({"name": )" + quoted(name) + R"(, "value": )" + quoted(value) + "}";
}

std::string field(const std::string& name, const std::string& path) {
  return R"({"name": )" + quoted(name) + R"(, "valueFrom": {"fieldRef": {"fieldPath": )" +
         quoted(path) + "}}}";
}

std::string init_container(const TemplateFacts& facts, const PodProxyConfig& config) {
  std::string not_inbound = "15090,15021";
  if (const uint16_t port = status_port_of(facts, config))
    not_inbound += "," + std::to_string(port);
  const std::string excluded = annotation(facts, std::string(capture) + "excludeInboundPorts", "");
  if (!excluded.empty()) not_inbound += "," + excluded;
  std::vector<std::string> args = {"init", "-p",   "15001", "-z",       "15006",
                                   "-u",   "1337", "-m",    config.mode};
  const auto add = [&](const char* flag, const std::string& value) {
    args.push_back(flag);
    args.push_back(value);
  };
  add("-i", annotation(facts, std::string(capture) + "includeOutboundIPRanges", "*"));
  add("-x", annotation(facts, std::string(capture) + "excludeOutboundIPRanges", ""));
  add("-b", annotation(facts, std::string(capture) + "includeInboundPorts", "*"));
  add("-d", not_inbound);
  const std::pair<const char*, const char*> on_demand[] = {
      {"-q", "includeOutboundPorts"}, {"-o", "excludeOutboundPorts"}, {"-c", "excludeInterfaces"}};
  for (const auto& [flag, name] : on_demand) {
    const std::string value = annotation(facts, std::string(capture) + name, "");
    if (!value.empty()) add(flag, value);
  }
  const std::string virtual_interfaces =
      annotation(facts, "istio.io/reroute-virtual-interfaces",
                 annotation(facts, std::string(capture) + "kubevirtInterfaces", ""));
  if (!virtual_interfaces.empty()) add("-k", virtual_interfaces);

  std::string environment;
  for (const auto& [name, value] : config.metadata) {
    environment += (environment.empty() ? "" : ", ") + literal(name, value);
  }
  return R"({"name": "istio-init", "image": )" + quoted(facts.image) + R"(, "args": )" +
         array(args) + (environment.empty() ? "" : R"(, "env": [)" + environment + "]") +
         R"(, "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}})"
         R"(, "securityContext": {"allowPrivilegeEscalation": false, "privileged": false,)"
         R"( "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},)"
         R"( "readOnlyRootFilesystem": false, "runAsGroup": 0,)"
         R"( "runAsNonRoot": false, "runAsUser": 0}})";
}

std::string owner_of(const TemplateFacts& facts) {
  const std::string place = "/namespaces/" + facts.namespace_name + "/";
  if (facts.workload_kind == "Pod")
    return "kubernetes://apis/v1" + place + "pods/" + facts.workload;
  std::string plural;
  for (const char letter : facts.workload_kind) plural += static_cast<char>(std::tolower(letter));
  std::string version = plural.ends_with("job") ? "batch/v1" : "apps/v1";
  if (plural == "replicationcontroller") version = "v1";
  if (plural == "deploymentconfig") version = "apps.openshift.io/v1";
  return "kubernetes://apis/" + version + place + plural + "s/" + facts.workload;
}

std::string label(const TemplateFacts& facts, const char* name) {
  const auto found = facts.labels.find(name);
  return found == facts.labels.end() ? std::string() : found->second;
}

std::string workload_name(const TemplateFacts& facts) {
  const std::string own = label(facts, "service.istio.io/workload-name");
  return own.empty() ? facts.workload : own;
}

// With TPROXY its sockets carry marks and the clients' addresses, which takes NET_ADMIN; rules know
// it by its group then (Istio's template). UDP is judged with NET_ADMIN, too; with REDIRECT the
// sidecar goes on as its own user (PROXY_UID).
std::string security_context(const TemplateFacts& facts, const PodProxyConfig& config) {
  std::vector<std::string> added;
  if (config.mode == "TPROXY" || config.reads_udp()) added.push_back("NET_ADMIN");
  if (config.reads_udp() && config.mode != "TPROXY") added.push_back("SETUID");
  if (annotation(facts, "sidecar.istio.io/capNetBindService", "") == "true")
    added.push_back("NET_BIND_SERVICE");
  const bool root = !added.empty();
  return std::string(R"({"allowPrivilegeEscalation": false, "privileged": false,)") +
         R"( "capabilities": {)" + (root ? R"("add": )" + array(added) + ", " : "") +
         R"("drop": ["ALL"]}, "readOnlyRootFilesystem": true, "runAsGroup": 1337,)" +
         R"( "runAsNonRoot": )" + (root ? "false" : "true") + R"(, "runAsUser": )" +
         (root ? "0" : "1337") + "}";
}

std::string sidecar_environment(const TemplateFacts& facts, const PodProxyConfig& config) {
  std::string names;
  for (const std::string& name : facts.container_names) names += (names.empty() ? "" : ",") + name;
  std::vector<std::string> variables = {
      field("POD_NAME", "metadata.name"),
      field("POD_NAMESPACE", "metadata.namespace"),
      field("INSTANCE_IP", "status.podIP"),
      field("INSTANCE_IPS", "status.podIPs"),
      field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
      field("HOST_IP", "status.hostIP"),
      R"({"name": "ISTIO_CPU_LIMIT",)"
      R"( "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}})",
      literal("ISTIO_META_APP_CONTAINERS", names),
      literal("ISTIO_META_INTERCEPTION_MODE", config.mode),
      field("ISTIO_META_NODE_NAME", "spec.nodeName"),
      literal("ISTIO_META_WORKLOAD_NAME", workload_name(facts)),
      literal("ISTIO_META_OWNER", owner_of(facts)),
  };
  if (!config.text.empty()) variables.push_back(literal("PROXY_CONFIG", config.text));
  for (const auto& [name, value] : config.metadata) variables.push_back(literal(name, value));
  if (config.reads_udp()) variables.push_back(literal("PROXY_UID", "1337"));
  if (!facts.app_probers.empty())
    variables.push_back(literal("ISTIO_KUBE_APP_PROBERS", facts.app_probers));
  if (!facts.app_metrics.empty())
    variables.push_back(literal("ISTIO_PROMETHEUS_ANNOTATIONS", facts.app_metrics));
  std::string json;
  for (const std::string& variable : variables) json += (json.empty() ? "" : ", ") + variable;
  return "[" + json + "]";
}

std::string resources_of(const TemplateFacts& facts) {
  const std::string prefix = "sidecar.istio.io/proxy";
  const auto block = [&](const std::string& cpu, const std::string& memory) {
    std::string json;
    if (!cpu.empty()) json += R"("cpu": )" + quoted(cpu);
    if (!memory.empty())
      json += (json.empty() ? "" : ", ") + std::string(R"("memory": )") + quoted(memory);
    return "{" + json + "}";
  };
  const auto of = [&](const char* name) { return annotation(facts, prefix + name, ""); };
  const std::string cpu = of("CPU"), memory = of("Memory"), cpu_limit = of("CPULimit"),
                    memory_limit = of("MemoryLimit");
  // Setting any one replaces the whole default block (Istio's rule).
  if ((cpu + memory + cpu_limit + memory_limit).empty()) {
    return R"({"limits": {"cpu": "2", "memory": "1Gi"},)"
           R"( "requests": {"cpu": "100m", "memory": "128Mi"}})";
  }
  return R"({"limits": )" + block(cpu_limit, memory_limit) + R"(, "requests": )" +
         block(cpu, memory) + "}";
}

// name → object of a JSON annotation, as JSON objects that begin with their name.
std::vector<std::string> user_objects(const TemplateFacts& facts, const char* name) {
  std::vector<std::string> objects;
  const std::string json = annotation(facts, name, "");
  try {
    for (const auto& entry : YAML::Load(json.empty() ? "{}" : json)) {
      const std::string body = flow_of(entry.second);
      if (!entry.second.IsMap() || entry.second.size() == 0)
        throw BadAnnotation{std::string(name) + ": " + body};
      objects.push_back(R"({"name": )" + quoted(entry.first.as<std::string>()) + ", " +
                        body.substr(1));
    }
  } catch (const YAML::Exception& error) {
    throw BadAnnotation{std::string(name) + ": " + error.msg};
  }
  return objects;
}

// Where a CA is asked for a certificate the pod gets the token and the root that istio-agent finds
// in the same places.
constexpr const char* ca_mounts =
    R"(, {"name": "istio-token", "mountPath": "/var/run/secrets/tokens", "readOnly": true})"
    R"(, {"name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio", "readOnly": true})";
constexpr const char* ca_volumes[] = {
    R"({"name": "istio-token", "projected": {"sources": [{"serviceAccountToken":)"
    R"( {"path": "istio-token", "expirationSeconds": 43200, "audience": "istio-ca"}}]}})",
    R"({"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}})"};

std::string on_event(const char* event, const std::vector<std::string>& command) {
  return std::string(R"(, "lifecycle": {")") + event + R"(": {"exec": {"command": )" +
         array(command) + "}}}";
}

// holdApplicationUntilProxyStarts: kubelet starts the next container when postStart has ended. A
// native sidecar drains before the application is ended; its SIGTERM comes afterwards.
std::string lifecycle(const PodProxyConfig& config, uint16_t status_port, bool native) {
  if (native && status_port) {
    return on_event("preStop", {"/usr/local/bin/sallyport", "request",
                                "--debug-port=" + std::to_string(status_port), "POST", "drain"});
  }
  if (config.hold && !native) return on_event("postStart", {"/usr/local/bin/sallyport", "wait"});
  return {};
}

// startupProbe and readinessProbe of the sidecar itself; none without a status port, as in Istio.
std::string own_probes(const TemplateFacts& facts, uint16_t status_port) {
  if (status_port == 0) return {};
  const auto number = [&](const char* name, const char* otherwise) {
    std::string text =
        annotation(facts, std::string("readiness.status.sidecar.istio.io/") + name, otherwise);
    if (text.empty() || text.size() > 6 || text.find_first_not_of("0123456789") != text.npos)
      throw BadAnnotation{std::string("readiness.status.sidecar.istio.io/") + name + ": \"" + text +
                          "\" is no number"};
    return text;
  };
  const std::string get = R"({"httpGet": {"path": "/healthz/ready", "port": 15021}, )";
  return R"(, "startupProbe": )" + get +
         R"("periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 600})"
         R"(, "readinessProbe": )" +
         get + R"("initialDelaySeconds": )" + number("initialDelaySeconds", "0") +
         R"(, "periodSeconds": )" + number("periodSeconds", "15") +
         R"(, "timeoutSeconds": 3, "failureThreshold": )" + number("failureThreshold", "4") + "}";
}

std::string sidecar(const TemplateFacts& facts, const PodProxyConfig& config, bool native) {
  std::vector<std::string> args = {is_gateway(facts) ? "gateway" : "sidecar",
                                   "--domain",
                                   "$(POD_NAMESPACE).svc.cluster.local",
                                   "--config",
                                   "/etc/istio/config",
                                   "--mesh-config",
                                   "/etc/istio/mesh/mesh"};
  if (!config.concurrency.empty()) args.insert(args.end(), {"--concurrency", config.concurrency});
  const uint16_t port = status_port_of(facts, config);
  if (port != 15020) args.push_back("--status-port=" + std::to_string(port));
  const std::string level = annotation(facts, "sidecar.istio.io/logLevel", "");
  if (!level.empty()) args.push_back("--proxyLogLevel=" + level);
  std::string mounts =
      R"({"name": "sallyport-config", "mountPath": "/etc/istio/config", "readOnly": true}, )"
      R"({"name": "sallyport-mesh", "mountPath": "/etc/istio/mesh", "readOnly": true}, )"
      R"({"name": "istio-podinfo", "mountPath": "/etc/istio/pod", "readOnly": true})";
  if (asks_ca(config)) mounts += ca_mounts;
  for (const std::string& mount : user_objects(facts, "sidecar.istio.io/userVolumeMount"))
    mounts += ", " + mount;
  return R"({"name": "istio-proxy", "image": )" + quoted(facts.image) +
         (native ? R"(, "restartPolicy": "Always")" : "") + R"(, "args": )" + array(args) +
         R"(, "env": )" + sidecar_environment(facts, config) + lifecycle(config, port, native) +
         own_probes(facts, port) + R"(, "resources": )" + resources_of(facts) +
         R"(, "securityContext": )" + security_context(facts, config) + R"(, "volumeMounts": [)" +
         mounts + "]}";
}

// A workload's name may be longer than a label, and end in the middle of a word.
std::string label_value(const std::string& name) {
  const std::string text = name.substr(0, 63);
  const auto first = text.find_first_not_of("-_.");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of("-_.") + 1 - first);
}

TemplateParts fill(const TemplateFacts& facts) {
  const PodProxyConfig config = proxy_config(facts);
  const bool native = annotation(facts, "sidecar.istio.io/nativeSidecar", "false") == "true";
  TemplateParts parts;
  const bool has_init = config.mode != "NONE" && !is_gateway(facts);
  if (has_init) parts.init_containers.push_back(init_container(facts, config));
  (native ? parts.init_containers : parts.containers).push_back(sidecar(facts, config, native));
  // Without a control plane the configuration comes from ConfigMaps of the pod's namespace. Not
  // optional: a pod that started before them would send in plaintext what they protect.
  parts.volumes = {
      R"({"name": "sallyport-config",)"
      R"( "configMap": {"name": "sallyport-config"}})",
      R"({"name": "sallyport-mesh", "configMap": {"name": "istio"}})",
      R"({"name": "istio-podinfo", "downwardAPI": {"items": [)"
      R"({"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}, )"
      R"({"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}]}})"};
  std::string volumes = R"("sallyport-config","sallyport-mesh","istio-podinfo")";
  if (asks_ca(config)) {
    parts.volumes.insert(parts.volumes.end(), std::begin(ca_volumes), std::end(ca_volumes));
    volumes += R"(,"istio-token","istiod-ca-cert")";
  }
  for (const std::string& volume : user_objects(facts, "sidecar.istio.io/userVolume")) {
    parts.volumes.push_back(volume);
    volumes += "," + quoted(YAML::Load(volume)["name"].as<std::string>());
  }
  std::string name = label(facts, "app.kubernetes.io/name");
  std::string revision = label(facts, "app.kubernetes.io/version");
  if (name.empty()) name = label(facts, "app");
  if (name.empty()) name = facts.workload;
  if (revision.empty()) revision = label(facts, "version");
  if (revision.empty()) revision = "latest";
  parts.has_identity_source = has_identity_source(facts, config);
  parts.first = config.hold && !native;
  parts.inits_first = native;
  parts.labels = {{"service.istio.io/canonical-name", label_value(name)},
                  {"service.istio.io/canonical-revision", revision}};
  // A gateway takes TLS where a server of it says so, not on every port.
  if (!is_gateway(facts)) parts.labels.emplace("security.istio.io/tlsMode", "istio");
  const std::string init_names = std::string(has_init ? R"("istio-init")" : "") +
                                 (has_init && native ? "," : "") +
                                 (native ? R"("istio-proxy")" : "");
  parts.annotations = {
      {"istio.io/rev", "default"},
      {"kubectl.kubernetes.io/default-container", facts.container_names.front()},
      {"kubectl.kubernetes.io/default-logs-container", facts.container_names.front()},
      {"sidecar.istio.io/status", R"({"initContainers":[)" + init_names + R"(],"containers":[)" +
                                      (native ? "" : R"("istio-proxy")") + R"(],"volumes":[)" +
                                      volumes +
                                      R"(],"imagePullSecrets":null,"revision":"default"})"}};
  return parts;
}

template <class Value, class Read>
Result<Value> read_annotations(Read read) {
  try {
    return read();
  } catch (const BadAnnotation& bad) {
    return Error{Fault::protocol, Side::local, false, bad.reason, {}};
  }
}

}  // namespace

bool is_gateway(const TemplateFacts& facts) {
  return annotation(facts, "inject.istio.io/templates", "") == "gateway";
}

Result<TemplateParts> fill_template(const TemplateFacts& facts) {
  return read_annotations<TemplateParts>([&] { return fill(facts); });
}

Result<uint16_t> status_port(const TemplateFacts& facts) {
  return read_annotations<uint16_t>([&] { return status_port_of(facts, proxy_config(facts)); });
}

Result<bool> rewrites_probes(const TemplateFacts& facts) {
  const auto port = status_port(facts);
  if (!port) return port.error();
  const std::string wish = annotation(facts, "sidecar.istio.io/rewriteAppHTTPProbers", "true");
  // What Go's ParseBool takes; anything else is the default, as in Istio.
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"})
    if (wish == no) return false;
  return *port != 0;
}

}  // namespace sallyport::cli
