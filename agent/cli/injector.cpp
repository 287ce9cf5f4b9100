#include "agent/cli/injector.h"

#include <algorithm>
#include <array>
#include <set>

#include "agent/cli/inject_annotations.h"
#include "agent/cli/inject_merge.h"
#include "agent/cli/inject_probes.h"
#include "agent/cli/inject_prometheus.h"
#include "agent/cli/inject_template.h"
#include "agent/cli/yaml_edit.h"
#include "agent/core/limits.h"
#include "agent/istio/names.h"

namespace sallyport::cli {
namespace {

using StringMap = std::map<std::string, std::string>;

Error error_at(const std::string& file, int line, const std::string& reason) {
  return {
      Fault::protocol, Side::local, false, file + ":" + std::to_string(line) + ": " + reason, {}};
}

struct Refusal {
  int line;
  std::string reason;
};

StringMap map_of(const YAML::Node& map, const char* key) {
  StringMap texts;
  if (!map.IsDefined() || !map.IsMap()) return texts;
  const YAML::Node child = map[key];
  if (!child.IsDefined() || !child.IsMap()) return texts;
  for (const auto& entry : child) {
    if (entry.first.IsScalar() && entry.second.IsScalar())
      texts[entry.first.Scalar()] = entry.second.Scalar();
  }
  return texts;
}

// Everything that the injector needs of one object that holds a pod template.
struct Template {
  YAML::Node object;  // where metadata of the workload is
  YAML::Node pod;     // where metadata and spec of the pod are
  std::string kind, name, namespace_name;
};

YAML::Node below(const YAML::Node& node, std::initializer_list<const char*> path) {
  YAML::Node at = node;
  for (const char* key : path) {
    if (!at.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
    at.reset(at[key]);
    if (!at.IsDefined()) return at;
  }
  return at;
}

YAML::Node pod_of(const YAML::Node& object, const std::string& kind) {
  static const std::array kinds = {"Deployment",      "ReplicaSet", "StatefulSet",
                                   "DaemonSet",       "Job",        "ReplicationController",
                                   "DeploymentConfig"};
  if (kind == "Pod") return object;
  if (kind == "CronJob") return below(object, {"spec", "jobTemplate", "spec", "template"});
  if (std::find(kinds.begin(), kinds.end(), kind) != kinds.end())
    return below(object, {"spec", "template"});
  return YAML::Node(YAML::NodeType::Undefined);
}

void collect(const YAML::Node& object, std::vector<Template>& templates,
             std::set<std::string>& disabled) {
  if (!object.IsMap()) return;
  const std::string kind = scalar_of(object, "kind");
  const YAML::Node metadata = below(object, {"metadata"});
  if (kind == "List") {
    for (const auto& item : below(object, {"items"})) collect(item, templates, disabled);
  } else if (kind == "Namespace") {
    if (map_of(metadata, "labels")["istio-injection"] == "disabled")
      disabled.insert(scalar_of(metadata, "name"));
  } else if (const YAML::Node pod = pod_of(object, kind); pod.IsDefined() && pod.IsMap()) {
    std::string namespace_name = scalar_of(metadata, "namespace");
    if (namespace_name.empty()) namespace_name = "default";
    templates.push_back({object, pod, kind, scalar_of(metadata, "name"), namespace_name});
  }
}

constexpr const char* inject_name = "sidecar.istio.io/inject";

// What the pod itself says, and where; the label counts before the older annotation.
YAML::Node wish_of(const YAML::Node& metadata) {
  for (const char* map : {"labels", "annotations"}) {
    const YAML::Node wish = below(metadata, {map, inject_name});
    if (wish.IsDefined()) return wish;
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

// Why this pod is left alone; empty when it isn't.
std::string left_alone(const Template& each, const std::set<std::string>& disabled) {
  const YAML::Node metadata = below(each.pod, {"metadata"});
  if (map_of(metadata, "annotations").count("sidecar.istio.io/status")) return "injected already";
  if (scalar_of(below(each.pod, {"spec"}), "hostNetwork") == "true") return "hostNetwork";
  if (istio::gets_no_sidecars(each.namespace_name)) return "namespace " + each.namespace_name;
  const YAML::Node wish = wish_of(metadata);
  if (wish.IsDefined() && wish.IsScalar() && wish.Scalar() == "false")
    return "sidecar.istio.io/inject: false";
  if (disabled.count(each.namespace_name))
    return "namespace " + each.namespace_name + ": istio-injection: disabled";
  return {};
}

struct Warning {
  int line;
  std::string reason;
};

int line_of(const YAML::Node& node) { return node.Mark().line + 1; }

// Of a pod that is injected. Istio, too, takes no other words than two.
void warn_of_wish(const YAML::Node& metadata, std::vector<Warning>& warnings) {
  const YAML::Node wish = wish_of(metadata);
  if (!wish.IsDefined() || !wish.IsScalar() || wish.Scalar().empty() || wish.Scalar() == "true")
    return;
  warnings.push_back({line_of(wish), std::string("invalid value for ") + inject_name + ": \"" +
                                         wish.Scalar() +
                                         "\": only 'true' and 'false' are accepted; injected, as "
                                         "pods are that say nothing"});
}

// Undefined: none. Refused: two.
YAML::Node container_of(const YAML::Node& spec, const char* list, const std::string& name) {
  YAML::Node found(YAML::NodeType::Undefined);
  for (const auto& container : below(spec, {list})) {
    if (scalar_of(container, "name") != name) continue;
    if (found.IsDefined()) throw Refusal{line_of(container), "two containers are called " + name};
    found.reset(container);
  }
  return found;
}

void check_annotations(const YAML::Node& metadata, std::vector<Warning>& warnings) {
  const StringMap annotations = map_of(metadata, "annotations");
  const auto line = [&](const AnnotationNote& note) {
    return line_of(below(metadata, {"annotations", note.name.c_str()}));
  };
  if (const auto refused = refused_annotation(annotations))
    throw Refusal{line(*refused), refused->reason};
  for (const AnnotationNote& note : unknown_annotations(annotations))
    warnings.push_back({line(note), note.reason});
}

TemplateFacts facts_of(const Template& each, const YAML::Node& spec, const InjectOptions& options) {
  const YAML::Node metadata = below(each.pod, {"metadata"});
  TemplateFacts facts{.image = options.image, .default_config = options.mesh.default_config};
  facts.namespace_name = each.namespace_name;
  facts.workload = each.name;
  facts.workload_kind = each.kind;
  facts.labels = map_of(metadata, "labels");
  facts.annotations = map_of(metadata, "annotations");
  const auto image = facts.annotations.find("sidecar.istio.io/proxyImage");
  if (image != facts.annotations.end()) facts.image = image->second;
  for (const auto& container : below(spec, {"containers"}))
    if (scalar_of(container, "name") != "istio-proxy")
      facts.container_names.push_back(scalar_of(container, "name"));
  return facts;
}

void put_or_refuse(YamlEdit& edit, const YAML::Node& map, const char* key,
                   const YamlEdit::Value& value) {
  if (!edit.put(map, key, value))
    throw Refusal{map.Mark().line + 1, std::string(key) + ": null can't be edited"};
}

void add_objects(YamlEdit& edit, const YAML::Node& spec, const char* key,
                 const std::vector<std::string>& objects, YamlEdit::Where where) {
  if (objects.empty()) return;
  std::vector<YamlEdit::Value> items;
  YamlEdit::Value list;
  for (const std::string& object : objects) {
    items.push_back({object, block_of(YAML::Load(object))});
    list.flow += (list.flow.empty() ? "" : ", ") + object;
  }
  list.flow = "[" + list.flow + "]";
  list.block = block_of(YAML::Load(list.flow));
  const YAML::Node present = below(spec, {key});
  if (!present.IsDefined() || present.IsNull()) return put_or_refuse(edit, spec, key, list);
  if (!present.IsSequence())
    throw Refusal{present.Mark().line + 1, std::string("spec.") + key + ": a list was expected"};
  edit.add_items(present, items, where);
}

std::string flow_map(const StringMap& texts) {
  std::string flow;
  for (const auto& [key, text] : texts)
    flow += (flow.empty() ? "" : ", ") + quoted(key) + ": " + quoted(text);
  return "{" + flow + "}";
}

void add_metadata(YamlEdit& edit, const YAML::Node& pod, const TemplateFacts& facts,
                  const TemplateParts& parts) {
  StringMap labels = parts.labels, annotations = parts.annotations;
  std::erase_if(labels, [&](const auto& each) { return facts.labels.count(each.first) > 0; });
  std::erase_if(annotations,
                [&](const auto& each) { return facts.annotations.count(each.first) > 0; });
  const YAML::Node metadata = below(pod, {"metadata"});
  if (!metadata.IsDefined() || !metadata.IsMap()) {
    const std::string both =
        R"({"labels": )" + flow_map(labels) + R"(, "annotations": )" + flow_map(annotations) + "}";
    return put_or_refuse(edit, pod, "metadata", {both, ""});
  }
  for (const auto& [key, added] :
       {std::pair("labels", labels), std::pair("annotations", annotations)}) {
    const YAML::Node present = below(metadata, {key});
    if (added.empty()) continue;
    if (!present.IsDefined() || !present.IsMap()) {
      put_or_refuse(edit, metadata, key, {flow_map(added), ""});
      continue;
    }
    std::vector<std::pair<std::string, YamlEdit::Value>> entries;
    for (const auto& [name, text] : added) entries.push_back({name, {quoted(text), ""}});
    edit.add_entries(present, entries);
  }
}

// Of this template: points its probes at the status port, and tells the sidecar. How many there
// are.
std::size_t take_probes(YamlEdit& edit, const YAML::Node& spec, TemplateFacts& facts) {
  const int line = spec.Mark().line + 1;
  const auto wanted = rewrites_probes(facts);
  if (!wanted) throw Refusal{line, wanted.error().context};
  if (!*wanted) return 0;
  try {
    const auto handlers = app_handlers(spec, *status_port(facts));
    facts.app_probers = probers_json(handlers);
    rewrite_handlers(edit, handlers);
    return handlers.size();
  } catch (const BadProbe& bad) {
    throw Refusal{bad.line, bad.reason};
  }
}

// Points Prometheus at the status port; what the pod says of its own is changed where it stands.
// The annotations that it has then.
StringMap take_metrics(YamlEdit& edit, const YAML::Node& pod, const InjectOptions& options,
                       TemplateFacts& facts) {
  const auto port = status_port(facts);
  if (!port) throw Refusal{line_of(pod), port.error().context};
  auto merge = merge_prometheus(facts.annotations, options.mesh.prometheus_merge, *port);
  if (!merge) throw Refusal{line_of(pod), merge.error().context};
  for (const auto& [name, value] : merge->annotations) {
    const auto own = facts.annotations.find(name);
    if (own == facts.annotations.end() || own->second == value) continue;
    const YAML::Node present = below(pod, {"metadata", "annotations"});
    if (!edit.replace(present, name, name, quoted(value)))
      throw Refusal{line_of(present[name]), name + ": laid out in a way that inject can't edit"};
  }
  facts.app_metrics = std::move(merge->app_metrics);
  return std::move(merge->annotations);
}

// The pod's own containers of our names lie over the template's; what is left of `parts` is to be
// added.
void merge_own(YamlEdit& edit, const YAML::Node& spec, TemplateParts& parts) {
  const auto merge = [&](const char* list, const char* other, std::vector<std::string>& objects) {
    std::erase_if(objects, [&](const std::string& object) {
      const std::string name = YAML::Load(object)["name"].Scalar();
      const YAML::Node own = container_of(spec, list, name);
      if (const YAML::Node stray = container_of(spec, other, name); stray.IsDefined()) {
        throw Refusal{line_of(stray), "the container " + name + " must be one of spec." + list};
      }
      if (own.IsDefined()) merge_container(edit, own, object);
      return own.IsDefined();
    });
  };
  if (parts.first && scalar_of(below(spec, {"containers"})[0], "name") != "istio-proxy" &&
      container_of(spec, "containers", "istio-proxy").IsDefined()) {
    throw Refusal{line_of(spec),
                  "holdApplicationUntilProxyStarts: istio-proxy must be the first container"};
  }
  merge("initContainers", "containers", parts.init_containers);
  merge("containers", "initContainers", parts.containers);
}

std::size_t edit_template(YamlEdit& edit, const Template& each, const InjectOptions& options,
                          std::vector<Warning>& warnings) {
  const int line = each.pod.Mark().line + 1;
  const YAML::Node spec = below(each.pod, {"spec"});
  if (!spec.IsDefined() || !spec.IsMap()) throw Refusal{line, "the pod template has no spec"};
  TemplateFacts facts = facts_of(each, spec, options);
  const bool own = container_of(spec, "containers", "istio-proxy").IsDefined();
  if (is_gateway(facts) && own) facts.container_names.emplace_back("istio-proxy");
  if (facts.container_names.empty())
    throw Refusal{spec.Mark().line + 1, "spec.containers: a pod needs one beside istio-proxy"};
  warn_of_wish(below(each.pod, {"metadata"}), warnings);
  check_annotations(below(each.pod, {"metadata"}), warnings);
  const std::size_t probes = take_probes(edit, spec, facts);
  StringMap metrics = take_metrics(edit, each.pod, options, facts);
  auto parts = fill_template(facts);
  if (!parts) throw Refusal{line, parts.error().context};
  if (!parts->has_identity_source && options.mesh.auto_mtls && !is_gateway(facts)) {
    warnings.push_back(
        {line,
         "marked as a member of the mesh (security.istio.io/tlsMode: istio) without a source of "
         "identities: mutual TLS with it fails; proxyMetadata CA_ADDR names a CA, and "
         "enableAutoMtls: false in the MeshConfig is for pods without a mesh"});
  }
  parts->annotations.merge(metrics);
  add_metadata(edit, each.pod, facts, *parts);
  merge_own(edit, spec, *parts);
  using Where = YamlEdit::Where;
  add_objects(edit, spec, "initContainers", parts->init_containers,
              parts->inits_first ? Where::front : Where::end);
  add_objects(edit, spec, "containers", parts->containers,
              parts->first ? Where::front : Where::end);
  add_objects(edit, spec, "volumes", parts->volumes, Where::end);
  return probes;
}

// Pods that carry one sidecar and the annotation that says so.
std::size_t count_injected(const std::vector<Template>& templates) {
  std::size_t count = 0;
  for (const Template& each : templates) {
    std::size_t proxies = 0;
    for (const char* list : {"containers", "initContainers"}) {
      for (const auto& container : below(each.pod, {"spec", list}))
        proxies += scalar_of(container, "name") == "istio-proxy";
    }
    count += proxies == 1 &&
             map_of(below(each.pod, {"metadata"}), "annotations").count("sidecar.istio.io/status");
  }
  return count;
}

// Probes of all pods that ask the status port which their own annotations name.
std::size_t count_probes(const std::vector<Template>& templates, const InjectOptions& options) {
  std::size_t count = 0;
  for (const Template& each : templates) {
    const TemplateFacts facts{.annotations = map_of(below(each.pod, {"metadata"}), "annotations"),
                              .default_config = options.mesh.default_config};
    const auto port = status_port(facts);
    if (port) count += count_rewritten(below(each.pod, {"spec"}), *port);
  }
  return count;
}

std::vector<Template> templates_in(const std::string& text, std::set<std::string>& disabled) {
  std::vector<Template> templates;
  for (const YAML::Node& document : YAML::LoadAll(text)) collect(document, templates, disabled);
  return templates;
}

Injected inject_or_throw(std::string_view text, const std::string& file,
                         const InjectOptions& options) {
  std::set<std::string> disabled;
  const std::vector<Template> templates = templates_in(std::string(text), disabled);
  YamlEdit edit(text);
  Injected injected;
  std::size_t expected = count_injected(templates);
  std::size_t probes = count_probes(templates, options);
  for (const Template& each : templates) {
    const std::string why_not = left_alone(each, disabled);
    const std::string name = each.kind + " " + each.namespace_name + "/" + each.name;
    injected.notes.push_back(name + ": " +
                             (why_not.empty() ? "injected" : "left alone, " + why_not));
    if (!why_not.empty()) continue;
    std::vector<Warning> warnings;
    probes += edit_template(edit, each, options, warnings);
    ++expected;
    for (const auto& [line, reason] : warnings)
      injected.warnings.push_back(file + ":" + std::to_string(line) + ": " + name + ": " + reason);
  }
  injected.text = edit.result();
  // The edited text must be what was meant; a layout too clever for the editor is refused rather
  // than spoilt.
  const std::vector<Template> edited = templates_in(injected.text, disabled);
  if (count_injected(edited) != expected || count_probes(edited, options) != probes) {
    throw Refusal{1, "this text is laid out in a way that inject can't edit"};
  }
  return injected;
}

}  // namespace

Result<Injected> inject(std::string_view text, const std::string& file,
                        const InjectOptions& options) {
  if (text.size() > limits::document_bytes) return error_at(file, 1, "longer than the limit");
  try {
    return inject_or_throw(text, file, options);
  } catch (const Refusal& refusal) {
    return error_at(file, refusal.line, refusal.reason);
  } catch (const BadMerge& bad) {
    return error_at(file, bad.line, bad.reason);
  } catch (const YAML::Exception& error) {
    return error_at(file, error.mark.line + 1, error.msg);
  }
}

}  // namespace sallyport::cli
