// The spec of a pod: containers, probes, volumes.
#include "deploy/sandbox/yaml_fields.h"

namespace sallyport::sandbox {
namespace {

EnvVar read_env(const YAML::Node& node) {
  EnvVar variable{.name = text_of(node["name"]), .value = text_of(node["value"])};
  const YAML::Node from = node["valueFrom"];
  if (!from.IsDefined()) return variable;
  if (const YAML::Node field = from["fieldRef"]) {
    variable.source = EnvVar::Source::field;
    variable.key = text_of(field["fieldPath"]);
  } else if (const YAML::Node resource = from["resourceFieldRef"]) {
    variable.source = EnvVar::Source::resource;
    variable.key = text_of(resource["resource"]);
  } else if (const YAML::Node key =
                 from["secretKeyRef"] ? from["secretKeyRef"] : from["configMapKeyRef"]) {
    variable.source =
        from["secretKeyRef"] ? EnvVar::Source::secret_key : EnvVar::Source::config_map_key;
    variable.object = text_of(key["name"]);
    variable.key = text_of(key["key"]);
    variable.optional = flag_of(key["optional"], false);
  } else {
    throw FieldError(from, "env." + variable.name + ".valueFrom: no source that the sandbox knows");
  }
  return variable;
}

EnvFrom read_env_from(const YAML::Node& node) {
  const bool secret = node["secretRef"].IsDefined();
  const YAML::Node from = secret ? node["secretRef"] : node["configMapRef"];
  if (!from.IsDefined()) throw FieldError(node, "envFrom: secretRef or configMapRef was expected");
  return {secret, text_of(from["name"]), text_of(node["prefix"]), flag_of(from["optional"], false)};
}

std::optional<Probe> read_probe(const YAML::Node& node) {
  if (!node.IsDefined() || node.IsNull()) return {};
  Probe probe;
  if (const YAML::Node http = node["httpGet"]) {
    probe.kind = Probe::Kind::http_get;
    probe.path = text_of(http["path"], "/");
    probe.port = text_of(http["port"]);
    if (text_of(http["scheme"], "HTTP") != "HTTP")
      throw FieldError(http, "httpGet: only scheme HTTP is probed");
    for (const auto& header : http["httpHeaders"])
      probe.headers[text_of(header["name"])] = text_of(header["value"]);
  } else if (const YAML::Node tcp = node["tcpSocket"]) {
    probe.port = text_of(tcp["port"]);
  } else if (const YAML::Node exec = node["exec"]) {
    probe.kind = Probe::Kind::exec;
    probe.command = list_of(exec["command"]);
  } else {
    throw FieldError(node, "probe: httpGet, tcpSocket or exec was expected");
  }
  probe.period = std::chrono::seconds(number_of(node["periodSeconds"], 10));
  probe.timeout = std::chrono::seconds(number_of(node["timeoutSeconds"], 1));
  return probe;
}

// A lifecycle handler, as a probe that is made once.
std::optional<Probe> read_hook(const YAML::Node& lifecycle, const char* name) {
  if (!lifecycle.IsDefined() || !lifecycle.IsMap()) return {};
  auto hook = read_probe(lifecycle[name]);
  if (hook) hook->timeout = std::chrono::minutes(10);
  return hook;
}

std::optional<uint32_t> id_of(const YAML::Node& own, const YAML::Node& pods) {
  const int64_t id = number_of(own, number_of(pods, -1));
  return id < 0 ? std::nullopt : std::optional<uint32_t>(static_cast<uint32_t>(id));
}

SecurityContext read_security(const YAML::Node& own, const YAML::Node& pods) {
  static const YAML::Node none(YAML::NodeType::Map);
  const YAML::Node mine = own.IsDefined() && own.IsMap() ? own : none;
  const YAML::Node all = pods.IsDefined() && pods.IsMap() ? pods : none;
  SecurityContext security;
  security.user = id_of(mine["runAsUser"], all["runAsUser"]);
  security.group = id_of(mine["runAsGroup"], all["runAsGroup"]);
  security.privileged = flag_of(mine["privileged"], false);
  security.allow_escalation = flag_of(mine["allowPrivilegeEscalation"], true);
  security.read_only_root = flag_of(mine["readOnlyRootFilesystem"], false);
  if (const YAML::Node capabilities = mine["capabilities"]) {
    security.add = list_of(capabilities["add"]);
    security.drop = list_of(capabilities["drop"]);
  }
  return security;
}

Container read_container(const YAML::Node& node, const YAML::Node& spec) {
  Container container{.name = text_of(node["name"]), .image = text_of(node["image"])};
  if (container.name.empty()) throw FieldError(node, "a container needs a name");
  container.working_dir = text_of(node["workingDir"]);
  container.command = list_of(node["command"]);
  container.args = list_of(node["args"]);
  for (const auto& variable : node["env"]) container.env.push_back(read_env(variable));
  for (const auto& from : node["envFrom"]) container.env_from.push_back(read_env_from(from));
  for (const auto& port : node["ports"]) {
    container.ports.push_back({text_of(port["name"]),
                               static_cast<uint16_t>(number_of(port["containerPort"], 0)),
                               text_of(port["protocol"], "TCP") == "TCP"});
  }
  for (const auto& mount : node["volumeMounts"]) {
    container.mounts.push_back({text_of(mount["name"]), text_of(mount["mountPath"]),
                                text_of(mount["subPath"]), flag_of(mount["readOnly"], false)});
  }
  container.security = read_security(node["securityContext"], spec["securityContext"]);
  container.readiness = read_probe(node["readinessProbe"]);
  if (!container.readiness) container.readiness = read_probe(node["startupProbe"]);
  container.post_start = read_hook(node["lifecycle"], "postStart");
  container.pre_stop = read_hook(node["lifecycle"], "preStop");
  if (const YAML::Node limits = node["resources"] ? node["resources"]["limits"] : YAML::Node()) {
    if (limits.IsMap()) {
      container.cpu_limit = text_of(limits["cpu"]);
      container.memory_limit = text_of(limits["memory"]);
    }
  }
  container.stays = text_of(node["restartPolicy"]) == "Always";
  return container;
}

VolumeSource keyed_source(VolumeSource::Kind kind, const YAML::Node& node, const char* name_field) {
  VolumeSource source{.kind = kind, .object = text_of(node[name_field])};
  source.optional = flag_of(node["optional"], false);
  for (const auto& item : node["items"]) {
    source.items.push_back({text_of(item["key"]), text_of(item["path"])});
  }
  return source;
}

VolumeSource downward_source(const YAML::Node& node) {
  VolumeSource source{.kind = VolumeSource::Kind::downward};
  for (const auto& item : node["items"]) {
    if (!item["fieldRef"].IsDefined())
      throw FieldError(item, "downwardAPI: only fieldRef is known");
    source.items.push_back({text_of(item["fieldRef"]["fieldPath"]), text_of(item["path"])});
  }
  return source;
}

VolumeSource token_source(const YAML::Node& node) {
  VolumeSource source{.kind = VolumeSource::Kind::token,
                      .object = text_of(node["audience"], ""),
                      .items = {{"", text_of(node["path"])}}};
  source.life = std::chrono::seconds(number_of(node["expirationSeconds"], 3600));
  return source;
}

std::optional<VolumeSource> read_source(const YAML::Node& node, const char* secret_name_field) {
  using Kind = VolumeSource::Kind;
  if (node["configMap"]) return keyed_source(Kind::config_map, node["configMap"], "name");
  if (node["secret"]) return keyed_source(Kind::secret, node["secret"], secret_name_field);
  if (node["downwardAPI"]) return downward_source(node["downwardAPI"]);
  if (node["emptyDir"]) return VolumeSource{};
  if (node["hostPath"])
    return VolumeSource{.kind = Kind::host_path, .object = text_of(node["hostPath"]["path"])};
  return {};
}

Volume read_volume(const YAML::Node& node) {
  Volume volume{.name = text_of(node["name"])};
  const auto refuse = [&](const YAML::Node& at) {
    throw FieldError(at, "volume " + volume.name + ": no source that the sandbox knows");
  };
  if (const YAML::Node projected = node["projected"]) {
    for (const auto& part : projected["sources"]) {
      auto source = part["serviceAccountToken"]
                        ? std::optional(token_source(part["serviceAccountToken"]))
                        : read_source(part, "name");
      if (!source) refuse(part);
      volume.sources.push_back(*source);
    }
  } else if (auto source = read_source(node, "secretName")) {
    volume.sources.push_back(*source);
  } else {
    refuse(node);
  }
  return volume;
}

}  // namespace

void read_pod_spec(const YAML::Node& spec, Pod& pod) {
  if (!spec.IsDefined() || !spec.IsMap()) throw FieldError(spec, "spec: a map was expected");
  if (flag_of(spec["hostNetwork"], false)) {
    throw FieldError(spec["hostNetwork"], "spec.hostNetwork: the sandbox has no host network");
  }
  pod.service_account = text_of(spec["serviceAccountName"], "default");
  pod.restarts = text_of(spec["restartPolicy"], "Always") != "Never";
  pod.grace = std::chrono::seconds(number_of(spec["terminationGracePeriodSeconds"], 30));
  for (const auto& node : spec["initContainers"])
    pod.init_containers.push_back(read_container(node, spec));
  for (const auto& node : spec["containers"]) pod.containers.push_back(read_container(node, spec));
  for (const auto& node : spec["volumes"]) pod.volumes.push_back(read_volume(node));
  if (pod.containers.empty()) throw FieldError(spec, "spec.containers: a pod needs one");
}

}  // namespace sallyport::sandbox
