// The subcommands; each parses its own options.
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "agent/cli/analyze.h"
#include "agent/cli/ca.h"
#include "agent/cli/completion.h"
#include "agent/cli/egress_report.h"
#include "agent/cli/explain.h"
#include "agent/cli/init.h"
#include "agent/cli/inject.h"
#include "agent/cli/proxy_command.h"
#include "agent/cli/proxy_config.h"
#include "agent/cli/validate.h"
#include "agent/cli/wait.h"
#include "agent/core/suggest.h"

namespace {

struct Command {
  const char* name;
  int (*run)(int argc, char** argv);
  const char* help;
  const char* alias = "";
};

constexpr Command commands[] = {
    {"sidecar", sallyport::cli::run_sidecar,
     "capture a pod's connections, originate TLS as ServiceEntry and DestinationRule ask"},
    {"gateway", sallyport::cli::run_gateway,
     "serve Gateways at the edge: end TLS or pass it through, route as VirtualServices say"},
    {"init", sallyport::cli::run_init,
     "install (verify, remove) the redirects in a pod's network namespace"},
    {"inject", sallyport::cli::run_inject,
     "add the init container and the sidecar to pod templates"},
    {"ca", sallyport::cli::run_ca,
     "sign workloads' certificates: Istio's certificate service, for meshes without istiod"},
    {"validate", sallyport::cli::run_validate,
     "say what a proxy would refuse of files, directories or stdin"},
    {"analyze", sallyport::cli::run_analyze,
     "find mistakes in files, directories or stdin: TLS twice, missing Secrets, unused rules ..."},
    {"explain", sallyport::cli::run_explain,
     "say where a request would go, how, and which lines of which resources say so"},
    {"proxy-config", sallyport::cli::run_proxy_config,
     "listeners, routes, clusters, endpoints, secrets, log levels of this pod's proxy (pc)", "pc"},
    {"egress-report", sallyport::cli::run_egress_report,
     "where the application talks to beyond the registry, and the ServiceEntries that allow it"},
    {"wait", sallyport::cli::run_wait, "wait until this pod's proxy is ready (a postStart hook)"},
    {"request", sallyport::cli::run_request,
     "make a request to a port of this pod's proxy (a preStop hook)"},
    {"completion", sallyport::cli::run_completion,
     "a script that completes commands and flags in bash, zsh or fish"},
};

void print_help(FILE* to) {
  std::fputs("sallyport " SALLYPORT_VERSION
             ": Istio's TLS at the edge of a pod, without a control plane\n\nUsage: sallyport "
             "COMMAND [OPTIONS]\n\n",
             to);
  for (const auto& command : commands) std::fprintf(to, "  %-13s %s\n", command.name, command.help);
  std::fputs(
      "  version       print the version\n\n"
      "Examples:\n"
      "    sallyport validate rules/\n"
      "    sallyport analyze rules/ deployment.yaml\n"
      "    sallyport explain --to http://api.example.com/ --from sleep rules/ deployment.yaml\n"
      "    sallyport inject -f deployment.yaml | kubectl apply -f -\n"
      "    kubectl exec sleep-0 -c istio-proxy -- sallyport proxy-config secret\n\n"
      "sallyport COMMAND --help tells a command's options.\n",
      to);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  const std::string_view first = argc > 2 ? argv[2] : "";
  if (name == "version" && (first == "--help" || first == "-h"))
    return std::puts("Prints the version.\n\nExample:\n    sallyport version") < 0;
  if (name == "version" || name == "--version")
    return std::puts("sallyport " SALLYPORT_VERSION) < 0;
  if (name == "--help" || name == "-h" || name == "help") return print_help(stdout), 0;
  for (const auto& command : commands)
    if (name == command.name || (!name.empty() && name == command.alias))
      return command.run(argc - 1, argv + 1);
  if (name.empty()) {
    print_help(stderr);
  } else {
    std::vector<std::string> known{"version"};
    for (const auto& command : commands) known.emplace_back(command.name);
    const auto hint = sallyport::did_you_mean(name, known);
    std::fprintf(stderr, "sallyport: no command is called \"%.*s\"%s see sallyport --help\n",
                 int(name.size()), name.data(), hint.empty() ? ";" : hint.c_str());
  }
  return 2;
}
