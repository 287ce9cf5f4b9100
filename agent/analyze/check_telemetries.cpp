// Telemetries that nobody has, or that several ask to be the one of.
#include "agent/analyze/selector_conflicts.h"

namespace sallyport::analyze {
namespace {

constexpr ConflictTexts of_telemetries = {"Telemetries", "spec.selector.matchLabels", "IST0159",
                                          "IST0160"};

}  // namespace

void check_telemetries(Checks& checks) {
  std::vector<Typed<istio::Telemetry>> of_namespaces, of_pods;
  for (const auto& one : checks.world.all_read<istio::Telemetry>()) {
    if (!one->target_refs.empty()) continue;  // for those that the Gateway API made
    const bool all = !one->selector || one->selector->empty();
    (all ? of_namespaces : of_pods).push_back(one);
  }
  SelectorConflicts<istio::Telemetry> conflicts(checks, of_telemetries);
  conflicts.in_pods(
      of_pods, [](const istio::Telemetry& one) -> const istio::Labels& { return *one.selector; });
  conflicts.in_namespaces(of_namespaces);
}

}  // namespace sallyport::analyze
