// The subcommands; each parses its own options.
#include <cstdio>
#include <string_view>

#include "agent/cli/init.h"
#include "agent/cli/inject.h"
#include "agent/cli/sidecar.h"

namespace {

struct Command {
  const char* name;
  int (*run)(int argc, char** argv);
  const char* help;
};

constexpr Command commands[] = {
    {"sidecar", sallyport::cli::run_sidecar,
     "capture a pod's connections, originate TLS as ServiceEntry and DestinationRule ask"},
    {"init", sallyport::cli::run_init,
     "install (verify, remove) the redirects in a pod's network namespace"},
    {"inject", sallyport::cli::run_inject,
     "add the init container and the sidecar to pod templates"},
};

void print_help(FILE* to) {
  std::fputs("sallyport " SALLYPORT_VERSION
             ": Istio's TLS at the edge of a pod, without a control plane\n\nUsage: sallyport "
             "COMMAND [OPTIONS]\n\n",
             to);
  for (const auto& command : commands) std::fprintf(to, "  %-9s %s\n", command.name, command.help);
  std::fputs(
      "  version   print the version\n\nsallyport COMMAND --help tells a command's options.\n", to);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "version" || name == "--version")
    return std::puts("sallyport " SALLYPORT_VERSION) < 0;
  if (name == "--help" || name == "-h" || name == "help") return print_help(stdout), 0;
  for (const auto& command : commands)
    if (name == command.name) return command.run(argc - 1, argv + 1);
  if (name.empty()) {
    print_help(stderr);
  } else {
    std::fprintf(stderr, "sallyport: no command is called \"%.*s\"; see sallyport --help\n",
                 int(name.size()), name.data());
  }
  return 2;
}
