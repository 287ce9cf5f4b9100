#include "agent/cli/inject_prometheus.h"

#include <boost/algorithm/string/split.hpp>
#include <boost/algorithm/string/trim.hpp>
#include <cctype>

#include "agent/admin/app_metrics.h"
#include "agent/cli/yaml_edit.h"

namespace sallyport::cli {
namespace {

using Annotations = std::map<std::string, std::string>;

constexpr const char* port_name = "prometheus_io_port";
constexpr const char* path_name = "prometheus_io_path";
constexpr const char* scrape_name = "prometheus_io_scrape";
constexpr const char* targets_name = "prometheus_istio_io_scrape_targets";

// As Prometheus makes a label of it.
std::string label_name(std::string name) {
  for (char& letter : name) {
    if (!std::isalnum(static_cast<unsigned char>(letter))) letter = '_';
  }
  return name;
}

Annotations by_label(const Annotations& annotations) {
  Annotations out;
  for (const auto& [name, value] : annotations) out.emplace(label_name(name), value);
  return out;
}

std::string text_of(const Annotations& labels, const char* name) {
  const auto found = labels.find(name);
  return found == labels.end() ? "" : found->second;
}

// Go's strconv.ParseBool; `otherwise` for what is none.
bool parse_bool(const std::string& text, bool otherwise) {
  for (const char* yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == no) return false;
  }
  return otherwise;
}

struct MetricsPlace {
  std::string port, path;
};

// "8080:/metrics,9090": the path is /metrics where there is none.
Result<std::vector<MetricsPlace>> places_in(const std::string& text) {
  std::vector<MetricsPlace> out;
  std::vector<std::string> entries;
  boost::split(entries, text, [](char letter) { return letter == ','; });
  for (const std::string& entry : entries) {
    if (boost::trim_copy(entry).empty()) continue;
    const auto colon = entry.find(':');
    MetricsPlace place{.port = boost::trim_copy(entry.substr(0, colon)), .path = {}};
    if (colon != entry.npos) place.path = boost::trim_copy(entry.substr(colon + 1));
    if (place.path.empty()) place.path = "/metrics";
    if (place.port.empty())
      return Error{
          .fault = Fault::protocol,
          .side = Side::local,
          .context = "prometheus.istio.io/scrape-targets: empty port in \"" + entry + "\""};
    out.push_back(std::move(place));
  }
  return out;
}

std::string json_of(const Annotations& labels, const std::vector<MetricsPlace>& places) {
  const bool several = !places.empty();
  const std::string port = several ? places[0].port : text_of(labels, port_name);
  const std::string path = several ? places[0].path : text_of(labels, path_name);
  const std::string scrape = text_of(labels, scrape_name);
  if (port.empty() && path.empty() && scrape.empty()) return {};
  std::string json = R"({"scrape":)" + quoted(scrape) + R"(,"path":)" + quoted(path) +
                     R"(,"port":)" + quoted(port);
  std::string list;
  for (const MetricsPlace& place : places) {
    list += (list.empty() ? "" : ",") + std::string(R"({"port":)") + quoted(place.port) +
            R"(,"path":)" + quoted(place.path) + "}";
  }
  return json + (several ? R"(,"targets":[)" + list + "]}" : "}");
}

Annotations pointed_at(const Annotations& annotations, uint16_t status_port) {
  const Annotations ours = {{port_name, std::to_string(status_port)},
                            {path_name, "/stats/prometheus"},
                            {scrape_name, "true"}};
  Annotations out = {{"prometheus.io/port", ours.at(port_name)},
                     {"prometheus.io/path", ours.at(path_name)},
                     {"prometheus.io/scrape", ours.at(scrape_name)}};
  for (const auto& [name, value] : annotations) {
    const auto found = ours.find(label_name(name));
    if (found != ours.end()) out[name] = found->second;
  }
  return out;
}

}  // namespace

Result<PrometheusMerge> merge_prometheus(const Annotations& annotations, bool enabled,
                                         uint16_t status_port) {
  const Annotations labels = by_label(annotations);
  const auto wish = annotations.find("prometheus.istio.io/merge-metrics");
  if (wish != annotations.end()) enabled = parse_bool(wish->second, enabled);
  if (!enabled || status_port == 0) return PrometheusMerge();
  if (!parse_bool(text_of(labels, scrape_name), true)) return PrometheusMerge();
  if (text_of(labels, port_name) == std::to_string(status_port)) return PrometheusMerge();
  const auto places = places_in(text_of(labels, targets_name));
  if (!places) return places.error();
  PrometheusMerge out;
  out.app_metrics = json_of(labels, *places);
  if (const auto read = admin::decode_scrape_targets(out.app_metrics, status_port); !read)
    return read.error();
  out.annotations = pointed_at(annotations, status_port);
  return out;
}

}  // namespace sallyport::cli
