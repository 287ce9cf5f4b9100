#include "agent/cli/proxy_config.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>

#include "agent/cli/admin_client.h"
#include "agent/cli/command_line.h"
#include "agent/cli/input.h"
#include "agent/cli/log_levels.h"
#include "agent/cli/proxy_config_view.h"
#include "agent/core/suggest.h"

namespace sallyport::cli {
namespace {

constexpr int exit_failed = 1;

enum class Part : uint8_t { cluster, listener, route, endpoint, secret, log, all };

struct PartName {
  Part part;
  const char* name;
  std::vector<std::string> aliases;  // istioctl's
  const char* help;
  const char* example;
};

const PartName parts[] = {
    {Part::all, "all", {"a"}, "everything below but log", "--with-headers"},
    {Part::cluster,
     "cluster",
     {"clusters", "c"},
     "where traffic can go, and which DestinationRule says how",
     "--fqdn my-nginx.mesh-external.svc.cluster.local -o json"},
    {Part::endpoint,
     "endpoint",
     {"endpoints", "ep"},
     "addresses behind the clusters and their state",
     "--cluster 'outbound|80||my-nginx.mesh-external.svc.cluster.local'"},
    {Part::listener,
     "listener",
     {"listeners", "l"},
     "what is done with connections, by address and port",
     "--port 443"},
    {Part::log, "log", {"o"}, "log levels; sets them too", "--level config:debug"},
    {Part::route,
     "route",
     {"routes", "r"},
     "HTTP hosts and paths, and which VirtualService made them",
     "--name 80"},
    {Part::secret,
     "secret",
     {"secrets", "s"},
     "certificates and CAs: whether they are there, and until when they hold",
     "-o yaml"},
};

struct ProxyConfigFlags {
  ProxyConfigQuery query;
  std::string admin = "127.0.0.1:15000", file, output = "short", level;
  std::vector<std::string> more;
  bool reset = false;
};

void print_help(FILE* to) {
  std::fputs(
      "What the proxy of this pod has, in istioctl's columns.\n\n"
      "Usage: sallyport proxy-config PART [OPTIONS]\n\nParts:\n",
      to);
  for (const auto& part : parts) {
    std::string names = part.name;
    for (const auto& alias : part.aliases) names += ", " + alias;
    std::fprintf(to, "  %-23s %s\n", names.c_str(), part.help);
  }
  std::fputs(
      "\nExamples:\n"
      "    kubectl exec sleep-0 -c istio-proxy -- sallyport proxy-config secret\n"
      "    sallyport pc cluster --direction outbound --port 443\n"
      "    curl -s localhost:15000/config_dump > dump.json; sallyport pc listener -f dump.json\n\n"
      "sallyport proxy-config PART --help tells a part's options.\n",
      to);
}

void add_filters(CLI::App& app, Part part, ProxyConfigQuery& query) {
  const auto is = [part](std::initializer_list<Part> some) {
    return part == Part::all || std::find(some.begin(), some.end(), part) != some.end();
  };
  if (is({Part::cluster})) {
    app.add_option("--fqdn", query.fqdn, "clusters whose service has this in its name");
    app.add_option("--direction", query.direction, "clusters: inbound or outbound");
    app.add_option("--subset", query.subset, "clusters whose subset has this in its name");
  }
  if (is({Part::cluster, Part::listener, Part::endpoint})) {
    app.add_option("--port", query.port, "only this port")->check(CLI::Range(1, 65535));
  }
  if (is({Part::listener, Part::endpoint})) {
    app.add_option("--address", query.address, "only this address");
  }
  if (is({Part::listener})) {
    app.add_option("--type", query.type, "listeners of this type: HTTP, TCP or HTTP+TCP");
  }
  if (is({Part::route})) app.add_option("--name", query.name, "the route table of this name");
  if (part == Part::secret) app.add_option("--name", query.name, "the secret of this name");
  if (is({Part::endpoint})) {
    app.add_option("--cluster", query.cluster, "endpoints of this cluster");
    app.add_option("--status", query.status, "endpoints in this state: HEALTHY, UNHEALTHY, ...");
  }
  if (is({Part::listener, Part::route})) {
    app.add_flag("--verbose{true},!--no-verbose", query.verbose,
                 "with matches and destinations (default; --verbose=false: without)");
  }
}

void add_proxy_config_options(CLI::App& app, Part part, ProxyConfigFlags& flags) {
  app.add_option("--admin", flags.admin, "address:port of the proxy's admin interface")
      ->capture_default_str();
  if (part == Part::log) {
    app.add_option("--level", flags.level,
                   "level of all loggers, or LOGGER:LEVEL,...; levels: trace, debug, info, "
                   "warning, error, critical, off");
    app.add_flag("-r,--reset", flags.reset, "all loggers to info");
  } else {
    app.add_option("-f,--file", flags.file, "a saved /config_dump instead; - is stdin");
    app.add_option("-o,--output", flags.output, "short (table), json or yaml")
        ->capture_default_str()
        ->check(CLI::IsMember({"short", "table", "json", "yaml"}));
    add_filters(app, part, flags.query);
  }
  if (part == Part::all) {
    app.add_flag("--with-headers", flags.query.with_headers, "a title above each table");
  }
  app.add_option("POD", flags.more)->group("");  // told below that there is none
}

Output output_of(const std::string& name) {
  return name == "json" ? Output::json : name == "yaml" ? Output::yaml : Output::table;
}

Result<std::string> fetch(const ProxyConfigFlags& flags, const std::string& page) {
  if (!flags.file.empty()) return read_input(flags.file);
  const auto admin = SocketAddress::parse(flags.admin);
  if (!admin) {
    return Error{.context = "--admin: \"" + flags.admin + "\" is not address:port"};
  }
  auto body = ask_admin(*admin, "GET", page);
  if (body) return body;
  return Error{.context = body.error().context +
                          " (is a proxy running in this pod? else: --admin, or -f FILE)"};
}

Result<JsonDocument> fetch_json(const ProxyConfigFlags& flags, const std::string& page) {
  const auto body = fetch(flags, page);
  if (!body) return body.error();
  auto document = JsonDocument::parse(*body);
  if (!document && !flags.file.empty()) return while_doing(flags.file, document.error());
  return document;
}

Result<std::string> view_everything(const ProxyConfigFlags& flags) {
  const auto dump = fetch_json(flags, "/config_dump");
  if (!dump) return dump.error();
  if (!flags.file.empty() || flags.query.output != Output::table) {
    return view_all(dump->root(), nullptr, flags.query);
  }
  const auto clusters = fetch_json(flags, "/clusters?format=json");
  if (!clusters) return clusters.error();
  return view_all(dump->root(), clusters->root(), flags.query);
}

Result<std::string> show(Part part, const ProxyConfigFlags& flags) {
  if (part == Part::all) return view_everything(flags);
  const bool endpoints = part == Part::endpoint;
  const auto document = fetch_json(flags, endpoints ? "/clusters?format=json" : "/config_dump");
  if (!document) return document.error();
  const auto view = part == Part::cluster    ? view_clusters
                    : part == Part::listener ? view_listeners
                    : part == Part::route    ? view_routes
                    : part == Part::secret   ? view_secrets
                                             : view_endpoints;
  auto text = view(document->root(), flags.query);
  if (!text && !flags.file.empty()) return while_doing(flags.file, text.error());
  return text;
}

int run_part(const PartName& part, int argc, char** argv) {
  CLI::App app(std::string("Shows ") + part.help + ".",
               std::string("sallyport proxy-config ") + part.name);
  app.footer(std::string("\nExample:\n    sallyport proxy-config ") + part.name + " " +
             part.example);
  ProxyConfigFlags flags;
  flags.query.now = std::time(nullptr);
  add_proxy_config_options(app, part.part, flags);
  if (const auto code = parse(app, argc, argv)) return *code;
  if (!flags.more.empty()) {
    return wrong_usage(app, "it reads the proxy of the pod that it runs in: kubectl exec " +
                                flags.more.front() + " -c istio-proxy -- sallyport proxy-config " +
                                part.name);
  }
  if (flags.reset && !flags.level.empty()) {
    return wrong_usage(app, "--level cannot be combined with --reset");
  }
  flags.query.output = output_of(flags.output);
  const auto text = part.part == Part::log
                        ? log_levels_of(flags.admin, flags.reset ? "info" : flags.level)
                        : show(part.part, flags);
  if (!text) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), text.error().context.c_str());
    return exit_failed;
  }
  return std::fputs(text->c_str(), stdout) < 0 ? exit_failed : 0;
}

}  // namespace

int run_proxy_config(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "--help" || name == "-h" || name == "help") return print_help(stdout), 0;
  std::vector<std::string> known;
  for (const auto& part : parts) {
    known.emplace_back(part.name);
    const bool is_alias =
        std::find(part.aliases.begin(), part.aliases.end(), name) != part.aliases.end();
    if (name == part.name || is_alias) return run_part(part, argc - 1, argv + 1);
  }
  if (name.empty()) return print_help(stderr), exit_usage;
  const auto hint = did_you_mean(name, known);
  std::fprintf(stderr,
               "sallyport proxy-config: there is no part \"%s\"%s see sallyport proxy-config "
               "--help\n",
               name.c_str(), hint.empty() ? ";" : hint.c_str());
  return exit_usage;
}

}  // namespace sallyport::cli
