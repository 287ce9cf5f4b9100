#include "agent/cli/analyze.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>

#include "agent/analyze/analyze.h"
#include "agent/cli/analyze_output.h"
#include "agent/cli/command_line.h"
#include "agent/cli/input.h"
#include "agent/cli/mesh_config.h"
#include "agent/cli/validation.h"

namespace sallyport::cli {
namespace {

constexpr int exit_unreadable = 1;
constexpr int exit_found = 79;  // istioctl's ExitAnalyzerFoundIssues

constexpr const char* footer = R"(
Examples:
    sallyport analyze rules/ deployment.yaml
    kubectl get se,dr,vs,svc,pods,secrets -A -o yaml | sallyport analyze -
    sallyport analyze --failure-threshold Warning -o json rules/
    sallyport analyze --suppress "IST0174=DestinationRule *.staging" rules/
    sallyport analyze --codes

A finding is LEVEL [CODE] (KIND NAME.NAMESPACE FILE:LINE) CAUSE, and below it field and cure. IST
codes are istioctl's, SLP codes ours. The more is given (Pods or Deployments, Services, Secrets),
the more is found. The annotation galley.istio.io/analyze-suppress: "IST0174,SLP0207" silences a
resource.

Exit codes: 0 nothing at or above the failure threshold, 79 findings there, 1 a PATH can't be read,
2 wrong command line)";

struct Flags {
  std::vector<std::string> paths, suppressed;
  std::string mesh_config, output = "log", failure = "Error", shown = "Info";
  std::string namespace_name;
  bool codes = false, all_namespaces = false;
};

void add_options(CLI::App& app, Flags& f) {
  const auto level = CLI::IsMember({"Info", "Warning", "Error"}, CLI::ignore_case);
  app.add_option("PATH", f.paths, "files or directories; - is stdin");
  app.add_option("-o,--output", f.output, "log, json or yaml")
      ->capture_default_str()
      ->check(CLI::IsMember({"log", "json", "yaml"}));
  app.add_option("--failure-threshold", f.failure, "level that makes the exit code 79")
      ->capture_default_str()
      ->transform(level);
  app.add_option("--output-threshold", f.shown, "lowest level that is shown")
      ->capture_default_str()
      ->transform(level);
  app.add_option("-S,--suppress", f.suppressed, "CODE=KIND NAME.NAMESPACE to leave out; * matches")
      ->allow_extra_args(false);
  app.add_option("--mesh-config,--meshConfigFile", f.mesh_config,
                 "MeshConfig file (else a ConfigMap istio with key mesh among the PATHs)");
  auto* const one = app.add_option("-n,--namespace", f.namespace_name,
                                   "show findings in this namespace only (default: all)");
  app.add_flag("-A,--all-namespaces", f.all_namespaces, "all namespaces: the default here")
      ->excludes(one);
  app.add_flag("--codes", f.codes, "list every code: level, meaning, cure");
}

analyze::Level threshold(const std::string& name) {
  return name == "Error"     ? analyze::Level::error
         : name == "Warning" ? analyze::Level::warning
                             : analyze::Level::info;
}

Output output_of(const Flags& flags) {
  return flags.output == "json"   ? Output::json
         : flags.output == "yaml" ? Output::yaml
                                  : Output::table;
}

// Expressions that no analyzer reads.
std::vector<istio::Finding> expression_findings(const analyze::World& world) {
  std::vector<istio::Finding> out;
  for (const auto& telemetry : world.all<istio::Telemetry>()) {
    for (auto& finding : log_filter_findings(*telemetry.value)) out.push_back(std::move(finding));
    for (auto& finding : metric_tag_findings(*telemetry.value)) out.push_back(std::move(finding));
  }
  return out;
}

Result<std::vector<analyze::Finding>> run(const Flags& flags) {
  istio::MeshConfigResult mesh;
  if (!flags.mesh_config.empty()) {
    const auto text = read_input(flags.mesh_config);
    if (!text) return text.error();
    mesh = check_mesh_config(*text, flags.mesh_config);
    for (const auto& finding : mesh.findings) {
      if (finding.severity == istio::Severity::error) return Error{.context = finding.text()};
    }
  }
  const auto tree = read_sources(flags.paths);
  if (!tree) return tree.error();
  std::vector<analyze::Source> sources;
  for (const auto& file : tree->files) {
    if (!file.problem.empty()) return Error{.context = file.path + ": " + file.problem};
    sources.push_back({file.path, file.text});
  }
  const analyze::World world(sources, flags.mesh_config.empty() ? nullptr : &mesh.config);
  auto found = analyze::analyze(world, std::time(nullptr), expression_findings(world));
  if (!flags.namespace_name.empty()) {
    std::erase_if(found, [&](const analyze::Finding& finding) {
      return finding.namespace_name != flags.namespace_name;
    });
  }
  std::erase_if(found, [&](const analyze::Finding& finding) {
    return std::any_of(flags.suppressed.begin(), flags.suppressed.end(),
                       [&](const auto& rule) { return analyze::suppresses(rule, finding); });
  });
  return found;
}

std::string text(const std::vector<analyze::Finding>& findings, const Flags& flags) {
  std::string out;
  for (const auto& finding : findings) out += finding_text(finding);
  if (!out.empty()) return out;
  std::string where;
  for (const auto& path : flags.paths) {
    where += (where.empty() ? "" : ", ") + (path == "-" ? std::string("stdin") : path);
  }
  return "\u2714 No validation issues found when analyzing " + where + ".\n";
}

int show(const std::string& shown, int code) {
  const bool written = std::fputs(shown.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  return written ? code : exit_unreadable;
}

}  // namespace

int run_analyze(int argc, char** argv) {
  CLI::App app("Finds mistakes in Istio's and Kubernetes' resources, with their cause and cure.",
               "sallyport analyze");
  app.footer(footer);
  Flags flags;
  add_options(app, flags);
  if (const auto code = parse(app, argc, argv)) return *code;
  const auto output = output_of(flags);
  if (flags.codes) {
    const auto all = analyze::codes();
    return show(output == Output::table ? codes_text(all) : codes_document(all, output), 0);
  }
  if (flags.paths.empty()) return wrong_usage(app, "which files? PATH..., or - for stdin");
  auto found = run(flags);
  if (!found) {
    std::fprintf(stderr, "sallyport analyze: %s\n", found.error().context.c_str());
    return exit_unreadable;
  }
  const auto at_least = [&](const std::string& name) {
    return
        [level = threshold(name)](const analyze::Finding& one) { return one.code->level >= level; };
  };
  const bool failed = std::any_of(found->begin(), found->end(), at_least(flags.failure));
  std::erase_if(*found, [is = at_least(flags.shown)](const auto& one) { return !is(one); });
  const auto shown =
      output == Output::table ? text(*found, flags) : findings_document(*found, output);
  return show(shown, failed ? exit_found : 0);
}

}  // namespace sallyport::cli
