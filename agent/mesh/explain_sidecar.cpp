#include "agent/mesh/explain_sidecar.h"

#include "agent/mesh/sidecar_scope.h"

namespace sallyport::mesh {
namespace {

// Services and who serves them, and nothing that leads elsewhere: what remains of a question is
// whose host or address it names.
CompileInput services_alone(const CompileInput& input) {
  CompileInput out{input.mesh, input.proxy, {}, {}};
  for (const auto& resource : input.resources) {
    const auto* any = resource.get();
    if (std::holds_alternative<istio::Sidecar>(*any) ||
        std::holds_alternative<istio::VirtualService>(*any) ||
        std::holds_alternative<istio::DestinationRule>(*any))
      continue;
    out.resources.push_back(resource);
  }
  return out;
}

ClusterPtr cluster_for(const Snapshot& snapshot, const Question& question) {
  const auto& to = question.destination;
  const auto plan = decide_connection(snapshot, find_listener(snapshot, to), to, question.preface);
  if (plan.action != Action::http) return plan.cluster;
  const auto request = decide_request(snapshot, to.port(), to, question.request);
  return request.cluster ? *request.cluster : nullptr;
}

}  // namespace

std::vector<std::string> services_not_imported(const CompileInput& input,
                                               const Question& question) {
  const SidecarScope scope(input);
  if (scope.sees_all()) return {};
  const auto all = compile(services_alone(input), nullptr, 1);
  const auto cluster = cluster_for(*all.snapshot, question);
  if (!cluster || !cluster->service) return {};
  const auto& service = *cluster->service;
  if (scope.sees_service(cluster->host, service.namespace_name, cluster->port)) return {};
  const bool by_name =
      question.preface.protocol == sniff::Protocol::http1 || !question.preface.sni.empty();
  return {service.text() + " has this " + (by_name ? "host" : "address") + ", but " +
          scope.sidecar()->metadata.ref->text() + " does not list it in egress hosts"};
}

}  // namespace sallyport::mesh
