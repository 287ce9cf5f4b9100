// LocalityLoadBalancerSetting, of a rule and of MeshConfig: read, and checked as
// validateLocalityLbSetting of istio/istio does.
#include <algorithm>

#include "agent/istio/kinds.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

constexpr std::string_view topology_labels[] = {
    "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"};

bool is_topology(std::string_view label) {
  return std::find(std::begin(topology_labels), std::end(topology_labels), label) !=
         std::end(topology_labels);
}

// `*` only at the end.
void check_locality(Fields& fields, std::string_view field, const std::string& locality) {
  const bool gap = locality.empty() || locality.front() == '/' || locality.back() == '/' ||
                   locality.find("//") != locality.npos;
  if (gap) {
    fields.error(field,
                 "locality " + locality + " must not contain empty region/zone/subzone info");
  }
  const auto star = locality.find('*');
  if (star != locality.npos && star + 1 != locality.size()) {
    fields.error(field, "locality " + quoted(locality) +
                            " wildcard '*' number can not exceed 1 and must be in the end");
  }
}

// "region/zone/subzone" in up to three parts.
std::vector<std::string_view> parts_of(std::string_view locality) {
  std::vector<std::string_view> parts;
  while (parts.size() < 2) {
    const auto slash = locality.find('/');
    if (slash == locality.npos) break;
    parts.push_back(locality.substr(0, slash));
    locality.remove_prefix(slash + 1);
  }
  parts.push_back(locality);
  return parts;
}

// Whether `later` is within what `earlier` names, or names all of it. As in Istio a `*` overlaps
// only with what stands behind it.
bool localities_overlap(std::string_view earlier, std::string_view later) {
  const auto before = parts_of(earlier), after = parts_of(later);
  if (before[0] == "*") return true;
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (i == before.size() || (i > 0 && before[i] == "*")) return true;
    if (before[i] != after[i]) return false;
  }
  return true;
}

void check_overlap(Fields& fields, std::string_view field, const std::vector<std::string>& all) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (!localities_overlap(all[j], all[i])) continue;
      fields.error(field,
                   "locality " + all[i] + " overlap with previous specified ones: " + all[j]);
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

// `which`: the setting, for messages.
LocalityFailover decode_failover(Fields& fields, std::string_view which) {
  LocalityFailover out{fields.text("from"), fields.text("to")};
  const std::string lb = std::string(which) + " lb failover";
  if (out.from == out.to) fields.error("to", lb + " settings must specify different regions");
  for (const auto& [name, region] :
       {std::pair<std::string_view, const std::string&>("from", out.from), {"to", out.to}}) {
    if (region.find('*') != region.npos) {
      fields.error(name, lb + " region should not contain '*' wildcard");
    }
    if (region.find('/') != region.npos) {
      fields.error(name, lb + " only specify region");
    }
  }
  return out;
}

void check_together(const LocalityLb& setting, Fields& fields) {
  if (!setting.distribute.empty() && !setting.failover.empty()) {
    fields.error("failover", "can not simultaneously specify 'distribute' and 'failover'");
  }
  if (setting.failover.empty()) return;
  for (const auto& label : setting.failover_priority) {
    if (is_topology(label)) {
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
  fields.each("failover",
              [&](Fields& one) { setting.failover.push_back(decode_failover(one, "locality")); });
  setting.failover_priority = fields.texts("failoverPriority");
  check_together(setting, fields);
  return setting;
}

void check_zone_aware_lb(Fields& fields) {
  fields.boolean("enabled");
  fields.ignore({"minClusterSize"});
  fields.each("failover", [](Fields& one) { decode_failover(one, "zone aware"); });
  for (const auto& label : fields.texts("failoverPriority")) {
    if (!is_topology(label)) continue;
    fields.error("failoverPriority",
                 "'failover_priority' for zone aware lb must not use topology "
                 "label '" +
                     label + "'");
  }
}

}  // namespace sallyport::istio
