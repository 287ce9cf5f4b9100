// Documents of workloads, in short.
#pragma once
#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {

struct PodSpec {
  std::string name, ip;  // several, with commas; empty: not placed
  std::string labels = "app: web";
  std::string space = "default";
  std::string account = {};  // empty: default
  std::string ports = {};    // flow content of its container's ports
  std::string status = {};   // more of it
};
inline std::string pod(const PodSpec& spec) {
  std::string ips;
  for (std::size_t at = 0; at < spec.ip.size();) {
    const auto end = std::min(spec.ip.find(", ", at), spec.ip.size());
    ips += (ips.empty() ? "{ip: '" : ", {ip: '") + spec.ip.substr(at, end - at) + "'}";
    at = end + 2;
  }
  return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + spec.name + ", namespace: " + spec.space +
         ", labels: {" + spec.labels + "}}\nspec:\n" +
         (spec.account.empty() ? "" : "  serviceAccountName: " + spec.account + "\n") +
         "  containers: [{name: a, ports: [" + spec.ports + "]}]\nstatus: {podIPs: [" + ips + "]" +
         (spec.status.empty() ? "" : ", " + spec.status) + "}\n---\n";
}

inline std::string slice(const std::string& service, const std::string& endpoints,
                         const std::string& ports) {
  return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + service +
         "-1, labels: {kubernetes.io/service-name: " + service +
         "}}\naddressType: IPv4\nendpoints: [" + endpoints + "]\nports: [" + ports + "]\n---\n";
}

inline std::string workload(const std::string& name, const std::string& spec) {
  return "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: " + name +
         "}\nspec: {" + spec + "}\n---\n";
}

// Service web of namespace default, which selects app=web.
inline std::string web_service(const std::string& port = "{port: 80, name: http, targetPort: 8080}",
                               const std::string& ip = "10.9.0.1") {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  clusterIP: " + ip +
         "\n  selector: {app: web}\n  ports: [" + port + "]\n---\n";
}

inline std::string endpoints(const World& world, const std::string& name) {
  const auto* cluster = world.cluster(name);
  if (!cluster) return "no cluster";
  std::string out;
  for (const auto& one : cluster->endpoints) {
    out += (out.empty() ? "" : " ") +
           (one.by_name() ? one.host + ":" + std::to_string(one.port) : one.address().text());
  }
  return out;
}

}  // namespace sallyport::mesh
