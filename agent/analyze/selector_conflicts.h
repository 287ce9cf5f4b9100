// Resources of a kind that a workload, or a namespace, is to have one of: Istio's analyzers say
// where several are, or none is meant (sidecar.SelectorAnalyzer, telemetry.SelectorAnalyzer and
// their DefaultSelectorAnalyzers).
#pragma once
#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/analyze/checks.h"
#include "agent/istio/labels.h"

namespace sallyport::analyze {

struct ConflictTexts {
  const char* plural;     // "Sidecars"
  const char* field;      // of the selector's labels
  const char* one_pod;    // the code where several select a pod
  const char* one_space;  // the code where several of a namespace select nobody
};

template <class T>
class SelectorConflicts {
public:
  using All = std::vector<Typed<T>>;
  SelectorConflicts(Checks& checks, const ConflictTexts& texts) : checks_(checks), texts_(texts) {}

  void in_namespaces(const All& all) {
    std::map<std::string, All> by_namespace;
    for (const auto& one : all) by_namespace[one->metadata.namespace_name()].push_back(one);
    for (const auto& [space, those] : by_namespace) {
      if (those.size() < 2) continue;
      for (const auto& one : those)
        checks_.add(texts_.one_space, *one.object, "metadata.name",
                    beginning(those, space) +
                        " have no workload selector, which can lead to undefined behavior.");
    }
  }

  // `labels_of`: the selector's, of a T. Istio's analyzers know only Pods; here templates count for
  // them.
  template <class LabelsOf>
  void in_pods(const All& all, const LabelsOf& labels_of) {
    std::map<const Workload*, All> by_pod;
    for (const auto& one : all) {
      const istio::Labels& labels = labels_of(*one.value);
      const auto pods = checks_.world.selected(labels, one->metadata.namespace_name());
      for (const auto* pod : pods) by_pod[pod].push_back(one);
      if (!pods.empty() || checks_.world.workloads().empty()) continue;
      checks_.add("IST0101", *one.object, texts_.field,
                  "Referenced selector not found: \"" + istio::text_of(labels) + "\"",
                  "correct the labels of the selector or of the pods");
    }
    for (const auto& workload : checks_.world.workloads()) {  // in the order of the documents
      const auto at = by_pod.find(&workload);
      if (at == by_pod.end() || at->second.size() < 2) continue;
      for (const auto& one : at->second) tell(one, at->second, workload);
    }
  }

private:
  void tell(const Typed<T>& one, const All& all, const Workload& workload) {
    checks_.add(texts_.one_pod, *one.object, "metadata.name",
                beginning(all, workload.ref->namespace_name) + " select the same workload pod \"" +
                    workload.ref->name + "\", which can lead to undefined behavior.");
  }
  std::string beginning(const All& all, const std::string& space) const {
    return std::string("The ") + texts_.plural + " " + names_of(all) + " in namespace \"" + space +
           "\"";
  }
  // As Go prints a list: "[a b]".
  static std::string names_of(const All& all) {
    std::vector<std::string> names;
    for (const auto& one : all) names.push_back(one->metadata.name());
    std::sort(names.begin(), names.end());
    std::string out;
    for (const auto& name : names) out += (out.empty() ? "" : " ") + name;
    return "[" + out + "]";
  }

  Checks& checks_;
  const ConflictTexts& texts_;
};

}  // namespace sallyport::analyze
