// Kubernetes manifests as values, as far as the sandbox runs them: Pod, Deployment, Service,
// ConfigMap, Secret, Namespace, ServiceAccount and `kind: List` of these. Pure: no files are read,
// nothing is started.
//
// Names are Kubernetes' own. What the sandbox can't honour is an error or a warning that names the
// field, never silence.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"

namespace sallyport::sandbox {

using StringMap = std::map<std::string, std::string>;

struct ObjectMeta {
  std::string namespace_name = "default";
  std::string name;
  StringMap labels, annotations;
  std::string key() const { return namespace_name + "/" + name; }
};

struct EnvVar {
  enum class Source : uint8_t { literal, field, resource, secret_key, config_map_key };
  std::string name;
  Source source = Source::literal;
  std::string value;   // literal: may hold $(OTHER)
  std::string object;  // Secret or ConfigMap
  std::string key;     // field path, resource name, or key in the object
  bool optional = false;
};

struct EnvFrom {
  bool secret = false;
  std::string object, prefix;
  bool optional = false;
};

struct Probe {
  enum class Kind : uint8_t { http_get, tcp_socket, exec };
  Kind kind = Kind::tcp_socket;
  std::string path = "/";
  std::string port;  // a number or the name of a containerPort
  StringMap headers;
  std::vector<std::string> command;
  std::chrono::seconds period{10};
  std::chrono::seconds timeout{1};
};

struct ContainerPort {
  std::string name;
  uint16_t number = 0;
  bool tcp = true;
};

struct VolumeMount {
  std::string volume, path, sub_path;
  bool read_only = false;
};

struct SecurityContext {
  std::optional<uint32_t> user, group;
  std::vector<std::string> add, drop;  // capabilities without CAP_; "ALL" in drop
  bool privileged = false;
  bool allow_escalation = true;
  bool read_only_root = false;
};

struct Container {
  std::string name, image, working_dir;
  std::vector<std::string> command, args;
  std::vector<EnvVar> env;
  std::vector<EnvFrom> env_from;
  std::vector<ContainerPort> ports;
  std::vector<VolumeMount> mounts;
  SecurityContext security;
  std::optional<Probe> readiness;             // readinessProbe, else startupProbe
  std::optional<Probe> post_start, pre_stop;  // lifecycle hooks; they have no timeout of their own
  std::string cpu_limit, memory_limit;
  bool stays = false;  // an init container with restartPolicy: Always (a native sidecar)
};

struct KeyToPath {
  std::string key, path;
};

struct VolumeSource {
  enum class Kind : uint8_t { empty_dir, config_map, secret, downward, host_path, token };
  Kind kind = Kind::empty_dir;
  std::string object;            // ConfigMap, Secret; host path; a token's audience
  std::vector<KeyToPath> items;  // downward: key is the field path. Empty: every key
  bool optional = false;
  std::chrono::seconds life{3600};  // of a token
};

struct Volume {
  std::string name;
  std::vector<VolumeSource> sources;  // one; several for `projected`
};

struct Pod {
  ObjectMeta meta;
  std::string workload;  // "sleep" for the Deployment's pods, else the pod's own name
  std::string service_account = "default";
  std::vector<Container> init_containers, containers;
  std::vector<Volume> volumes;
  bool restarts = true;  // restartPolicy is not Never
  std::chrono::seconds grace{30};
  std::string source;  // The document it came from, to see whether an apply changed it.
};

struct ServicePort {
  std::string name;
  uint16_t port = 0;
  std::string target;  // number or name of a containerPort
  bool tcp = true;
  std::string app_protocol;
};

struct Service {
  ObjectMeta meta;
  StringMap selector;
  std::vector<ServicePort> ports;
  bool headless = false;
  std::string external_name;
  bool ipv4 = true,
       ipv6 = false;  // single stack IPv4 unless ipFamilies or ipFamilyPolicy say otherwise
  bool publish_not_ready = false;
};

struct DataObject {  // ConfigMap or Secret, values decoded
  ObjectMeta meta;
  StringMap data;
};

struct Manifests {
  std::vector<Pod> pods;
  std::vector<Service> services;
  std::vector<DataObject> config_maps, secrets;
  std::vector<ObjectMeta> namespaces;
  std::vector<std::string> warnings;
};

// Every document of `text`. Resources of *.istio.io are passed over (the sidecars read them); other
// kinds are a warning. Error: broken YAML, or a field that the sandbox can't honour, with its
// place: "sleep.yaml:12: spec.hostNetwork: ...".
Result<Manifests> parse_manifests(std::string_view text, const std::string& file);

// Puts `newer` over `older`: an object of the same kind, namespace and name is replaced.
void merge(Manifests& older, Manifests newer);

const DataObject* find(const std::vector<DataObject>& among, const std::string& namespace_name,
                       const std::string& name);

}  // namespace sallyport::sandbox
