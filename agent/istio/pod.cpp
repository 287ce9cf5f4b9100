// Kubernetes' Pod and EndpointSlice, as far as endpoints are made of them. The many fields that
// Kubernetes has beside these are taken without a word.
#include "agent/istio/kinds.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

void decode_ports(Pod& pod, Fields& container) {
  container.each(
      "ports",
      [&](Fields& port) {
        const std::string transport = port.text("protocol");
        if (!transport.empty() && transport != "TCP") return;
        const auto number = port.port("containerPort");
        if (number != 0) pod.ports.push_back({port.text("name"), number});
      },
      Unknown::ignore);
}

void decode_pod_spec(Pod& pod, Fields& spec) {
  const std::string account = spec.text("serviceAccountName");
  if (!account.empty()) pod.service_account = account;
  pod.host_network = spec.boolean("hostNetwork").value_or(false);
  pod.host_name = lower_case(spec.text("hostname"));
  pod.subdomain = lower_case(spec.text("subdomain"));
  if (pod.host_name.empty()) pod.host_name = pod.metadata.name();
  const auto read = [&](Fields& container) { decode_ports(pod, container); };
  spec.each("containers", read, Unknown::ignore);
  spec.each(
      "initContainers",
      [&](Fields& container) {
        // With this policy it is a native sidecar, which serves as long as the others do.
        if (container.text("restartPolicy") == "Always") decode_ports(pod, container);
      },
      Unknown::ignore);
}

void add_ip(Pod& pod, const std::string& ip) {
  if (!ip.empty()) pod.ips.push_back(ip);
}

void decode_pod_status(Pod& pod, Fields& status) {
  const std::string phase = status.text("phase");
  pod.over = phase == "Succeeded" || phase == "Failed";
  status.each(
      "podIPs", [&](Fields& one) { add_ip(pod, one.text("ip")); }, Unknown::ignore);
  const std::string ip = status.text("podIP");
  if (pod.ips.empty()) add_ip(pod, ip);
  status.each(
      "conditions",
      [&](Fields& condition) {
        if (condition.text("type") == "Ready") pod.ready = condition.text("status") == "True";
      },
      Unknown::ignore);
}

EndpointSlice::Endpoint decode_endpoint(Fields& fields) {
  EndpointSlice::Endpoint endpoint;
  endpoint.line = fields.line();
  endpoint.addresses = fields.texts("addresses");
  fields.object(
      "conditions",
      [&](Fields& conditions) {  // unknown counts as ready, as Kubernetes asks of its readers
        endpoint.ready = conditions.boolean("ready").value_or(true);
      },
      Unknown::ignore);
  fields.object(
      "targetRef",
      [&](Fields& target) {
        if (target.text("kind") == "Pod") endpoint.pod = target.text("name");
      },
      Unknown::ignore);
  endpoint.zone = fields.text("zone");
  return endpoint;
}

// As istiod names a workload (pkg/kube/util.go, GetDeployMetaFromPod): the ReplicaSet of a
// Deployment has its name and the pods' hash.
void decode_owner(Pod& pod, Fields& metadata) {
  metadata.each(
      "ownerReferences",
      [&](Fields& owner) {
        if (!owner.boolean("controller").value_or(false)) return;
        pod.owner = owner.text("name");
        const auto hash = pod.metadata.labels.find("pod-template-hash");
        if (owner.text("kind") != "ReplicaSet" || hash == pod.metadata.labels.end()) return;
        const std::string suffix = "-" + hash->second;
        if (pod.owner.ends_with(suffix)) pod.owner.resize(pod.owner.size() - suffix.size());
      },
      Unknown::ignore);
}

}  // namespace

Pod decode_pod(Metadata metadata, Fields& document) {
  Pod pod;
  pod.metadata = std::move(metadata);
  pod.metadata.annotations = {};  // of an injected pod they are many, and say nothing here
  document.object(
      "metadata", [&](Fields& fields) { decode_owner(pod, fields); }, Unknown::ignore);
  document.object(
      "spec", [&](Fields& spec) { decode_pod_spec(pod, spec); }, Unknown::ignore);
  document.object(
      "status", [&](Fields& status) { decode_pod_status(pod, status); }, Unknown::ignore);
  return pod;
}

EndpointSlice decode_endpoint_slice(Metadata metadata, Fields& document) {
  EndpointSlice slice;
  slice.metadata = std::move(metadata);
  slice.metadata.annotations = {};
  const auto& labels = slice.metadata.labels;
  if (const auto at = labels.find("kubernetes.io/service-name"); at != labels.end())
    slice.service = at->second;
  const std::string type = document.text("addressType");
  document.each(
      "endpoints", [&](Fields& fields) { slice.endpoints.push_back(decode_endpoint(fields)); },
      Unknown::ignore);
  document.each(
      "ports",
      [&](Fields& port) {
        const std::string transport = port.text("protocol");
        const auto number = port.port("port");
        if (number != 0 && (transport.empty() || transport == "TCP"))
          slice.ports.push_back({port.text("name"), number});
      },
      Unknown::ignore);
  if (type == "FQDN") {
    document.warn("addressType", "names are no endpoints: Istio and this proxy take IP addresses");
    slice.endpoints.clear();
  } else if (type != "IPv4" && type != "IPv6") {
    document.error("addressType", type.empty() ? "required" : "unknown value " + quoted(type));
  }
  return slice;
}

}  // namespace sallyport::istio
