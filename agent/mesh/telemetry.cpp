#include "agent/mesh/telemetry.h"

#include <algorithm>
#include <map>
#include <set>

#include "agent/mesh/compile.h"
#include "agent/mesh/known_services.h"
#include "agent/mesh/telemetry_scope.h"

namespace sallyport::mesh {
namespace {

using istio::Telemetry;
using istio::WorkloadMode;
using Findings = std::vector<istio::Finding>;
using ProviderNames = std::vector<std::string>;
using Telemetries = std::vector<const Telemetry*>;

std::string entry_field(const Telemetry& telemetry, const istio::AccessLogging& entry) {
  const auto index = &entry - telemetry.access_logging.data();
  return "spec.accessLogging[" + std::to_string(index) + "]";
}

bool holds_for(const istio::AccessLogging& entry, WorkloadMode side) {
  return entry.mode == WorkloadMode::client_and_server || entry.mode == side;
}

// The filter of a provider: an entry of a Telemetry; null: there is none.
struct FilterChoice {
  const Telemetry* telemetry = nullptr;
  const istio::AccessLogging* entry = nullptr;
  bool operator==(const FilterChoice&) const = default;
};
struct ProviderChoice {
  bool disabled = false;
  FilterChoice filter = {};
};
using ProviderChoices = std::map<std::string, ProviderChoice, std::less<>>;

struct ProviderScope {
  std::set<std::string, std::less<>> names;                  // the lowest level's that names any
  std::map<std::string, FilterChoice, std::less<>> filters;  // the last one's of each
};

ProviderScope scope_of(const Telemetries& telemetries, const ProviderNames& defaults,
                       WorkloadMode side) {
  ProviderScope out;
  out.names.insert(defaults.begin(), defaults.end());
  for (const auto* telemetry : telemetries) {
    std::set<std::string, std::less<>> names;
    for (const auto& entry : telemetry->access_logging) {
      if (!holds_for(entry, side)) continue;
      for (const auto& name : entry.providers) {
        names.insert(name);
        out.filters[name] = entry.filter.empty() ? FilterChoice{} : FilterChoice{telemetry, &entry};
      }
    }
    if (!names.empty()) out.names = std::move(names);
  }
  return out;
}

// istiod's mergeLogs, for one side.
ProviderChoices merge_logging(const Telemetries& telemetries, const ProviderNames& defaults,
                              WorkloadMode side) {
  ProviderChoices out;
  if (telemetries.empty()) {
    for (const auto& name : defaults) out[name];
    return out;
  }
  const ProviderScope scope = scope_of(telemetries, defaults, side);
  const ProviderNames* parents = &defaults;
  for (const auto* telemetry : telemetries) {
    for (const auto& entry : telemetry->access_logging) {
      if (!entry.providers.empty()) parents = &entry.providers;
      if (!holds_for(entry, side)) continue;
      for (const auto& name : *parents) {
        if (!scope.names.contains(name)) continue;
        const auto filter = scope.filters.find(name);
        out[name] = {.disabled = entry.disabled.value_or(false),
                     .filter = filter == scope.filters.end() ? FilterChoice{} : filter->second};
      }
    }
  }
  return out;
}

// Those whose lines go to a gRPC service.
bool is_log_service(std::string_view kind) {
  return kind == "envoyHttpAls" || kind == "envoyTcpAls" || kind == "envoyOtelAls";
}

class LoggingCompiler {
public:
  LoggingCompiler(const CompileInput& input, Findings& findings)
      : input_(input), findings_(findings) {}

  std::shared_ptr<const AccessLogging> run();

private:
  void check_providers(const Telemetry& telemetry, const ProviderNames*& parents);
  void check_provider(const Telemetry& telemetry, const istio::AccessLogging& entry,
                      std::size_t index);
  void check_defaults();
  std::string provider_problem(std::string_view name) const;
  void add_side(const Telemetries& telemetries, WorkloadMode side);
  void add_logger(const istio::ExtensionProvider& provider, const FilterChoice& filter,
                  WorkloadMode side);
  void add(AccessLogger logger, WorkloadMode side);

  const CompileInput& input_;
  Findings& findings_;
  AccessLogging out_;
};

// Empty: it can be logged to.
std::string LoggingCompiler::provider_problem(std::string_view name) const {
  const auto* provider = istio::find_provider(input_.mesh.extension_providers, name);
  const std::string quoted = "\"" + std::string(name) + "\"";
  if (!provider)
    return "no provider " + quoted + " is among meshConfig.extensionProviders: nothing is logged " +
           "by it";
  if (provider->kind == istio::file_access_log) return {};
  if (is_log_service(provider->kind))
    return "provider " + quoted + " is of kind " + provider->kind +
           ", which is not supported: nothing is logged by it";
  return "provider " + quoted + " is of kind " + provider->kind +
         ", which is not one of access logs: nothing is logged by it";
}

void LoggingCompiler::check_provider(const Telemetry& telemetry, const istio::AccessLogging& entry,
                                     std::size_t index) {
  auto problem = provider_problem(entry.providers[index]);
  if (problem.empty() || entry.disabled.value_or(false)) return;
  findings_.push_back(
      finding(istio::Severity::warning, telemetry.metadata,
              entry_field(telemetry, entry) + ".providers[" + std::to_string(index) + "].name",
              std::move(problem), entry.line));
}

void LoggingCompiler::check_providers(const Telemetry& telemetry, const ProviderNames*& parents) {
  for (const auto& entry : telemetry.access_logging) {
    for (std::size_t i = 0; i < entry.providers.size(); i++) check_provider(telemetry, entry, i);
    if (!entry.providers.empty()) {
      parents = &entry.providers;
    } else if (!entry.filter.empty()) {
      findings_.push_back(finding(istio::Severity::warning, telemetry.metadata,
                                  entry_field(telemetry, entry) + ".filter",
                                  "has no effect: a filter is for the providers that its entry "
                                  "names, and this one names none",
                                  entry.filter_line));
    }
    if (!parents->empty() || entry.disabled.value_or(false)) continue;
    findings_.push_back(finding(istio::Severity::warning, telemetry.metadata,
                                entry_field(telemetry, entry) + ".providers",
                                "IST0157: with empty providers, and without "
                                "meshConfig.defaultProviders.accessLogging, it is ignored",
                                entry.line));
  }
}

void LoggingCompiler::check_defaults() {
  const auto& names = input_.mesh.default_providers.access_logging;
  for (std::size_t i = 0; i < names.size(); i++) {
    auto problem = provider_problem(names[i]);
    if (problem.empty()) continue;
    istio::Finding found;
    found.severity = istio::Severity::warning;
    found.kind = "MeshConfig";
    found.field = "defaultProviders.accessLogging[" + std::to_string(i) + "]";
    found.reason = std::move(problem);
    findings_.push_back(std::move(found));
  }
}

// One that both sides have is one logger.
void LoggingCompiler::add(AccessLogger logger, WorkloadMode side) {
  const auto same =
      std::find_if(out_.loggers.begin(), out_.loggers.end(), [&](const AccessLogger& one) {
        return one.provider == logger.provider && one.filter_field == logger.filter_field &&
               one.filter_from == logger.filter_from;
      });
  AccessLogger& added =
      same == out_.loggers.end() ? out_.loggers.emplace_back(std::move(logger)) : *same;
  (side == WorkloadMode::client ? added.client : added.server) = true;
}

void LoggingCompiler::add_logger(const istio::ExtensionProvider& provider,
                                 const FilterChoice& filter, WorkloadMode side) {
  const auto& mesh = input_.mesh;
  const bool of_mesh = uses_mesh_format(provider);
  AccessLogger out;
  out.provider = provider.name;
  out.path = provider.path;
  out.format = of_mesh ? mesh.access_log_format : provider.format;
  out.json = of_mesh ? mesh.access_log_encoding == istio::LogEncoding::json : provider.json;
  out.omit_empty_values = provider.omit_empty_values;
  if (filter.entry) {
    out.filter = filter.entry->filter;
    out.filter_field = entry_field(*filter.telemetry, *filter.entry) + ".filter.expression";
    out.filter_from = filter.telemetry->metadata.ref;
    out.filter_line = filter.entry->filter_line;
  }
  add(std::move(out), side);
}

// Without any logger that is known, be it disabled, accessLogFile holds (istiod's accesslog.go).
void LoggingCompiler::add_side(const Telemetries& telemetries, WorkloadMode side) {
  const auto& mesh = input_.mesh;
  bool configured = false;
  const auto choices = merge_logging(telemetries, mesh.default_providers.access_logging, side);
  for (const auto& [name, choice] : choices) {
    const auto* provider = istio::find_provider(mesh.extension_providers, name);
    if (!provider) continue;
    const bool file = provider->kind == istio::file_access_log;
    configured = configured || file || is_log_service(provider->kind);
    if (file && !choice.disabled) add_logger(*provider, choice.filter, side);
  }
  if (configured || mesh.access_log_file.empty()) return;
  AccessLogger out;
  out.path = mesh.access_log_file;
  out.format = mesh.access_log_format;
  out.json = mesh.access_log_encoding == istio::LogEncoding::json;
  add(std::move(out), side);
}

std::shared_ptr<const AccessLogging> LoggingCompiler::run() {
  auto telemetries = applicable_telemetries(input_, findings_);
  std::erase_if(telemetries,
                [](const Telemetry* telemetry) { return telemetry->access_logging.empty(); });
  const ProviderNames* parents = &input_.mesh.default_providers.access_logging;
  for (const auto* telemetry : telemetries) check_providers(*telemetry, parents);
  check_defaults();
  add_side(telemetries, WorkloadMode::client);
  if (input_.proxy.type == istio::Proxy::Type::sidecar) add_side(telemetries, WorkloadMode::server);
  return std::make_shared<const AccessLogging>(std::move(out_));
}

}  // namespace

std::shared_ptr<const AccessLogging> access_logging(const CompileInput& input,
                                                    std::vector<istio::Finding>& findings) {
  return LoggingCompiler(input, findings).run();
}

}  // namespace sallyport::mesh
