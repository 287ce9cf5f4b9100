#include "deploy/sandbox/manifest.h"

#include <algorithm>

#include "agent/core/limits.h"
#include "deploy/sandbox/base64.h"
#include "deploy/sandbox/yaml_fields.h"

namespace sallyport::sandbox {
namespace {

void add_pods_of_deployment(const YAML::Node& object, Manifests& into) {
  const ObjectMeta deployment = meta_of(object["metadata"]);
  const YAML::Node spec = object["spec"];
  if (!spec.IsDefined() || !spec["template"].IsDefined())
    throw FieldError(object, "spec.template: missing");
  Pod pod;
  pod.meta = meta_of(spec["template"]["metadata"]);
  pod.meta.namespace_name = deployment.namespace_name;
  pod.workload = deployment.name;
  pod.source = YAML::Dump(spec["template"]);
  read_pod_spec(spec["template"]["spec"], pod);
  const int64_t replicas = number_of(spec["replicas"], 1);
  for (int64_t i = 1; i <= replicas; ++i) {
    pod.meta.name = deployment.name + "-" + std::to_string(i);
    into.pods.push_back(pod);
  }
}

void add_pod(const YAML::Node& object, Manifests& into) {
  Pod pod;
  pod.meta = meta_of(object["metadata"]);
  pod.workload = pod.meta.name;
  pod.source = YAML::Dump(object);
  read_pod_spec(object["spec"], pod);
  into.pods.push_back(std::move(pod));
}

void read_families(const YAML::Node& spec, Service& service) {
  const std::vector<std::string> families = list_of(spec["ipFamilies"]);
  const auto lists = [&](const char* family) {
    return std::find(families.begin(), families.end(), family) != families.end();
  };
  const bool dual = text_of(spec["ipFamilyPolicy"], "SingleStack") != "SingleStack";
  service.ipv4 = families.empty() || dual || lists("IPv4");
  service.ipv6 = dual || lists("IPv6");
}

void add_service(const YAML::Node& object, Manifests& into) {
  Service service{.meta = meta_of(object["metadata"])};
  const YAML::Node spec = object["spec"];
  if (!spec.IsDefined()) throw FieldError(object, "spec: missing");
  service.selector = map_of(spec["selector"]);
  service.headless = text_of(spec["clusterIP"]) == "None";
  if (text_of(spec["type"]) == "ExternalName")
    service.external_name = text_of(spec["externalName"]);
  service.publish_not_ready = flag_of(spec["publishNotReadyAddresses"], false);
  read_families(spec, service);
  for (const auto& port : spec["ports"]) {
    const std::string number = text_of(port["port"]);
    service.ports.push_back(
        {text_of(port["name"]), static_cast<uint16_t>(number_of(port["port"], 0)),
         text_of(port["targetPort"], number), text_of(port["protocol"], "TCP") == "TCP",
         text_of(port["appProtocol"])});
  }
  into.services.push_back(std::move(service));
}

DataObject data_object(const YAML::Node& object, const char* plain, const char* encoded) {
  DataObject data{meta_of(object["metadata"]), {}};
  for (const auto& [key, value] : map_of(object[encoded])) {
    const auto bytes = decode_base64(value);
    if (!bytes)
      throw FieldError(object[encoded], std::string(encoded) + "." + key + ": not base64");
    data.data[key] = *bytes;
  }
  for (const auto& [key, value] : map_of(object[plain]))
    data.data[key] = value;  // stringData wins over data
  return data;
}

void add_object(const YAML::Node& object, Manifests& into) {
  if (!object.IsMap()) throw FieldError(object, "a Kubernetes object was expected");
  const std::string kind = text_of(object["kind"]), group = text_of(object["apiVersion"]);
  if (kind == "List") {
    for (const auto& item : object["items"]) add_object(item, into);
  } else if (kind == "Pod") {
    add_pod(object, into);
  } else if (kind == "Deployment") {
    add_pods_of_deployment(object, into);
  } else if (kind == "Service") {
    add_service(object, into);
  } else if (kind == "ConfigMap") {
    into.config_maps.push_back(data_object(object, "data", "binaryData"));
  } else if (kind == "Secret") {
    into.secrets.push_back(data_object(object, "stringData", "data"));
  } else if (kind == "Namespace") {
    into.namespaces.push_back(meta_of(object["metadata"]));
  } else if (kind != "ServiceAccount" && group.find(".istio.io/") == std::string::npos) {
    into.warnings.push_back("line " + std::to_string(object.Mark().line + 1) +
                            ": the sandbox doesn't run kind " + (kind.empty() ? "(none)" : kind));
  }
}

template <class Object>
void replace_or_add(std::vector<Object>& into, Object object) {
  const auto same = std::find_if(into.begin(), into.end(), [&](const Object& each) {
    return each.meta.key() == object.meta.key();
  });
  if (same == into.end()) {
    into.push_back(std::move(object));
  } else {
    *same = std::move(object);
  }
}

}  // namespace

Result<Manifests> parse_manifests(std::string_view text, const std::string& file) {
  const auto failure = [&](int line, const std::string& reason) {
    return Error{
        Fault::protocol, Side::local, false, file + ":" + std::to_string(line) + ": " + reason, {}};
  };
  if (text.size() > limits::document_bytes) return failure(1, "longer than the limit");
  Manifests manifests;
  try {
    for (const YAML::Node& document : YAML::LoadAll(std::string(text))) {
      if (document.IsDefined() && !document.IsNull()) add_object(document, manifests);
    }
  } catch (const FieldError& error) {
    return failure(error.line, error.what());
  } catch (const YAML::Exception& error) {
    return failure(error.mark.line + 1, error.msg);
  }
  for (std::string& warning : manifests.warnings) warning = file + ": " + warning;
  return manifests;
}

void merge(Manifests& older, Manifests newer) {
  for (Pod& pod : newer.pods) replace_or_add(older.pods, std::move(pod));
  for (Service& service : newer.services) replace_or_add(older.services, std::move(service));
  for (DataObject& map : newer.config_maps) replace_or_add(older.config_maps, std::move(map));
  for (DataObject& secret : newer.secrets) replace_or_add(older.secrets, std::move(secret));
  for (ObjectMeta& meta : newer.namespaces) older.namespaces.push_back(std::move(meta));
  for (std::string& warning : newer.warnings) older.warnings.push_back(std::move(warning));
}

const DataObject* find(const std::vector<DataObject>& among, const std::string& namespace_name,
                       const std::string& name) {
  for (const DataObject& object : among) {
    if (object.meta.namespace_name == namespace_name && object.meta.name == name) return &object;
  }
  return nullptr;
}

}  // namespace sallyport::sandbox
