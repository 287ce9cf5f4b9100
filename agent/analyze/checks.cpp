#include "agent/analyze/checks.h"

#include <algorithm>

#include "agent/istio/names.h"
#include "agent/mesh/host_names.h"

namespace sallyport::analyze {

void Checks::add(std::string_view id, const Object& about, std::string field, std::string cause,
                 std::string cure) {
  const auto& row = code(id);
  const auto& ref = *about.ref;
  Finding out{&row,
              ref.kind,
              ref.namespace_name,
              ref.name,
              ref.file,
              ref.line,
              std::move(field),
              std::move(cause),
              cure.empty() ? std::string(row.cure) : std::move(cure)};
  if (about.node) out.line = line_of(*about.node, out.field);
  keep(std::move(out));
}

void Checks::keep(Finding finding) {
  fields_[{finding.kind, finding.namespace_name, finding.name}].insert(finding.field);
  found_.push_back(std::move(finding));
}

void Checks::add(std::string_view id, const istio::Finding& finding, std::string cause,
                 std::string cure) {
  const auto& row = code(id);
  keep({&row, finding.kind, finding.namespace_name, finding.name, finding.file, finding.line,
        finding.field, std::move(cause), cure.empty() ? std::string(row.cure) : std::move(cure)});
}

std::string item(std::string_view list, std::size_t index) {
  return std::string(list) + "[" + std::to_string(index) + "]";
}

std::vector<TlsBlock> tls_blocks(const std::vector<Typed<istio::DestinationRule>>& rules) {
  std::vector<TlsBlock> out;
  for (const auto& rule : rules) {
    const auto add = [&](const auto& policy, const std::string& at, const std::string& subset) {
      if (!policy) return;
      if (policy->tls) out.push_back({rule, &*policy->tls, at + ".tls", 0, subset});
      for (std::size_t i = 0; i < policy->port_level_settings.size(); i++) {
        const auto& entry = policy->port_level_settings[i];
        if (!entry.tls) continue;
        out.push_back(
            {rule, &*entry.tls, item(at + ".portLevelSettings", i) + ".tls", entry.port, subset});
      }
    };
    add(rule->traffic_policy, "spec.trafficPolicy", "");
    for (std::size_t i = 0; i < rule->subsets.size(); i++) {
      add(rule->subsets[i].traffic_policy, item("spec.subsets", i) + ".trafficPolicy",
          rule->subsets[i].name);
    }
  }
  return out;
}

std::vector<Effective> effective_tls(const World& world, const Host& host,
                                     const istio::ServicePort& port) {
  std::vector<Effective> out;
  for (const auto& rule : world.rules_for(host.name)) {
    if (!rule->traffic_policy) continue;
    const istio::ClientTls* tls = rule->traffic_policy->tls ? &*rule->traffic_policy->tls : nullptr;
    for (const auto& entry : rule->traffic_policy->port_level_settings) {
      if (entry.port == port.number) tls = entry.tls ? &*entry.tls : nullptr;
    }
    out.push_back({rule, tls});
  }
  return out;
}

const char* name_of(istio::TlsMode mode) {
  switch (mode) {
    case istio::TlsMode::disable:
      return "DISABLE";
    case istio::TlsMode::simple:
      return "SIMPLE";
    case istio::TlsMode::mutual:
      return "MUTUAL";
    case istio::TlsMode::istio_mutual:
      return "ISTIO_MUTUAL";
  }
  return "";
}

bool is_originating(const istio::ClientTls* tls) {
  return tls && (tls->mode == istio::TlsMode::simple || tls->mode == istio::TlsMode::mutual);
}

bool is_http(const istio::ServicePort& port) {
  return istio::protocol_class(port.protocol) == istio::ProtocolClass::http;
}

bool is_tls(const istio::ServicePort& port) {
  return istio::protocol_class(port.protocol) == istio::ProtocolClass::tls;
}

}  // namespace sallyport::analyze
