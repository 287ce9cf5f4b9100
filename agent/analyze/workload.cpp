#include "agent/analyze/workload.h"

#include <algorithm>
#include <charconv>

#include "agent/istio/scalar.h"

namespace sallyport::analyze {
namespace {

struct Kind {
  std::string_view name;
  const char* path;
};
constexpr Kind kinds[] = {{"Pod", ""},
                          {"Deployment", "spec.template"},
                          {"StatefulSet", "spec.template"},
                          {"DaemonSet", "spec.template"},
                          {"ReplicaSet", "spec.template"},
                          {"Job", "spec.template"},
                          {"CronJob", "spec.jobTemplate.spec.template"}};

// Takes "key", "[3]" off the front of a path.
std::string_view next_step(std::string_view& path) {
  if (path.starts_with('.')) path.remove_prefix(1);
  const bool index = path.starts_with('[');
  const auto end = index ? path.find(']') + 1 : std::min(path.find_first_of(".["), path.size());
  const auto step = path.substr(0, end);
  path.remove_prefix(end);
  return step;
}

const istio::Node::Entry* child(const istio::Node& node, std::string_view step) {
  if (step.starts_with('[')) {
    std::size_t index = 0;
    std::from_chars(step.data() + 1, step.data() + step.size(), index);
    const bool is_list = node.kind == istio::Node::Kind::sequence;
    return is_list && index < node.entries.size() ? &node.entries[index] : nullptr;
  }
  if (node.kind != istio::Node::Kind::mapping) return nullptr;
  for (const auto& entry : node.entries) {
    if (entry.key == step) return &entry;
  }
  return nullptr;
}

constexpr std::string_view proxy = "istio-proxy";

// Native sidecars are among the init containers.
template <class Visit>
void each_container(const Workload& workload, const Visit& visit) {
  for (const char* path : {"spec.containers", "spec.initContainers"}) {
    const auto* list = workload.pod ? find(*workload.pod, path) : nullptr;
    if (!list || list->kind != istio::Node::Kind::sequence) continue;
    for (const auto& one : list->entries) visit(*one.value);
  }
}

bool has_container(const Workload& workload, std::string_view name) {
  bool found = false;
  each_container(workload, [&](const istio::Node& container) {
    found = found || scalar(container.find("name")) == name;
  });
  return found;
}

}  // namespace

const char* pod_path(std::string_view kind) {
  for (const auto& one : kinds) {
    if (one.name == kind) return one.path;
  }
  return nullptr;
}

const istio::Node* find(const istio::Node& node, std::string_view path) {
  const istio::Node* at = &node;
  while (at && !path.empty()) {
    const auto* entry = child(*at, next_step(path));
    at = entry ? entry->value : nullptr;
  }
  return at;
}

int line_of(const istio::Node& node, std::string_view path) {
  const istio::Node* at = &node;
  int line = node.line;
  while (at && !path.empty()) {
    const auto* entry = child(*at, next_step(path));
    if (!entry) break;
    line = entry->line;
    at = entry->value;
  }
  return line;
}

std::string scalar(const istio::Node* node) {
  return node && node->is_scalar() ? node->text : std::string();
}

istio::Labels string_map(const istio::Node* node) {
  std::vector<istio::Labels::value_type> out;  // sorted once
  if (!node || node->kind != istio::Node::Kind::mapping) return {};
  for (const auto& entry : node->entries) out.emplace_back(entry.key, scalar(entry.value));
  return istio::Labels(out.begin(), out.end());
}

Workload read_workload(const istio::Node& document, ResourceRefPtr ref) {
  Workload out;
  const char* path = pod_path(ref->kind);
  out.ref = std::move(ref);
  out.path = path ? path : "";
  out.pod = find(document, out.path);
  if (!out.pod) return out;
  out.labels = string_map(find(*out.pod, "metadata.labels"));
  out.annotations = string_map(find(*out.pod, "metadata.annotations"));
  if (auto account = scalar(find(*out.pod, "spec.serviceAccountName")); !account.empty()) {
    out.service_account = std::move(account);
  }
  out.host_network = scalar(find(*out.pod, "spec.hostNetwork")) == "true";
  constexpr const char* wish = "sidecar.istio.io/inject";
  const auto& where = out.labels.contains(wish) ? out.labels : out.annotations;
  const auto at = where.find(wish);
  out.refuses_sidecar = at != where.end() && at->second == "false";
  out.has_proxy = out.annotations.contains("sidecar.istio.io/status") || has_container(out, proxy);
  out.placed =
      out.path.empty() && (find(document, "status.phase") || find(document, "status.podIP") ||
                           find(document, "status.podIPs"));
  return out;
}

std::vector<ContainerPort> container_ports(const Workload& workload) {
  std::vector<ContainerPort> out;
  each_container(workload, [&](const istio::Node& container) {
    const auto* ports = container.find("ports");
    if (!ports) return;
    for (const auto& port : ports->entries) {
      const auto transport = scalar(port.value->find("protocol"));
      if (!transport.empty() && transport != "TCP") continue;
      const auto text = scalar(port.value->find("containerPort"));
      uint16_t number = 0;
      std::from_chars(text.data(), text.data() + text.size(), number);
      if (number != 0) out.push_back({scalar(port.value->find("name")), number});
    }
  });
  return out;
}

uint16_t container_port(const istio::ServicePort& port, const Workload& workload) {
  if (port.target_port_name.empty()) return port.target_port ? port.target_port : port.number;
  for (const auto& one : container_ports(workload))
    if (one.name == port.target_port_name) return one.number;
  return 0;
}

bool captures_inbound(const Workload& workload, uint16_t port) {
  const auto listed = [&](const char* annotation, const char* otherwise) {
    const auto at =
        workload.annotations.find(std::string("traffic.sidecar.istio.io/") + annotation);
    return istio::comma_separated(at == workload.annotations.end() ? std::string_view(otherwise)
                                                                   : std::string_view(at->second));
  };
  const auto has = [](const std::vector<std::string_view>& all, std::string_view one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  };
  const auto included = listed("includeInboundPorts", "*");
  const auto number = std::to_string(port);
  return (has(included, "*") || has(included, number)) &&
         !has(listed("excludeInboundPorts", ""), number);
}

}  // namespace sallyport::analyze
