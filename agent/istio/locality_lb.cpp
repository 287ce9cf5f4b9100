// LocalityLoadBalancerSetting, of a rule and of MeshConfig: read, and checked as
// validateLocalityLbSetting of istio/istio does.
#include <algorithm>

#include "agent/istio/kinds.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

constexpr std::string_view topology_labels[] = {
    "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"};

// `*` only at the end.
void check_locality(Fields& fields, std::string_view field, const std::string& locality) {
  if (locality.empty() || locality.front() == '/' || locality.find("//") != locality.npos) {
    fields.error(field, "locality " + quoted(locality) + " is not region[/zone[/subzone]]");
  }
  if (std::count(locality.begin(), locality.end(), '/') > 2) {
    fields.error(field, "locality " + quoted(locality) + " has more than region/zone/subzone");
  }
  const auto star = locality.find('*');
  if (star != locality.npos && star + 1 != locality.size()) {
    fields.error(field, "locality " + quoted(locality) +
                            " wildcard '*' number can not exceed 1 and must be in the end");
  }
}

// Whether what `a` names holds all that `b` names: "r", "r/*" and "*" hold "r/z".
bool covers(std::string_view a, std::string_view b) {
  if (a.ends_with('*')) a.remove_suffix(1);
  if (a.ends_with('/')) a.remove_suffix(1);
  return a.empty() || (b.starts_with(a) && (b.size() == a.size() || b[a.size()] == '/'));
}

void check_overlap(Fields& fields, std::string_view field, const std::vector<std::string>& all) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (covers(all[i], all[j]) || covers(all[j], all[i])) {
        fields.error(field, "locality " + quoted(all[i]) + " overlaps with " + quoted(all[j]));
      }
    }
  }
}

LocalityDistribute decode_distribute(Fields& fields) {
  LocalityDistribute out;
  out.from = fields.text("from");
  check_locality(fields, "from", out.from);
  uint64_t sum = 0;
  std::vector<std::string> names;
  fields.object("to", [&](Fields& to) {
    for (const auto& entry : fields.find("to")->entries) {
      const auto weight = to.integer(entry.key, 0, UINT32_MAX).value_or(0);
      if (weight < 1 || weight > 100)
        to.error(entry.key, "locality weight must be in range [1, 100]");
      check_locality(to, entry.key, entry.key);
      names.push_back(entry.key);
      out.to[entry.key] = static_cast<uint32_t>(weight);
      sum += static_cast<uint64_t>(weight);
    }
  });
  if (sum != 100) fields.error("to", "total locality weight " + std::to_string(sum) + " != 100");
  check_overlap(fields, "to", names);
  return out;
}

LocalityFailover decode_failover(Fields& fields) {
  LocalityFailover out{fields.text("from"), fields.text("to")};
  if (out.from == out.to) {
    fields.error("to", "locality lb failover settings must specify different regions");
  }
  for (const auto& [name, region] :
       {std::pair<std::string_view, const std::string&>("from", out.from), {"to", out.to}}) {
    if (region.find('*') != region.npos) {
      fields.error(name, "locality lb failover region should not contain '*' wildcard");
    }
    if (region.find('/') != region.npos) {
      fields.error(name, "locality lb failover region should not contain '/': it is a region");
    }
  }
  return out;
}

void check_together(const LocalityLb& setting, Fields& fields) {
  if (!setting.distribute.empty() && !setting.failover.empty()) {
    fields.error("failover", "can not simultaneously specify 'distribute' and 'failover'");
  }
  if (!setting.distribute.empty() && !setting.failover_priority.empty()) {
    fields.error("failoverPriority",
                 "can not simultaneously specify 'distribute' and 'failover priority'");
  }
  if (setting.failover.empty()) return;
  for (const auto& label : setting.failover_priority) {
    if (std::find(std::begin(topology_labels), std::end(topology_labels), label) !=
        std::end(topology_labels)) {
      fields.error("failoverPriority", "can not simultaneously set 'failover' and topology label " +
                                           quoted(label) + " in 'failover_priority'");
    }
  }
}

}  // namespace

LocalityLb decode_locality_lb(Fields& fields) {
  LocalityLb setting;
  setting.line = fields.line();
  setting.enabled = fields.boolean("enabled");
  fields.each("distribute",
              [&](Fields& one) { setting.distribute.push_back(decode_distribute(one)); });
  std::vector<std::string> sources;
  for (const auto& one : setting.distribute) sources.push_back(one.from);
  check_overlap(fields, "distribute", sources);
  fields.each("failover", [&](Fields& one) { setting.failover.push_back(decode_failover(one)); });
  setting.failover_priority = fields.texts("failoverPriority");
  check_together(setting, fields);
  return setting;
}

}  // namespace sallyport::istio
