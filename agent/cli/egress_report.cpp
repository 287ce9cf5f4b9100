#include "agent/cli/egress_report.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "agent/admin/egress.h"
#include "agent/cli/admin_client.h"
#include "agent/cli/command_line.h"
#include "agent/cli/egress_text.h"
#include "agent/cli/input.h"

namespace sallyport::cli {
namespace {

constexpr int exit_not_reported = 1;

struct EgressFlags {
  std::string admin = "127.0.0.1:15000", output = "yaml";
  std::vector<std::string> files, more;
};

Result<observe::EgressReport> parse_egress(const std::string& text, const std::string& source) {
  const auto document = JsonDocument::parse(text);
  if (!document) return while_doing(source, document.error());
  auto report = read_egress(document->root());
  if (!report) return while_doing(source, report.error());
  return report;
}

Result<observe::EgressReport> ask_for_egress(const std::string& at) {
  const auto admin = SocketAddress::parse(at);
  if (!admin) return Error{.context = "--admin: \"" + at + "\" is not address:port"};
  const auto body = ask_admin(*admin, "GET", "/debug/egressz");
  if (body) return parse_egress(*body, at);
  return Error{.context = body.error().context +
                          " (is a sidecar running in this pod? else: "
                          "--admin, or -f FILE)"};
}

Result<observe::EgressReport> read_files(const std::vector<std::string>& files) {
  std::vector<observe::EgressReport> reports;
  for (const auto& file : files) {
    const auto text = read_input(file);
    if (!text) return text.error();
    auto report = parse_egress(*text, file);
    if (!report) return report;
    reports.push_back(std::move(*report));
  }
  return observe::merged(std::move(reports));
}

std::string printed(const observe::EgressReport& report, const std::string& output) {
  if (output == "json") return admin::egress_json(report);
  return output == "yaml" ? egress_yaml(report) : egress_table(report);
}

}  // namespace

int run_egress_report(int argc, char** argv) {
  CLI::App app(
      "Shows where the application talked to beyond the registry, what outboundTrafficPolicy\n"
      "REGISTRY_ONLY would refuse of that today, and the ServiceEntries that allow it. The "
      "sidecar\n"
      "remembers it with --learn (proxyMetadata EGRESS_LEARNING: \"true\"), since it began.",
      "sallyport egress-report");
  EgressFlags flags;
  app.add_option("--admin", flags.admin, "address:port of the sidecar's admin interface")
      ->capture_default_str();
  app.add_option("-f,--file", flags.files,
                 "saved /debug/egressz instead, of several pods when given again; - is stdin");
  app.add_option("-o,--output", flags.output,
                 "yaml (ServiceEntries, the table in comments), table (or short), json")
      ->capture_default_str()
      ->check(CLI::IsMember({"yaml", "table", "short", "json"}));
  app.add_option("POD", flags.more)->group("");
  app.footer(
      "\nExamples:\n"
      "    kubectl exec sleep-0 -c istio-proxy -- sallyport egress-report -o table\n"
      "    kubectl exec sleep-0 -c istio-proxy -- sallyport egress-report | kubectl apply -f -\n"
      "    sallyport egress-report -f sleep-0.json -f sleep-1.json\n\n"
      "Exit codes: 0 reported, 1 nothing could be read or nothing is learned, 2 wrong command "
      "line");
  if (const auto code = parse(app, argc, argv)) return *code;
  if (!flags.more.empty())
    return wrong_usage(app, "it asks the sidecar of the pod that it runs in: kubectl exec " +
                                flags.more.front() + " -c istio-proxy -- sallyport egress-report");
  const auto report = flags.files.empty() ? ask_for_egress(flags.admin) : read_files(flags.files);
  if (!report) {
    std::fprintf(stderr, "sallyport egress-report: %s\n", report.error().context.c_str());
    return exit_not_reported;
  }
  return std::fputs(printed(*report, flags.output).c_str(), stdout) < 0 ? exit_not_reported : 0;
}

}  // namespace sallyport::cli
