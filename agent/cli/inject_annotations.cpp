#include "agent/cli/inject_annotations.h"

#include <algorithm>
#include <charconv>
#include <regex>

#include "agent/core/address.h"
#include "agent/core/suggest.h"
#include "agent/istio/decode.h"

namespace sallyport::cli {
namespace {

using Problem = std::string;  // empty: none
constexpr const char* config_name = "proxy.istio.io/config";

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  for (std::size_t comma = 0; comma != text.npos; start = comma + 1) {
    comma = text.find(',', start);
    parts.push_back(text.substr(start, comma - start));
  }
  return parts;
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
}

template <class Number>
bool is_number(const std::string& text) {
  Number number = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  return !text.empty() && read.ec == std::errc() && read.ptr == end;
}

Problem port_problem(const std::string& text) {
  return is_number<uint16_t>(trimmed(text)) ? "" : "failed parsing port '" + text + "'";
}

Problem status_port_problem(const std::string& text) { return port_problem(text); }

Problem ports_problem(const std::string& text) {
  if (trimmed(text).empty()) return {};
  for (const std::string& port : split(trimmed(text)))
    if (auto problem = port_problem(port); !problem.empty()) return problem;
  return {};
}

Problem ports_or_all_problem(const std::string& text) {
  return text == "*" ? Problem() : ports_problem(text);
}

// Go's netip.ParsePrefix: an address without a length is none.
bool is_prefix(const std::string& text) {
  return text.find('/') != text.npos && Cidr::parse(text).has_value();
}

Problem ranges_problem(const std::string& text) {
  if (text.empty()) return {};
  for (const std::string& range : split(text))
    if (!is_prefix(range)) return "failed parsing cidr '" + range + "'";
  return {};
}

Problem ranges_or_all_problem(const std::string& text) {
  return text == "*" ? Problem() : ranges_problem(text);
}

Problem interfaces_problem(const std::string& text) {
  constexpr std::size_t name_bytes_max = 15;
  static const std::regex letters("[a-zA-Z][a-zA-Z0-9_.\\-]*");
  if (text.empty()) return {};
  for (const std::string& part : split(text)) {
    const std::string name = trimmed(part);
    if (name.empty()) return "empty interface name";
    if (name.size() > name_bytes_max)
      return "interface name \"" + name + "\" too long (max 15 chars)";
    if (!std::regex_match(name, letters))
      return "interface name \"" + name + "\" contains invalid characters";
  }
  return {};
}

Problem mode_problem(const std::string& text) {
  const bool known = text == "REDIRECT" || text == "TPROXY" || text == "NONE";
  return known ? "" : "interceptionMode invalid, use REDIRECT,TPROXY,NONE: " + text;
}

Problem number_problem(const std::string& text) {
  return is_number<uint32_t>(text) ? "" : "not a number from 0 to 4294967295";
}

Problem boolean_problem(const std::string& text) {  // as Go's strconv.ParseBool
  for (const char* word :
       {"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"})
    if (text == word) return {};
  return "not a boolean";
}

Problem quantity_problem(const std::string& text) {  // as Kubernetes' resource.ParseQuantity
  constexpr std::size_t bytes_max = 64;  // longer ones are no quantity that anybody writes
  static const std::regex form(
      "[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?");
  const bool good = text.size() <= bytes_max && std::regex_match(text, form);
  return good ? ""
              : "quantities must match the regular expression '^([+-]?[0-9.]+)"
                "([eEinumkKMGTP]*[-+]?[0-9]*)$'";
}

std::vector<istio::Finding> config_findings(const std::string& text) {
  return istio::decode_proxy_config(text, config_name, {}).findings;
}

Problem config_problem(const std::string& text) {
  for (const istio::Finding& finding : config_findings(text)) {
    if (finding.severity != istio::Severity::error) continue;
    return "line " + std::to_string(finding.line) + ": " +
           (finding.field.empty() ? "" : finding.field + ": ") + finding.reason;
  }
  return {};
}

Problem templates_problem(const std::string& text) {
  const bool known = text == "sidecar" || text == "gateway";
  return known ? "" : "inject.istio.io/templates: sidecar and gateway are available: " + text;
}

struct Known {
  const char* name;
  Problem (*problem)(const std::string& value) = nullptr;  // none: any value
};
// istio/api annotation.yaml, as far as it is about a pod's sidecar.
constexpr Known known[] = {
    {"inject.istio.io/templates", templates_problem},
    {"prometheus.istio.io/merge-metrics", boolean_problem},
    {"prometheus.istio.io/scrape-targets"},
    {"istio.io/reroute-virtual-interfaces", interfaces_problem},
    {config_name, config_problem},
    {"proxy.istio.io/overrides"},
    {"readiness.status.sidecar.istio.io/applicationPorts"},
    {"readiness.status.sidecar.istio.io/failureThreshold", number_problem},
    {"readiness.status.sidecar.istio.io/initialDelaySeconds", number_problem},
    {"readiness.status.sidecar.istio.io/periodSeconds", number_problem},
    {"sidecar.istio.io/agentLogLevel"},
    {"sidecar.istio.io/bootstrapOverride"},
    {"sidecar.istio.io/capNetBindService"},
    {"sidecar.istio.io/componentLogLevel"},
    {"sidecar.istio.io/controlPlaneAuthPolicy"},
    {"sidecar.istio.io/discoveryAddress"},
    {"sidecar.istio.io/enableCoreDump"},
    {"sidecar.istio.io/extraStatTags"},
    {"sidecar.istio.io/inject"},
    {"sidecar.istio.io/interceptionMode", mode_problem},
    {"sidecar.istio.io/logLevel"},
    {"sidecar.istio.io/nativeSidecar"},
    {"sidecar.istio.io/proxyCPU", quantity_problem},
    {"sidecar.istio.io/proxyCPULimit", quantity_problem},
    {"sidecar.istio.io/proxyImage"},
    {"sidecar.istio.io/proxyImageType"},
    {"sidecar.istio.io/proxyMemory", quantity_problem},
    {"sidecar.istio.io/proxyMemoryLimit", quantity_problem},
    {"sidecar.istio.io/rewriteAppHTTPProbers"},
    {"sidecar.istio.io/statsCompression"},
    {"sidecar.istio.io/statsEvictionInterval"},
    {"sidecar.istio.io/statsFlushInterval"},
    {"sidecar.istio.io/statsHistogramBuckets"},
    {"sidecar.istio.io/statsInclusionPrefixes"},
    {"sidecar.istio.io/statsInclusionRegexps"},
    {"sidecar.istio.io/statsInclusionSuffixes"},
    {"sidecar.istio.io/status"},
    {"sidecar.istio.io/userVolume"},
    {"sidecar.istio.io/userVolumeMount"},
    {"status.sidecar.istio.io/port", status_port_problem},
    {"traffic.sidecar.istio.io/excludeInboundPorts", ports_problem},
    {"traffic.sidecar.istio.io/excludeInterfaces", interfaces_problem},
    {"traffic.sidecar.istio.io/excludeOutboundIPRanges", ranges_problem},
    {"traffic.sidecar.istio.io/excludeOutboundPorts", ports_problem},
    {"traffic.sidecar.istio.io/includeInboundPorts", ports_or_all_problem},
    {"traffic.sidecar.istio.io/includeOutboundIPRanges", ranges_or_all_problem},
    {"traffic.sidecar.istio.io/includeOutboundPorts"},
    {"traffic.sidecar.istio.io/kubevirtInterfaces", interfaces_problem},
};
constexpr const char* prefixes[] = {"proxy.istio.io/", "readiness.status.sidecar.istio.io/",
                                    "sidecar.istio.io/", "status.sidecar.istio.io/",
                                    "traffic.sidecar.istio.io/"};

const Known* find_known(const std::string& name) {
  const auto* const at = std::find_if(std::begin(known), std::end(known),
                                      [&](const Known& each) { return name == each.name; });
  return at == std::end(known) ? nullptr : at;
}

std::string behind_slash(const std::string& name) { return name.substr(name.find('/') + 1); }

// The nearest by what follows the prefix: a right name under a wrong prefix is near, too.
std::string near_annotation(const std::string& name) {
  std::vector<std::string> names;
  for (const Known& each : known) names.push_back(behind_slash(each.name));
  const std::string best = nearest(behind_slash(name), names);
  if (best.empty()) return {};
  const auto at = std::find(names.begin(), names.end(), best) - names.begin();
  return std::string("; did you mean \"") + known[at].name + "\"?";
}

bool is_for_sidecars(const std::string& name) {
  return std::any_of(std::begin(prefixes), std::end(prefixes),
                     [&](const char* prefix) { return name.starts_with(prefix); });
}

}  // namespace

std::optional<AnnotationNote> refused_annotation(
    const std::map<std::string, std::string>& annotations) {
  for (const auto& [name, value] : annotations) {
    const Known* const rule = find_known(name);
    if (!rule || !rule->problem) continue;
    const Problem problem = rule->problem(value);
    if (problem.empty()) continue;
    if (name == config_name) return AnnotationNote{name, name + ": " + problem};
    return AnnotationNote{
        name, "invalid value '" + value + "' for annotation '" + name + "': " + problem};
  }
  return std::nullopt;
}

std::vector<AnnotationNote> unknown_annotations(
    const std::map<std::string, std::string>& annotations) {
  std::vector<AnnotationNote> notes;
  for (const auto& [name, value] : annotations) {
    if (!find_known(name) && is_for_sidecars(name)) {
      notes.push_back(
          {name, "annotation " + name + " is not Istio's, has no effect" + near_annotation(name)});
    }
    if (name != config_name) continue;
    for (const istio::Finding& finding : config_findings(value)) {
      if (finding.severity == istio::Severity::error) continue;
      notes.push_back({name, name + ": " + finding.field + ": " + finding.reason});
    }
  }
  return notes;
}

}  // namespace sallyport::cli
