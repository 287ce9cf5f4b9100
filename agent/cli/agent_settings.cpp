#include "agent/cli/agent_settings.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "agent/cli/mesh_config.h"
#include "agent/core/limits.h"
#include "agent/istio/decode.h"

namespace sallyport::cli {
namespace {

using std::chrono::milliseconds;

struct Refused {
  std::string reason;
};

// Go's time.ParseDuration without signs: "300ms", "1.5h", "2h45m", "0".
std::optional<milliseconds> parse_duration(std::string_view text) {
  constexpr std::pair<std::string_view, double> units[] = {
      {"ns", 1e-6}, {"us", 1e-3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}};
  if (text == "0") return milliseconds(0);
  if (text.empty()) return std::nullopt;
  double sum = 0;
  while (!text.empty()) {
    double number = 0;
    const auto read =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (read.ec != std::errc() || !(number >= 0)) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
    const auto end = std::min(text.find_first_of("0123456789."), text.size());
    const auto unit = std::find_if(std::begin(units), std::end(units), [&](const auto& one) {
      return one.first == text.substr(0, end);
    });
    if (unit == std::end(units)) return std::nullopt;
    sum += number * unit->second;
    text.remove_prefix(end);
  }
  constexpr double year_ms = 365.0 * 24 * 3600 * 1000;
  if (!(sum <= year_ms)) return std::nullopt;
  return milliseconds(static_cast<int64_t>(sum));
}

// As Go's strconv.ParseBool.
std::optional<bool> parse_bool(const std::string& text) {
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"})
    if (text == yes) return true;
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"})
    if (text == no) return false;
  return std::nullopt;
}

class Reader {
public:
  Reader(const Lookup& environment, const istio::ProxyConfig& proxy)
      : environment_(environment), proxy_(proxy) {}

  std::string text(const char* name) const {
    const std::string own = environment_(name);
    const auto meshes = proxy_.proxy_metadata.find(name);
    return !own.empty() || meshes == proxy_.proxy_metadata.end() ? own : meshes->second;
  }
  bool flag(const char* name, bool otherwise) const {
    const std::string given = text(name);
    if (given.empty()) return otherwise;
    const auto wish = parse_bool(given);
    if (!wish) throw Refused{std::string(name) + ": \"" + given + "\" is neither true nor false"};
    return *wish;
  }
  milliseconds duration(const char* name, milliseconds otherwise) const {
    const std::string given = text(name);
    if (given.empty()) return otherwise;
    const auto time = parse_duration(given);
    if (!time) throw Refused{std::string(name) + ": \"" + given + "\" is no duration such as 5s"};
    return *time;
  }

private:
  const Lookup& environment_;
  const istio::ProxyConfig& proxy_;
};

istio::ProxyConfig own_config(const istio::MeshConfig& mesh, const Lookup& environment) {
  const std::string text = environment("PROXY_CONFIG");
  if (text.empty()) return mesh.default_config;
  auto read = istio::decode_proxy_config(text, "PROXY_CONFIG", mesh.default_config);
  if (const auto* error = first_error(read.findings)) {
    throw Refused{"PROXY_CONFIG:" + std::to_string(error->line) + ": " + error->field + ": " +
                  error->reason};
  }
  return std::move(read.config);
}

}  // namespace

Result<AgentSettings> agent_settings(const istio::MeshConfig& mesh, const Lookup& environment) {
  try {
    AgentSettings settings{.proxy = own_config(mesh, environment)};
    const Reader reader(environment, settings.proxy);
    settings.shutdown = {
        .drain = settings.proxy.drain_duration,
        .termination = settings.proxy.termination_drain_duration,
        .until_unused = reader.flag("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", false),
        .minimum = reader.duration("MINIMUM_DRAIN_DURATION", limits::minimum_drain)};
    auto probes = admin::decode_app_probes(environment("ISTIO_KUBE_APP_PROBERS"));
    if (!probes) return probes.error();
    settings.probes = std::move(*probes);
    auto targets = admin::decode_scrape_targets(environment("ISTIO_PROMETHEUS_ANNOTATIONS"),
                                                settings.proxy.status_port);
    if (!targets) return targets.error();
    settings.scrape_targets = std::move(*targets);
    settings.probe_localhost =
        reader.flag("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", mesh.inbound_to_localhost);
    return settings;
  } catch (const Refused& refused) {
    return Error{.fault = Fault::internal, .side = Side::local, .context = refused.reason};
  }
}

}  // namespace sallyport::cli
