// The values of an AuthorizationPolicy's rules, each with its place.
#pragma once
#include <string>

#include "agent/analyze/checks.h"
#include "agent/istio/security.h"

namespace sallyport::analyze {

// Of one list and of its not-twin. `at`: the field that both are in. `visit`: value, field.
template <class Visit>
void each_value(const istio::RuleValues& values, const std::string& at, const char* name,
                const char* not_name, const Visit& visit) {
  for (std::size_t i = 0; i < values.values.size(); i++)
    visit(values.values[i], at + "." + item(name, i));
  for (std::size_t i = 0; i < values.not_values.size(); i++)
    visit(values.not_values[i], at + "." + item(not_name, i));
}

// `visit`: source, the field that it is.
template <class Visit>
void each_source(const istio::AuthorizationPolicy& policy, const Visit& visit) {
  for (std::size_t i = 0; i < policy.rules.size(); i++) {
    const auto& all = policy.rules[i].from;
    for (std::size_t j = 0; j < all.size(); j++)
      visit(all[j], item(item("spec.rules", i) + ".from", j) + ".source");
  }
}

// `visit`: operation, the field that it is.
template <class Visit>
void each_operation(const istio::AuthorizationPolicy& policy, const Visit& visit) {
  for (std::size_t i = 0; i < policy.rules.size(); i++) {
    const auto& all = policy.rules[i].to;
    for (std::size_t j = 0; j < all.size(); j++)
      visit(all[j], item(item("spec.rules", i) + ".to", j) + ".operation");
  }
}

// Those with that key. `visit`: values, the field that the condition is.
template <class Visit>
void each_condition(const istio::AuthorizationPolicy& policy, std::string_view key,
                    const Visit& visit) {
  for (std::size_t i = 0; i < policy.rules.size(); i++) {
    const auto& all = policy.rules[i].when;
    for (std::size_t j = 0; j < all.size(); j++)
      if (all[j].key == key) visit(all[j].values, item(item("spec.rules", i) + ".when", j));
  }
}

}  // namespace sallyport::analyze
