#include "agent/analyze/world.h"

#include <algorithm>

#include "agent/istio/decode_refused.h"
#include "agent/istio/documents.h"
#include "agent/istio/labels.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"

namespace sallyport::analyze {
namespace {

constexpr int lists_in_lists_max = 4;  // as istio/decode.cpp

std::vector<std::string> exports_of(const Host& host) {
  if (host.entry.value) return host.entry->export_to;
  std::vector<std::string> out;
  const auto& annotations = host.service->metadata.annotations;
  const auto at = annotations.find("networking.istio.io/exportTo");
  if (at == annotations.end()) return out;
  for (const auto part : istio::comma_separated(at->second)) out.emplace_back(part);
  return out;
}

}  // namespace

std::set<std::string> export_scopes(const std::vector<std::string>& export_to,
                                    const std::string& own) {
  std::set<std::string> out;
  for (const auto& entry : export_to) {
    if (entry == "*") return {"*"};
    out.insert(entry == "." ? own : entry);
  }
  return out.empty() ? std::set<std::string>{"*"} : out;
}

World::World(const std::vector<Source>& sources, const istio::MeshConfig* mesh) {
  for (const auto& source : sources) read(source);
  if (mesh) {
    mesh_ = *mesh;
    knows_mesh_ = true;
  } else {
    read_mesh();
  }
  add_hosts();
  add_rules();
}

void World::read(const Source& source) {
  auto decoded = istio::decode(source.text, source.path);
  for (auto& resource : decoded.resources) {
    const auto ref = istio::metadata_of(resource).ref;  // a copy: the resource moves on
    decoded_.try_emplace({ref->file, ref->line},
                         std::make_shared<const istio::Resource>(std::move(resource)));
  }
  if (!decoded.refused.empty()) {
    for (auto& resource : istio::decode_refused(source.text, source.path)) {
      const auto ref = istio::metadata_of(resource).ref;
      read_of_refused_.try_emplace({ref->file, ref->line},
                                   std::make_shared<const istio::Resource>(std::move(resource)));
    }
  }
  const auto append = [](auto& to, auto& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  };
  append(decode_findings_, decoded.findings);
  append(refused_, decoded.refused);
  add_documents(source);
}

void World::add_documents(const Source& source) {
  for (const auto& document : istio::split_documents(source.text)) {
    if (istio::check_text(document)) continue;  // decode() told of it
    trees_.push_back(istio::parse_trees(document.text, document.line));
    if (!trees_.back().errors.empty()) continue;
    for (const auto* root : trees_.back().roots) add_document(source, *root, 0);
  }
}

void World::add_document(const Source& source, const istio::Node& node, int depth) {
  const auto kind = scalar(node.find("kind"));
  if (kind.empty()) return;
  if (const auto* items = node.find("items"); kind.ends_with("List") && items) {
    if (depth >= lists_in_lists_max) return;
    for (const auto& item : items->entries) add_document(source, *item.value, depth + 1);
    return;
  }
  Object object;
  object.node = &node;
  object.annotations = string_map(analyze::find(node, "metadata.annotations"));
  auto space = scalar(analyze::find(node, "metadata.namespace"));
  if (space.empty()) space = "default";
  object.ref = std::make_shared<ResourceRef>(ResourceRef{
      kind, space, scalar(analyze::find(node, "metadata.name")), source.path, node.line});
  if (const auto at = decoded_.find({source.path, node.line}); at != decoded_.end()) {
    object.resource = at->second;
  } else if (const auto read = read_of_refused_.find({source.path, node.line});
             read != read_of_refused_.end()) {
    object.refused = read->second;
  }
  by_name_.try_emplace({kind, space, object.ref->name}, objects_.size());
  objects_.push_back(std::move(object));
  if (!pod_path(kind)) return;
  workloads_by_namespace_.emplace(space, workloads_.size());
  workloads_.push_back(read_workload(node, objects_.back().ref));
}

void World::read_mesh() {
  for (const auto& map : all<istio::ConfigMap>()) {
    const auto text = map->data.find("mesh");
    if (map->metadata.name() != "istio" || text == map->data.end()) continue;
    // Its lines are the file's.
    const auto* node = analyze::find(*map.object->node, "data.mesh");
    const bool block = text->second.find('\n') != std::string::npos;
    const int before = node ? node->line - (block ? 0 : 1) : 0;
    const auto& file = map.object->ref->file.str();
    auto read = istio::decode_mesh_config(
        std::string(static_cast<std::size_t>(before), '\n') + text->second, file);
    decode_findings_.insert(decode_findings_.end(), read.findings.begin(), read.findings.end());
    const bool good = std::none_of(
        read.findings.begin(), read.findings.end(),
        [](const auto& finding) { return finding.severity == istio::Severity::error; });
    if (good) mesh_ = read.config;
    knows_mesh_ = good;
    mesh_read_ = MeshRead{file, std::move(read)};
    return;
  }
}

void World::add_hosts() {
  for (const auto& entry : all_read<istio::ServiceEntry>()) {
    for (const auto& name : entry->hosts) hosts_.push_back({mesh::lower(name), entry, {}});
  }
  for (const auto& service : all_read<istio::Service>()) {
    hosts_.push_back(
        {full_name(service->metadata.name(), service->metadata.namespace_name()), {}, service});
  }
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    host_names_.add(hosts_[i].name, i);
  }
}

void World::add_rules() {
  rules_ = all<istio::DestinationRule>();
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const auto& rule = *rules_[i].value;
    rule_hosts_.add(full_name(rule.host, rule.metadata.namespace_name()), i);
  }
}

const Object* World::find(std::string_view kind, std::string_view namespace_name,
                          std::string_view name) const {
  const auto at =
      by_name_.find({std::string(kind), std::string(namespace_name), std::string(name)});
  return at == by_name_.end() ? nullptr : &objects_[at->second];
}

bool World::has_kind(std::string_view kind) const {
  return std::any_of(objects_.begin(), objects_.end(),
                     [&](const Object& object) { return object.ref->kind == kind; });
}

bool World::sees(const Host& host, std::string_view from) const {
  return mesh::exported(exports_of(host), mesh_.default_service_export_to, host.namespace_name(),
                        from);
}

std::vector<const Host*> World::seen_of(NameIndex::Numbers numbers, std::string_view from) const {
  std::sort(numbers.begin(), numbers.end());  // in the order of the files
  std::vector<const Host*> out;
  for (const auto number : numbers) {
    if (sees(hosts_[number], from)) out.push_back(&hosts_[number]);
  }
  return out;
}

std::vector<const Host*> World::hosts_called(std::string_view name, std::string_view from) const {
  auto out = seen_of(host_names_.called(name), from);
  return out.empty() ? seen_of(host_names_.covering(name), from) : out;
}

std::vector<const Host*> World::hosts_under(std::string_view name, std::string_view from) const {
  return seen_of(mesh::is_wildcard(name) ? host_names_.within(name) : host_names_.called(name),
                 from);
}

const Host* World::destination(std::string_view written, std::string_view from,
                               const std::vector<std::string>& export_to) const {
  const std::string own(from);
  const auto name = full_name(written, from);
  const auto exported_to = [&](const NameIndex::Numbers& numbers, const std::string& scope) {
    const Host* found = nullptr;
    for (const auto number : numbers) {
      const auto& host = hosts_[number];
      if (export_scopes(exports_of(host), host.namespace_name()).contains(scope)) found = &host;
    }
    return found;
  };
  const auto called = host_names_.called(name);
  if (const auto* found = exported_to(called, "*")) return found;
  for (const auto& entry : export_to.empty() ? std::vector<std::string>{"."} : export_to) {
    if (const auto* found = exported_to(called, entry == "." ? own : entry)) return found;
  }
  const auto covering = host_names_.covering(name);
  const auto* found = exported_to(covering, "*");
  return found ? found : exported_to(covering, own);
}

std::vector<Typed<istio::DestinationRule>> World::rules_for(std::string_view host) const {
  auto numbers = rule_hosts_.called(host);
  const auto wild = rule_hosts_.covering(host);
  numbers.insert(numbers.end(), wild.begin(), wild.end());
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  std::vector<Typed<istio::DestinationRule>> out;
  for (const auto number : numbers) out.push_back(rules_[number]);
  return out;
}

std::string World::full_name(std::string_view written, std::string_view namespace_name) const {
  return mesh::expand_short_name(written, namespace_name, mesh_.cluster_domain);
}

std::vector<const Workload*> World::selected(const istio::Labels& selector,
                                             std::string_view namespace_name) const {
  std::vector<const Workload*> out;
  const auto [first, last] = workloads_by_namespace_.equal_range(namespace_name);
  for (auto at = first; at != last; ++at) {
    const auto& workload = workloads_[at->second];
    if (istio::selects(selector, workload.labels)) out.push_back(&workload);
  }
  return out;
}

std::vector<mesh::PodLabels> World::pods() const {
  std::vector<mesh::PodLabels> out;
  for (const auto& one : workloads_) {
    const auto& ref = *one.ref;
    out.push_back({ref.namespace_name, ref.kind == "Pod" ? ref.name : "", one.labels});
  }
  return out;
}

std::string World::why_no_sidecar(const Workload& workload) const {
  if (workload.has_proxy) return {};
  if (workload.host_network) return "hostNetwork: such a pod gets no sidecar";
  if (workload.refuses_sidecar)
    return "sidecar.istio.io/inject is \"false\": the pod has no sidecar";
  const auto mode = workload.labels.find("security.istio.io/tlsMode");
  if (workload.placed && mode != workload.labels.end() && mode->second == "istio") return {};
  if (workload.placed) return "the pod runs without a container istio-proxy";
  const auto& space = workload.ref->namespace_name;
  if (istio::gets_no_sidecars(space)) return "namespace " + space + " gets no sidecars";
  const auto* about = find("Namespace", "default", space);
  if (!about) return {};
  const auto labels = string_map(analyze::find(*about->node, "metadata.labels"));
  const auto at = labels.find("istio-injection");
  if (at == labels.end() || at->second != "disabled") return {};
  return "namespace " + space + " has istio-injection: disabled (" + about->ref->text() + ")";
}

mesh::CompileInput World::input_for(const istio::Proxy& proxy) const {
  mesh::CompileInput input;
  input.mesh = mesh_;
  input.proxy = proxy;
  for (const auto& object : objects_) {
    if (object.resource) input.resources.push_back(object.resource);
  }
  std::stable_sort(input.resources.begin(), input.resources.end(),
                   [](const auto& a, const auto& b) {
                     return istio::is_older(istio::metadata_of(*a), istio::metadata_of(*b));
                   });
  input.refused = refused_;
  return input;
}

}  // namespace sallyport::analyze
