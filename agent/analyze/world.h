// All resources of an analysis, as text and as types.
//
// Ownership: a World owns the trees that its objects point into. Neither copied nor moved.
#pragma once
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/analyze/name_index.h"
#include "agent/analyze/workload.h"
#include "agent/istio/decode.h"
#include "agent/istio/tree.h"
#include "agent/mesh/compile.h"
#include "agent/mesh/proxy_views.h"

namespace sallyport::analyze {

struct Source {
  std::string path, text;
};

// A document.
struct Object {
  ResourceRefPtr ref;
  const istio::Node* node = nullptr;
  std::shared_ptr<const istio::Resource> resource;  // null: of another kind, or refused
  std::shared_ptr<const istio::Resource> refused;   // what could be read of one that is
  istio::Labels annotations;
};

// A resource of type T with its document.
template <class T>
struct Typed {
  const T* value = nullptr;
  const Object* object = nullptr;
  const T* operator->() const { return value; }
};

// One host of a ServiceEntry, or a Service; of refused ones too.
struct Host {
  std::string name;  // lower case, FQDN; may be a wildcard
  Typed<istio::ServiceEntry> entry;
  Typed<istio::Service> service;
  const Object& object() const { return *(entry.object ? entry.object : service.object); }
  const std::string& namespace_name() const { return object().ref->namespace_name; }
  const std::vector<istio::ServicePort>& ports() const {
    return entry.value ? entry->ports : service->ports;
  }
};

class World {
public:
  // `mesh`: null: that of the ConfigMap `istio` among the sources (key mesh), else the defaults.
  World(const std::vector<Source>& sources, const istio::MeshConfig* mesh);
  World(const World&) = delete;

  const std::deque<Object>& objects() const { return objects_; }
  const istio::MeshConfig& mesh() const { return mesh_; }
  // It was given, and could be read: mesh() is not just the defaults.
  bool knows_mesh() const { return knows_mesh_; }
  // Those of the ConfigMap's MeshConfig too.
  const std::vector<istio::Finding>& decode_findings() const { return decode_findings_; }
  // The ConfigMap that has the MeshConfig, as it was read; with an error mesh() is the default.
  // Nothing: there is none, or another MeshConfig was given.
  struct MeshRead {
    std::string file;
    istio::MeshConfigResult result;
  };
  const std::optional<MeshRead>& mesh_read() const { return mesh_read_; }
  const std::vector<istio::Refused>& refused() const { return refused_; }
  const std::vector<Workload>& workloads() const { return workloads_; }
  const std::vector<Host>& hosts() const { return hosts_; }

  template <class T>
  std::vector<Typed<T>> all() const {
    std::vector<Typed<T>> out;
    for (const auto& object : objects_) {
      if (!object.resource) continue;
      if (const auto* value = std::get_if<T>(object.resource.get()))
        out.push_back({value, &object});
    }
    return out;
  }
  // Refused ones too, as far as they could be read: Istio's analyzers look at them as well.
  template <class T>
  std::vector<Typed<T>> all_read() const {
    std::vector<Typed<T>> out;
    for (const auto& object : objects_) {
      const auto* resource = object.resource ? object.resource.get() : object.refused.get();
      if (!resource) continue;
      if (const auto* value = std::get_if<T>(resource)) out.push_back({value, &object});
    }
    return out;
  }
  // Null: there is none. The first, where there are several.
  const Object* find(std::string_view kind, std::string_view namespace_name,
                     std::string_view name) const;
  bool has_kind(std::string_view kind) const;

  // Those that a proxy of `from` sees under that name: exactly so called, else by wildcard.
  std::vector<const Host*> hosts_called(std::string_view name, std::string_view from) const;
  // Those that a rule for `name` (perhaps a wildcard) covers.
  std::vector<const Host*> hosts_under(std::string_view name, std::string_view from) const;
  // The one that Istio's analyzers find for `written` in a resource of `from` with that exportTo;
  // null: none. Of several so called the last, a Service before an entry.
  const Host* destination(std::string_view written, std::string_view from,
                          const std::vector<std::string>& export_to) const;
  // The DestinationRules whose host covers `host` (a service's; may be a wildcard), in order.
  std::vector<Typed<istio::DestinationRule>> rules_for(std::string_view host) const;
  // `written` as a resource of that namespace means it.
  std::string full_name(std::string_view written, std::string_view namespace_name) const;
  std::vector<const Workload*> selected(const istio::Labels& selector,
                                        std::string_view namespace_name) const;
  // Of all workloads, as mesh::router_views asks for them.
  std::vector<mesh::PodLabels> pods() const;
  // Why its pods have no sidecar, as the injector has it; empty: they have one, or get one.
  std::string why_no_sidecar(const Workload& workload) const;
  // As a proxy reads it.
  mesh::CompileInput input_for(const istio::Proxy& proxy) const;

private:
  void read(const Source& source);
  void add_documents(const Source& source);
  void add_document(const Source& source, const istio::Node& node, int depth);
  void read_mesh();
  void add_hosts();
  void add_rules();
  bool sees(const Host& host, std::string_view from) const;
  std::vector<const Host*> seen_of(NameIndex::Numbers numbers, std::string_view from) const;

  istio::MeshConfig mesh_;
  bool knows_mesh_ = false;
  std::optional<MeshRead> mesh_read_;
  std::deque<istio::Trees> trees_;
  std::deque<Object> objects_;
  std::map<std::pair<std::string, int>, std::shared_ptr<const istio::Resource>> decoded_,
      read_of_refused_;  // by file and line
  std::vector<istio::Finding> decode_findings_;
  std::vector<istio::Refused> refused_;
  std::vector<Workload> workloads_;
  std::vector<Host> hosts_;
  // Look-ups into the above, by index.
  std::map<std::array<std::string, 3>, std::size_t> by_name_;  // objects: kind, namespace, name
  NameIndex host_names_;
  std::multimap<std::string, std::size_t, std::less<>> workloads_by_namespace_;
  std::vector<Typed<istio::DestinationRule>> rules_;
  NameIndex rule_hosts_;  // full names
};

// The namespaces that an exportTo names, `.` as `own`; `*` where it is everyone.
std::set<std::string> export_scopes(const std::vector<std::string>& export_to,
                                    const std::string& own);

}  // namespace sallyport::analyze
