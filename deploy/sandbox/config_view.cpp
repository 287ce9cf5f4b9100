#include "deploy/sandbox/config_view.h"

#include <algorithm>
#include <functional>
#include <set>

#include "deploy/sandbox/yaml_fields.h"

namespace sallyport::sandbox {
namespace {

bool is_for(const YAML::Node& object, const std::string& namespace_name) {
  const std::string kind = text_of(object["kind"]), group = text_of(object["apiVersion"]);
  if (group.find(".istio.io/") != std::string::npos) return true;
  if (kind != "Secret" && kind != "ConfigMap") return false;
  return meta_of(object["metadata"]).namespace_name == namespace_name;
}

std::string blank(const std::string& document) {
  return std::string(static_cast<std::size_t>(std::count(document.begin(), document.end(), '\n')),
                     '\n');
}

// The document, or blank lines in its place; of a List, the items that `wanted` takes.
std::string filtered(const std::string& document,
                     const std::function<bool(const YAML::Node&)>& wanted) {
  const YAML::Node object = YAML::Load(document);
  if (!object.IsMap()) return blank(document);
  if (text_of(object["kind"]) != "List") return wanted(object) ? document : blank(document);
  YAML::Node items(YAML::NodeType::Sequence);
  for (const auto& item : object["items"]) {
    if (wanted(item)) items.push_back(item);
  }
  if (items.size() == object["items"].size()) return document;
  YAML::Node list(YAML::NodeType::Map);
  list["apiVersion"] = "v1";
  list["kind"] = "List";
  list["items"] = items;
  return YAML::Dump(list) + "\n";
}

std::string seen_by(const std::string& document, const std::string& namespace_name) {
  try {
    return filtered(document,
                    [&](const YAML::Node& object) { return is_for(object, namespace_name); });
  } catch (const std::exception&) {
    // Broken: the sidecar shall say so; unless it might be somebody's Secret.
    return document.find("Secret") == std::string::npos ? document : blank(document);
  }
}

bool is_separator(std::string_view line) {
  return line.starts_with("---") &&
         (line.size() == 3 || line[3] == ' ' || line[3] == '\r' || line[3] == '\n');
}

// `change` applied to each document of a text; separators stay.
std::string each_document(const std::string& text,
                          const std::function<std::string(const std::string&)>& change) {
  std::string changed, document;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t newline = text.find('\n', at);
    const std::size_t end = newline == std::string::npos ? text.size() : newline + 1;
    const std::string line = text.substr(at, end - at);
    at = end;
    if (is_separator(line)) {
      changed += change(document) + line;
      document.clear();
    } else {
      document += line;
    }
  }
  return changed + change(document);
}

std::string identity_of(const YAML::Node& object) {
  return text_of(object["kind"]) + " " + meta_of(object["metadata"]).key();
}

void add_identities(const YAML::Node& object, std::set<std::string>& identities) {
  if (!object.IsMap()) return;
  if (text_of(object["kind"]) != "List") identities.insert(identity_of(object));
  for (const auto& item : object["items"]) add_identities(item, identities);
}

}  // namespace

Files config_view(const Files& sources, const std::string& namespace_name) {
  Files view;
  for (const auto& [name, text] : sources) {
    view[name] = each_document(
        text, [&](const std::string& document) { return seen_by(document, namespace_name); });
  }
  return view;
}

void supersede(Files& sources, const std::string& newer_text) {
  std::set<std::string> newer;
  try {
    for (const YAML::Node& document : YAML::LoadAll(newer_text)) add_identities(document, newer);
  } catch (const std::exception&) {
    return;  // Broken text replaces nothing: the last good version stays.
  }
  const auto kept = [&](const YAML::Node& object) { return !newer.count(identity_of(object)); };
  for (auto& [name, text] : sources) {
    text = each_document(text, [&](const std::string& document) {
      try {
        return filtered(document, kept);
      } catch (const std::exception&) {
        return document;
      }
    });
  }
}

std::string injection_context(const Files& sources) {
  const auto counts = [](const YAML::Node& object) {
    const std::string kind = text_of(object["kind"]);
    return kind == "Namespace" || identity_of(object) == "ConfigMap istio-system/istio";
  };
  std::string context;
  for (const auto& [name, text] : sources) {
    const std::string kept = each_document(text, [&](const std::string& document) {
      try {
        return filtered(document, counts);
      } catch (const std::exception&) {
        return blank(document);  // Broken text says nothing of others.
      }
    });
    context += "---\n" + kept + (kept.ends_with('\n') ? "" : "\n");
  }
  return context;
}

std::string services_with_addresses(const std::vector<Service>& services,
                                    const std::map<std::string, ServiceAddresses>& addresses) {
  std::string text;
  for (const Service& service : services) {
    YAML::Node object;
    object["apiVersion"] = "v1";
    object["kind"] = "Service";
    object["metadata"]["name"] = service.meta.name;
    object["metadata"]["namespace"] = service.meta.namespace_name;
    for (const auto& [key, value] : service.meta.labels) object["metadata"]["labels"][key] = value;
    for (const auto& [key, value] : service.meta.annotations)
      object["metadata"]["annotations"][key] = value;
    YAML::Node spec = object["spec"];
    const auto known = addresses.find(service.meta.key());
    if (known == addresses.end()) {
      spec["type"] = "ExternalName";
      spec["externalName"] = service.external_name;
    } else if (!known->second.cluster_ips.empty()) {
      spec["clusterIP"] = known->second.cluster_ips.front();
      for (const std::string& ip : known->second.cluster_ips) spec["clusterIPs"].push_back(ip);
    }
    for (const auto& [key, value] : service.selector) spec["selector"][key] = value;
    for (const ServicePort& port : service.ports) {
      YAML::Node entry;
      if (!port.name.empty()) entry["name"] = port.name;
      entry["port"] = port.port;
      entry["targetPort"] = port.target;
      entry["protocol"] = port.tcp ? "TCP" : "UDP";
      if (!port.app_protocol.empty()) entry["appProtocol"] = port.app_protocol;
      spec["ports"].push_back(entry);
    }
    text += "---\n" + YAML::Dump(object) + "\n";
  }
  return text;
}

namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

// A flow sequence: a label's "true" or "1" has to stay a string.
std::string list_of(const std::vector<std::string>& items) {
  std::string out;
  for (const auto& item : items) out += (out.empty() ? "" : ", ") + item;
  return "[" + out + "]";
}

std::string container_text(const Container& container) {
  std::vector<std::string> ports;
  for (const auto& port : container.ports) {
    ports.push_back("{containerPort: " + std::to_string(port.number) +
                    (port.name.empty() ? "" : ", name: " + quoted(port.name)) +
                    (port.tcp ? "" : ", protocol: UDP") + "}");
  }
  return "{name: " + quoted(container.name) + ", ports: " + list_of(ports) +
         (container.stays ? ", restartPolicy: Always}" : "}");
}

// Whose pod it is, as Kubernetes says it: metrics name workloads by that.
std::string owner_text(const Pod& pod) {
  if (pod.workload == pod.meta.name) return {};
  return "\n  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, controller: true, name: " +
         quoted(pod.workload) + "}]";
}

}  // namespace

std::string pods_with_addresses(const std::vector<PodState>& pods) {
  std::string text;
  for (const PodState& state : pods) {
    const Pod& pod = *state.pod;
    std::string labels;
    for (const auto& [key, value] : pod.meta.labels) {
      if (!labels.empty()) labels += ", ";
      labels.append(quoted(key)).append(": ").append(quoted(value));
    }
    std::vector<std::string> containers, inits, ips;
    for (const auto& one : pod.containers) containers.push_back(container_text(one));
    for (const auto& one : pod.init_containers) inits.push_back(container_text(one));
    for (const auto& ip : state.ips) ips.push_back("{ip: " + quoted(ip) + "}");
    text += "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: " + quoted(pod.meta.name) +
            "\n  namespace: " + quoted(pod.meta.namespace_name) + "\n  labels: {" + labels + "}" +
            owner_text(pod) + "\nspec:\n  serviceAccountName: " + quoted(pod.service_account) +
            "\n  containers: " + list_of(containers) + "\n  initContainers: " + list_of(inits) +
            "\nstatus:\n  phase: Running\n  podIPs: " + list_of(ips) +
            "\n  conditions: [{type: Ready, status: " + (state.ready ? "'True'" : "'False'") +
            "}]\n";
  }
  return text;
}

}  // namespace sallyport::sandbox
