// sallyport-sandbox: runs Kubernetes manifests on this machine. See README.md.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <thread>

#include "deploy/sandbox/sandbox.h"

namespace {

using namespace sallyport::sandbox;
using sallyport::Error;
using sallyport::Result;

struct Arguments {
  std::string name = "sandbox", target, container, file, filter;
  std::vector<std::string> command;
  bool no_inject = false, follow = false;
  int timeout_seconds = 60, grace_seconds = 2;
};

int complain(const Error& error) {
  std::fprintf(stderr, "sallyport-sandbox: %s\n", error.context.c_str());
  return 1;
}

void print_progress(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }

int print_status(Sandbox& sandbox) {
  auto rows = sandbox.status();
  if (!rows) return complain(rows.error());
  std::printf("%-18s %-28s %-28s %-9s %-15s %s\n", "NAMESPACE", "NAME", "STATE", "RESTARTS", "IPV4",
              "IPV6");
  for (const PodRow& row : *rows) {
    std::printf("%-18s %-28s %-28s %-9s %-15s %s\n", row.namespace_name.c_str(), row.name.c_str(),
                row.state.c_str(), row.restarts.c_str(), row.ipv4.c_str(), row.ipv6.c_str());
  }
  return 0;
}

int run_up(const Arguments& arguments) {
  Options options;
  options.name = arguments.name;
  options.inject = !arguments.no_inject;
  options.ready_timeout = std::chrono::seconds(arguments.timeout_seconds);
  options.progress = print_progress;
  auto sandbox = Sandbox::up_directory(arguments.target, options);
  if (!sandbox) return complain(sandbox.error());
  const int code = print_status(*sandbox);
  sandbox->detach();
  return code;
}

int run_exec(Sandbox& sandbox, const Arguments& arguments) {
  auto entrance = sandbox.entrance(arguments.target, arguments.container);
  if (!entrance) return complain(entrance.error());
  ProcessSpec process = entrance->process;
  process.argv = arguments.command;
  if (const char* term = std::getenv("TERM"))
    process.environment.push_back(std::string("TERM=") + term);
  // No way back from other namespaces: what runs at exit (a leak checker's helper thread) could not
  // start in them.
  _exit(run_inside(entrance->doors(), process));
}

int run_logs(Sandbox& sandbox, const Arguments& arguments) {
  uint64_t offset = 0;
  do {
    auto text = sandbox.logs_from(arguments.target, arguments.container, offset);
    if (!text) return complain(text.error());
    if (std::fwrite(text->data(), 1, text->size(), stdout) != text->size() ||
        std::fflush(stdout) != 0)
      return 1;
    if (arguments.follow) std::this_thread::sleep_for(std::chrono::milliseconds(200));
  } while (arguments.follow);
  return 0;
}

// tcpdump in our place: as text, or into a file.
int run_capture(Sandbox& sandbox, const Arguments& arguments) {
  auto entrance = sandbox.entrance(arguments.target, arguments.container);
  if (!entrance) return complain(entrance.error());
  if (setns(entrance->fds[5].get(), CLONE_NEWNET) != 0)
    return complain(system_error("enter the node"));
  // Immediate: a packet is told of when it is there, not when a buffer is full.
  std::vector<std::string> argv = {"tcpdump", "--immediate-mode", "-i", entrance->interface};
  const std::vector<std::string> how =
      arguments.file.empty() ? std::vector<std::string>{"-n", "-l"}
                             : std::vector<std::string>{"-U", "-Z", "root", "-w", arguments.file};
  argv.insert(argv.end(), how.begin(), how.end());
  if (!arguments.filter.empty()) argv.push_back(arguments.filter);
  execvp("tcpdump", c_strings(argv).data());
  return complain(system_error("tcpdump"));
}

int run_apply(Sandbox& sandbox, const Arguments& arguments) {
  const std::string path = arguments.file == "-" ? "/dev/stdin" : arguments.file;
  const UniqueFd there(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!there) return complain(system_error(path));
  const std::string name = path.substr(path.rfind('/') + 1);
  auto applied = sandbox.apply(name, read_file(path));
  if (applied) applied = sandbox.wait_ready(std::chrono::seconds(arguments.timeout_seconds));
  return applied ? 0 : complain(applied.error());
}

int run_status(const Arguments& arguments, bool named) {
  int code = 0;
  const std::vector<std::string> names = named ? std::vector{arguments.name} : running_sandboxes();
  if (names.empty()) std::puts("no sandbox is up");
  for (const std::string& name : names) {
    auto sandbox = Sandbox::attach(name);
    if (!sandbox) return complain(sandbox.error());
    std::printf("sandbox %s\n", name.c_str());
    code |= print_status(*sandbox);
  }
  return code;
}

void add_pod_command(CLI::App& app, Arguments& arguments, const char* name, const char* help) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("pod", arguments.target, "pod, namespace/pod, or a Deployment")->required();
  command->add_option("-c,--container", arguments.container,
                      "default: the pod's default container");
}

void describe(CLI::App& app, Arguments& arguments) {
  app.require_subcommand(1);
  app.add_option("--name", arguments.name, "which sandbox, when several run side by side");
  CLI::App* up =
      app.add_subcommand("up", "run the manifests in a directory; returns when every pod is ready");
  up->add_option("directory", arguments.target)->required();
  up->add_flag("--no-inject", arguments.no_inject, "as they are, without sallyport inject");
  up->add_option("--timeout", arguments.timeout_seconds, "seconds until every pod must be ready");
  add_pod_command(app, arguments, "exec", "run a command in a pod: exec POD -- COMMAND...");
  app.get_subcommand("exec")->add_option("command", arguments.command)->required();
  app.get_subcommand("exec")->prefix_command();
  add_pod_command(app, arguments, "logs", "what a container wrote");
  app.get_subcommand("logs")->add_flag("-f,--follow", arguments.follow);
  add_pod_command(app, arguments, "capture", "tcpdump on the pod's link, outside the pod");
  app.get_subcommand("capture")->add_option("filter", arguments.filter, "in tcpdump's language");
  app.get_subcommand("capture")->add_option("-w,--write", arguments.file,
                                            "a pcap file instead of text");
  CLI::App* apply = app.add_subcommand("apply", "change a running sandbox");
  apply->add_option("-f,--file", arguments.file, "manifests; - for stdin")->required();
  apply->add_option("--timeout", arguments.timeout_seconds,
                    "seconds until every pod must be ready");
  app.add_subcommand("delete", "take back what a file of that name gave, and what it names")
      ->add_option("-f,--file", arguments.file, "the file; its name is enough; - for stdin")
      ->required();
  app.add_subcommand("status", "the pods of every sandbox, or of --name");
  app.add_subcommand("down", "end a sandbox; nothing of it is left")
      ->add_option("--grace", arguments.grace_seconds, "seconds that programs have to end");
}

int run(const CLI::App& app, const Arguments& arguments) {
  const std::string verb = app.get_subcommands().front()->get_name();
  if (verb == "up") return run_up(arguments);
  if (verb == "status") return run_status(arguments, app.count("--name") > 0);
  auto sandbox = Sandbox::attach(
      arguments.name, verb == "apply" ? print_progress : std::function<void(const std::string&)>());
  if (!sandbox) return complain(sandbox.error());
  if (verb == "exec") return run_exec(*sandbox, arguments);
  if (verb == "logs") return run_logs(*sandbox, arguments);
  if (verb == "capture") return run_capture(*sandbox, arguments);
  if (verb == "apply") return run_apply(*sandbox, arguments);
  if (verb == "delete") {
    // Its text too: the same objects may have come from another file, or from stdin.
    const std::string path = arguments.file == "-" ? "/dev/stdin" : arguments.file;
    const UniqueFd there(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    auto removed =
        sandbox->remove(path.substr(path.rfind('/') + 1), there ? read_file(path) : std::string());
    return removed ? 0 : complain(removed.error());
  }
  auto down = sandbox->down(std::chrono::seconds(arguments.grace_seconds));
  return down ? 0 : complain(down.error());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs Kubernetes manifests as network namespaces on this machine.");
  Arguments arguments;
  describe(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const auto left = app.remaining();
    const bool unknown =
        app.get_subcommands().empty() && !left.empty() && !left.front().starts_with('-');
    if (!unknown) return app.exit(error);
    std::fprintf(stderr, "sallyport-sandbox: no command is called \"%s\"; see --help\n",
                 left.front().c_str());
    return 2;
  }
  return run(app, arguments);
}
