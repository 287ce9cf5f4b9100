#include "agent/cli/validate.h"

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdio>

#include "agent/analyze/world.h"
#include "agent/cli/command_line.h"
#include "agent/cli/finding_text.h"
#include "agent/cli/input.h"
#include "agent/cli/json_output.h"
#include "agent/cli/mesh_config.h"
#include "agent/cli/validation.h"

namespace sallyport::cli {
namespace {

constexpr int exit_invalid = 1;

constexpr const char* validate_footer = R"(
Examples:
    sallyport validate rules/                      every *.yaml, *.yml and *.json in it and below
    kubectl get se,dr,vs -A -o yaml | sallyport validate -
    sallyport validate -f rules.yaml --labels app=sleep -o json

A finding is FILE:LINE: SEVERITY: KIND NAMESPACE/NAME: FIELD: REASON. Errors are what a proxy would
refuse; a refused rule closes the hosts it names, a refused policy the workloads. Other kinds are
named and passed over.

Exit codes: 0 valid (perhaps with warnings), 1 not valid or not readable, 2 wrong command line)";

struct ValidateFlags {
  std::vector<std::string> paths, files, labels;
  std::string mesh_config, namespace_name, output = "text";
};

void add_validate_options(CLI::App& app, ValidateFlags& f) {
  app.add_option("PATH", f.paths, "files or directories; - is stdin");
  app.add_option("-f,--filename", f.files, "the same, as istioctl and kubectl have it");
  app.add_option("-o,--output", f.output, "text, json or yaml")
      ->capture_default_str()
      ->check(CLI::IsMember({"text", "json", "yaml"}));
  app.add_option("-n,--namespace", f.namespace_name,
                 "as a proxy of this namespace sees it (default: each namespace's own rules)");
  app.add_option("--labels", f.labels, "as a proxy with these labels sees it: app=sleep,version=v1")
      ->delimiter(',')
      ->allow_extra_args(false);  // what follows is a PATH
  app.add_option(
      "--mesh-config", f.mesh_config,
      "MeshConfig file, checked too (else a ConfigMap istio with key mesh among the PATHs)");
}

std::string counted(std::size_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string verdict(const Validation& result) {
  const auto where = counted(result.resources, "resource") + " in " + counted(result.files, "file");
  std::string out = result.good() ? "valid: " : "not valid: ";
  if (result.errors > 0) out += counted(result.errors, "error") + ", ";
  if (result.warnings() > 0) out += counted(result.warnings(), "warning") + ", ";
  out += where;
  return result.good() && result.resources == 0 ? out + ", nothing that a proxy reads" : out;
}

std::string text(const Validation& result) {
  std::string out;
  for (const auto& finding : result.findings) out += finding_line(finding) + "\n";
  return out + verdict(result) + "\n";
}

std::string structured(const Validation& result, Output output) {
  boost::json::array findings;
  for (const auto& one : result.findings) {
    const bool is_error = one.severity == istio::Severity::error;
    findings.push_back(boost::json::object{{"severity", is_error ? "error" : "warning"},
                                           {"file", one.file},
                                           {"line", one.line},
                                           {"kind", one.kind},
                                           {"namespace", one.namespace_name},
                                           {"name", one.name},
                                           {"field", one.field},
                                           {"reason", one.reason}});
  }
  const boost::json::value all =
      boost::json::object{{"valid", result.good()},        {"errors", result.errors},
                          {"warnings", result.warnings()}, {"resources", result.resources},
                          {"files", result.files},         {"findings", std::move(findings)}};
  return print(all, output, Names::as_they_are);
}

// nullopt: none asked for. Error: a label without "=".
Result<std::optional<istio::Proxy>> proxy_of(const ValidateFlags& flags) {
  if (flags.namespace_name.empty() && flags.labels.empty()) return std::optional<istio::Proxy>();
  istio::Proxy proxy;
  if (!flags.namespace_name.empty()) proxy.namespace_name = flags.namespace_name;
  for (const auto& label : flags.labels) {
    const auto at = label.find('=');
    if (at == label.npos || at == 0) {
      return Error{.context = "--labels: \"" + label + "\" is not NAME=VALUE"};
    }
    proxy.labels[label.substr(0, at)] = label.substr(at + 1);
  }
  return std::optional(std::move(proxy));
}

struct Job {
  std::vector<std::string> paths;
  std::string mesh_config;
  std::optional<istio::Proxy> proxy;
};

// The MeshConfig of a ConfigMap `istio`, as explain and analyze have it.
istio::MeshConfigResult mesh_among(const config::SourceTree& tree) {
  std::vector<analyze::Source> sources;
  for (const auto& file : tree.files) sources.push_back({file.path, file.text});
  const analyze::World world(sources, nullptr);
  const auto& read = world.mesh_read();
  if (!read) return {};
  auto out = read->result;
  if (first_error(out.findings)) return out;
  for (auto& finding : log_format_findings(out.config, read->file)) {
    out.findings.push_back(std::move(finding));
  }
  return out;
}

Result<Validation> run(const Job& job) {
  istio::MeshConfigResult mesh;
  if (!job.mesh_config.empty()) {
    const auto text = read_input(job.mesh_config);
    if (!text) return text.error();
    mesh = check_mesh_config(*text, job.mesh_config);
  }
  const auto tree = read_sources(job.paths);
  if (!tree) return tree.error();
  if (job.mesh_config.empty()) mesh = mesh_among(*tree);
  if (first_error(mesh.findings)) mesh.config = {};
  auto result = validate(*tree, mesh.config, job.proxy);
  for (const auto& finding : mesh.findings) {
    result.errors += finding.severity == istio::Severity::error ? 1 : 0;
    result.findings.push_back(finding);
  }
  return result;
}

}  // namespace

int run_validate(int argc, char** argv) {
  CLI::App app(
      "Says whether a proxy would take these Istio resources, and what is wrong with those that it "
      "would not.",
      "sallyport validate");
  app.footer(validate_footer);
  ValidateFlags flags;
  add_validate_options(app, flags);
  if (const auto code = parse(app, argc, argv)) return *code;
  auto proxy = proxy_of(flags);
  if (!proxy) return wrong_usage(app, proxy.error().context);
  Job job{std::move(flags.paths), flags.mesh_config, std::move(*proxy)};
  job.paths.insert(job.paths.end(), flags.files.begin(), flags.files.end());
  if (job.paths.empty() && job.mesh_config.empty()) {
    return wrong_usage(app, "which files? PATH..., -f FILE, or - for stdin");
  }
  const auto result = run(job);
  if (!result) {
    std::fprintf(stderr, "sallyport validate: %s\n", result.error().context.c_str());
    return exit_invalid;
  }
  const auto shown = flags.output == "text"   ? text(*result)
                     : flags.output == "json" ? structured(*result, Output::json)
                                              : structured(*result, Output::yaml);
  const bool written = std::fputs(shown.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  return written && result->good() ? 0 : exit_invalid;
}

}  // namespace sallyport::cli
