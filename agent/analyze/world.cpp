#include "agent/analyze/world.h"

#include <algorithm>

#include "agent/istio/documents.h"
#include "agent/istio/scalar.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"

namespace sallyport::analyze {
namespace {

constexpr int lists_in_lists_max = 4;  // as istio/decode.cpp

bool covers(std::string_view wildcard, std::string_view host) {
  if (!mesh::is_wildcard(wildcard)) return wildcard == host;
  return host.size() >= wildcard.size() && host.ends_with(wildcard.substr(1));
}

}  // namespace

bool selects(const istio::Labels& selector, const istio::Labels& labels) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
    const auto at = labels.find(wanted.first);
    return at != labels.end() && at->second == wanted.second;
  });
}

std::string text_of(const istio::Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    if (!out.empty()) out += ",";
    out.append(key).append("=").append(value);
  }
  return out;
}

World::World(const std::vector<Source>& sources, const istio::MeshConfig* mesh) {
  for (const auto& source : sources) read(source);
  if (mesh) {
    mesh_ = *mesh;
  } else {
    read_mesh();
  }
  add_hosts();
}

void World::read(const Source& source) {
  auto decoded = istio::decode(source.text, source.path);
  for (auto& resource : decoded.resources) {
    const auto ref = istio::metadata_of(resource).ref;  // a copy: the resource moves on
    decoded_.try_emplace({ref->file, ref->line},
                         std::make_shared<const istio::Resource>(std::move(resource)));
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
  }
  objects_.push_back(std::move(object));
  if (pod_path(kind)) workloads_.push_back(read_workload(node, objects_.back().ref));
}

void World::read_mesh() {
  for (const auto& map : all<istio::ConfigMap>()) {
    const auto text = map->data.find("mesh");
    if (map->metadata.name != "istio" || text == map->data.end()) continue;
    // Its lines are the file's.
    const auto* node = analyze::find(*map.object->node, "data.mesh");
    const bool block = text->second.find('\n') != std::string::npos;
    const int before = node ? node->line - (block ? 0 : 1) : 0;
    const auto& file = map.object->ref->file;
    auto read = istio::decode_mesh_config(
        std::string(static_cast<std::size_t>(before), '\n') + text->second, file);
    decode_findings_.insert(decode_findings_.end(), read.findings.begin(), read.findings.end());
    const bool good = std::none_of(
        read.findings.begin(), read.findings.end(),
        [](const auto& finding) { return finding.severity == istio::Severity::error; });
    if (good) mesh_ = read.config;
    mesh_read_ = MeshRead{file, std::move(read)};
    return;
  }
}

void World::add_hosts() {
  for (const auto& entry : all<istio::ServiceEntry>()) {
    for (const auto& name : entry->hosts) hosts_.push_back({mesh::lower(name), entry, {}});
  }
  for (const auto& service : all<istio::Service>()) {
    hosts_.push_back(
        {full_name(service->metadata.name, service->metadata.namespace_name), {}, service});
  }
}

const Object* World::find(std::string_view kind, std::string_view namespace_name,
                          std::string_view name) const {
  for (const auto& object : objects_) {
    const auto& ref = *object.ref;
    if (ref.kind == kind && ref.namespace_name == namespace_name && ref.name == name)
      return &object;
  }
  return nullptr;
}

bool World::has_kind(std::string_view kind) const {
  return std::any_of(objects_.begin(), objects_.end(),
                     [&](const Object& object) { return object.ref->kind == kind; });
}

bool World::sees(const Host& host, std::string_view from) const {
  std::vector<std::string> export_to;
  if (host.entry.value) {
    export_to = host.entry->export_to;
  } else {
    const auto& annotations = host.service->metadata.annotations;
    const auto at = annotations.find("networking.istio.io/exportTo");
    if (at != annotations.end()) {
      for (const auto part : istio::comma_separated(at->second)) export_to.emplace_back(part);
    }
  }
  return mesh::exported(export_to, mesh_.default_service_export_to, host.namespace_name(), from);
}

std::vector<const Host*> World::hosts_called(std::string_view name, std::string_view from) const {
  std::vector<const Host*> exact, wild;
  for (const auto& host : hosts_) {
    if (!sees(host, from)) continue;
    if (host.name == name) exact.push_back(&host);
    if (mesh::is_wildcard(host.name) && covers(host.name, name)) wild.push_back(&host);
  }
  return exact.empty() ? wild : exact;
}

std::vector<const Host*> World::hosts_under(std::string_view name, std::string_view from) const {
  std::vector<const Host*> out;
  for (const auto& host : hosts_) {
    if (sees(host, from) && (host.name == name || covers(name, host.name))) out.push_back(&host);
  }
  return out;
}

std::string World::full_name(std::string_view written, std::string_view namespace_name) const {
  return mesh::expand_short_name(written, namespace_name, mesh_.cluster_domain);
}

std::vector<const Workload*> World::selected(const istio::Labels& selector,
                                             std::string_view namespace_name) const {
  std::vector<const Workload*> out;
  for (const auto& workload : workloads_) {
    if (workload.ref->namespace_name == namespace_name && selects(selector, workload.labels))
      out.push_back(&workload);
  }
  return out;
}

mesh::CompileInput World::input_for(const istio::Proxy& proxy) const {
  mesh::CompileInput input;
  input.mesh = mesh_;
  input.proxy = proxy;
  for (const auto& object : objects_) {
    if (object.resource) input.resources.push_back(object.resource);
  }
  input.refused = refused_;
  return input;
}

}  // namespace sallyport::analyze
