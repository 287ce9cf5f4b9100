#include "agent/cli/explain_load.h"

#include <algorithm>

#include "agent/cli/explain_manifests.h"
#include "agent/cli/input.h"
#include "agent/cli/mesh_config.h"
#include "agent/cli/validation.h"
#include "agent/config/secrets.h"
#include "agent/config/store.h"
#include "agent/istio/labels.h"
#include "agent/istio/scalar.h"
#include "agent/mesh/host_names.h"

namespace sallyport::cli {
namespace {

Result<istio::MeshConfig> read_mesh(const std::string& path) {
  const auto text = read_input(path);
  if (!text) return text.error();
  auto read = check_mesh_config(*text, path);
  if (const auto* error = first_error(read.findings)) return Error{.context = error->text()};
  return std::move(read.config);
}

std::vector<analyze::Source> sources_of(const config::SourceTree& tree) {
  std::vector<analyze::Source> out;
  for (const auto& file : tree.files) out.push_back({file.path, file.text});
  return out;
}

// As kubectl and istioctl name it: deploy/NAME, pod/NAME.
bool names_kind(const std::string& written, const std::string& kind) {
  static const std::pair<const char*, const char*> short_names[] = {
      {"deploy", "deployment"}, {"po", "pod"},     {"sts", "statefulset"},
      {"ds", "daemonset"},      {"cj", "cronjob"}, {"rs", "replicaset"}};
  auto wanted = mesh::lower(written);
  if (wanted.ends_with('s') && wanted != "sts" && wanted != "ds" && wanted != "rs") {
    wanted.pop_back();
  }
  for (const auto& [abbreviation, full] : short_names) {
    if (wanted == abbreviation) wanted = full;
  }
  return wanted == mesh::lower(kind);
}

// A bare name is looked for in every namespace, in `space` first.
Result<const analyze::Workload*> find_pod(const analyze::World& world, const std::string& from,
                                          const std::string& space, const char* flag) {
  std::string all;
  const analyze::Workload* found = nullptr;
  const auto slash = std::min(from.find('/'), from.size());
  const auto kind = from.substr(0, slash), name = from.substr(std::min(slash + 1, from.size()));
  for (const auto& workload : world.workloads()) {
    const auto& ref = *workload.ref;
    const bool of_kind = names_kind(kind, ref.kind);
    const auto whole = ref.name + "." + ref.namespace_name;
    if ((of_kind && name == whole) || from == whole || from == ref.namespace_name + "/" + ref.name)
      return &workload;
    const bool called = from == ref.name || (of_kind && name == ref.name);
    if (called && (!found || (found->ref->namespace_name != space && ref.namespace_name == space)))
      found = &workload;
    all += (all.empty() ? "" : ", ") + ref.namespace_name + "/" + ref.name;
  }
  if (found) return found;
  return Error{.context = std::string(flag) + ": no pod or workload is called " + from +
                          (all.empty() ? "; give its manifest as a PATH" : "; there are " + all)};
}

// The first pod with those labels, in `space` if there is one. Null: none has them.
const analyze::Workload* labelled_pod(const analyze::World& world, const istio::Labels& labels,
                                      const std::string& space) {
  const analyze::Workload* found = nullptr;
  for (const auto& one : world.workloads()) {
    if (!istio::selects(labels, one.labels)) continue;
    if (one.ref->namespace_name == space) return &one;
    if (!found) found = &one;
  }
  return found;
}

Result<void> find_gateway(const std::string& gateway, Loaded& out) {
  auto& proxy = out.input.proxy;
  proxy.type = istio::Proxy::Type::router;
  if (gateway == "self") return {};
  if (gateway.find('=') == gateway.npos) {
    const auto pod = find_pod(*out.world, gateway, proxy.namespace_name, "--gateway");
    if (!pod) return pod.error();
    out.pod = *pod;
    return {};
  }
  proxy.labels.clear();
  for (const auto part : istio::comma_separated(gateway)) {
    const auto equals = std::min(part.find('='), part.size());
    proxy.labels.insert_or_assign(std::string(part.substr(0, equals)),
                                  std::string(part.substr(std::min(equals + 1, part.size()))));
  }
  out.pod = labelled_pod(*out.world, proxy.labels, proxy.namespace_name);
  return {};
}

Result<void> find_proxy(const LoadRequest& request, Loaded& out) {
  if (!request.gateway.empty()) {
    if (const auto found = find_gateway(request.gateway, out); !found) return found.error();
  } else if (!request.from.empty()) {
    const auto pod = find_pod(*out.world, request.from, out.input.proxy.namespace_name, "--from");
    if (!pod) return pod.error();
    out.pod = *pod;
  }
  if (!out.pod) return {};
  auto& proxy = out.input.proxy;
  proxy.name = out.pod->ref->name;
  proxy.namespace_name = out.pod->ref->namespace_name;
  proxy.service_account = out.pod->service_account;
  proxy.labels = out.pod->labels;
  proxy.addresses.clear();
  return {};
}

// Those that a Pod document says; a template has none.
std::vector<std::string> addresses_of(const ResourceRef& ref, const mesh::Resources& resources) {
  for (const auto& resource : resources) {
    const auto* pod = std::get_if<istio::Pod>(resource.get());
    if (pod && *pod->metadata.ref == ref) return pod->ips;
  }
  return {};
}

std::shared_ptr<const certs::Vault> build_vault(const mesh::Compiled& compiled,
                                                const config::InForce& in_force,
                                                const std::string& namespace_name) {
  std::vector<config::WantedSecret> wanted;
  for (const auto& name : compiled.secret_names) wanted.push_back({name, ""});
  config::Secrets secrets(namespace_name);
  return secrets.build(wanted, in_force.resources, in_force.findings);
}

}  // namespace

Result<Loaded> load(LoadRequest request) {
  std::optional<istio::MeshConfig> mesh;
  if (!request.mesh_config.empty()) {
    auto read = read_mesh(request.mesh_config);
    if (!read) return read.error();
    mesh = std::move(*read);
  }
  const auto tree = read_sources(request.paths);
  if (!tree) return tree.error();
  Loaded out;
  out.world = std::make_unique<analyze::World>(sources_of(*tree), mesh ? &*mesh : nullptr);
  if (const auto& read = out.world->mesh_read()) {
    if (const auto* error = first_error(read->result.findings)) {
      return Error{.context = error->text()};
    }
  }
  out.input.mesh = out.world->mesh();
  if (!request.domain.empty()) out.input.mesh.cluster_domain = request.domain;
  out.input.proxy = std::move(request.proxy);
  if (const auto found = find_proxy(request, out); !found) return found.error();
  config::Store store;
  const auto in_force = store.update(*tree);
  out.input.resources = in_force.resources;
  out.input.refused = in_force.refused;
  if (out.pod) out.input.proxy.addresses = addresses_of(*out.pod->ref, out.input.resources);
  if (request.manifests) place_manifests(*out.world, out.input.resources);
  auto compiled = mesh::compile(out.input, nullptr, 1);
  out.vault = build_vault(compiled, in_force, out.input.proxy.namespace_name);
  out.snapshot = std::move(compiled.snapshot);
  out.findings = std::move(compiled.findings);
  return out;
}

}  // namespace sallyport::cli
