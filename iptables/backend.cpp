#include "iptables/backend.h"

#include <ifaddrs.h>
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <thread>

#include "agent/core/limits.h"
#include "iptables/hints.h"
#include "iptables/program.h"

namespace sallyport::rules {
namespace {

constexpr Backend backends[] = {Backend::nft, Backend::legacy};

std::string read_file(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string base_name(Family family) { return family == Family::v4 ? "iptables" : "ip6tables"; }

std::optional<Tool> named_tool(Family family, Backend backend) {
  const std::string stem = base_name(family) + "-" + std::string(name_of(backend));
  Tool tool{family, backend, find_program(stem + "-save"), find_program(stem + "-restore")};
  if (tool.save.empty() || tool.restore.empty()) return {};
  return tool;
}

// Older and smaller images have only "iptables-restore", whichever that is; its version line tells.
std::optional<Tool> plain_tool(Family family) {
  Tool tool{family, Backend::legacy, find_program(base_name(family) + "-save"),
            find_program(base_name(family) + "-restore")};
  if (tool.save.empty() || tool.restore.empty()) return {};
  const auto version = run_program({tool.restore, "--version"}, "");
  if (version && version->output.find("nf_tables") != std::string::npos)
    tool.backend = Backend::nft;
  return tool;
}

std::vector<Tool> find_tools(Family family) {
  std::vector<Tool> tools;
  for (const auto backend : backends) {
    if (auto tool = named_tool(family, backend)) tools.push_back(std::move(*tool));
  }
  if (tools.size() == std::size(backends)) return tools;
  const auto plain = plain_tool(family);
  const bool is_new = plain && std::none_of(tools.begin(), tools.end(), [&](const Tool& tool) {
                        return tool.backend == plain->backend;
                      });
  if (is_new) tools.push_back(*plain);
  return tools;
}

// The thread's own file: /proc/net is the main thread's.
bool has_legacy_tables(Family family) {
  return !read_file(family == Family::v4 ? "/proc/thread-self/net/ip_tables_names"
                                         : "/proc/thread-self/net/ip6_tables_names")
              .empty();
}

bool is_beyond_link(const ifaddrs& entry) {
  if (entry.ifa_addr == nullptr || entry.ifa_addr->sa_family != AF_INET6) return false;
  const auto& address = reinterpret_cast<const sockaddr_in6*>(entry.ifa_addr)->sin6_addr;
  // ::6 is ours, see loopback_source.h.
  const bool low = IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_V4COMPAT(&address);
  return !low && !IN6_IS_ADDR_LINKLOCAL(&address);
}

// "line 12 failed" and "Error occurred at line: 12": the line itself tells more.
std::string failed_line(const std::string& errors, std::string_view input) {
  const auto at = errors.find("line");
  const auto digits = at == std::string::npos ? at : errors.find_first_of("0123456789", at);
  if (digits == std::string::npos || digits > at + 6) return {};
  for (int number = std::atoi(errors.c_str() + digits); number > 0 && !input.empty(); number--) {
    const auto end = std::min(input.find('\n'), input.size());
    if (number == 1) return "; that line is: " + std::string(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  return {};
}

Error program_error(const std::string& program, const ProgramResult& result,
                    std::string_view input) {
  std::string context = program + " failed (exit code " + std::to_string(result.exit_code) + "): ";
  for (const char c : result.errors) context += c == '\n' ? ' ' : c;
  context.erase(context.find_last_not_of(' ') + 1);
  const std::string_view hint = hint_for(result.errors);
  context += failed_line(result.errors, input);
  return {.fault = hint == capability_hint ? Fault::denied : Fault::internal,
          .context = context += hint};
}

}  // namespace

std::string_view name_of(Family family) { return family == Family::v4 ? "IPv4" : "IPv6"; }
std::string_view name_of(Backend backend) { return backend == Backend::nft ? "nft" : "legacy"; }

Result<void> require_net_admin() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) == 0 && (data[0].effective & (1U << CAP_NET_ADMIN)) != 0)
    return {};
  return Error{.fault = Fault::denied,
               .context = "CAP_NET_ADMIN is missing" + std::string(capability_hint)};
}

Result<std::string> saved_rules(const Tool& tool) {
  if (tool.backend == Backend::legacy && !has_legacy_tables(tool.family)) return std::string();
  auto saved = run_program({tool.save}, "");
  if (!saved) return saved.error();
  if (saved->exit_code != 0) return program_error(tool.save, *saved, "");
  return std::move(saved->output);
}

Result<Ruleset> read_rules(const Tool& tool) {
  const auto saved = saved_rules(tool);
  if (!saved) return saved.error();
  return parse_ruleset(*saved);
}

bool has_iptables(Family family) { return !find_tools(family).empty(); }

Result<Survey> survey(Family family) {
  Survey out;
  std::optional<Error> first;
  for (auto& tool : find_tools(family)) {
    auto rules = read_rules(tool);
    if (rules) {
      out.usable.push_back({std::move(tool), std::move(*rules)});
      continue;
    }
    // Legacy has tables that may hold our rules, or those of others: to go on without knowing would
    // double them. And what one backend may not do, the other may not either, but would tell it
    // less clearly.
    if (tool.backend == Backend::legacy || rules.error().fault == Fault::denied)
      return rules.error();
    if (!first) first = rules.error();
    out.problems = rules.error().context;
  }
  if (!out.usable.empty()) return out;
  if (first) return *first;
  return Error{.fault = Fault::internal,
               .context = "no " + base_name(family) + "-save and " + base_name(family) +
                          "-restore in PATH" + std::string(program_hint)};
}

Result<void> restore(const Tool& tool, const std::string& input) {
  std::vector<std::string> arguments{tool.restore, "--noflush"};
  if (tool.backend == Backend::legacy) arguments.push_back("--wait=30");
  for (int tries = 1;; tries++) {
    const auto result = run_program(arguments, input);
    if (!result) return result.error();
    if (result->exit_code == 0) return {};
    // 4: another program changed the same table at the same moment (or, with no hope, we may not).
    const bool busy = result->exit_code == 4 && hint_for(result->errors) != capability_hint;
    if (!busy || tries == limits::iptables_tries)
      return program_error(tool.restore, *result, input);
    std::this_thread::sleep_for(limits::iptables_retry_delay);
  }
}

Result<std::vector<const Surveyed*>> candidates(const Survey& survey, Family family,
                                                std::optional<Backend> forced) {
  std::vector<const Surveyed*> out;
  const auto only = [&out](const Surveyed& entry) { return out = {&entry}; };
  if (forced) {
    for (const auto& entry : survey.usable) {
      if (entry.tool.backend == *forced) return only(entry);
    }
    return Error{.fault = Fault::internal,
                 .context = "--force-iptables-binary: " + base_name(family) + "-" +
                            std::string(name_of(*forced)) + " is not there or does not work" +
                            (survey.problems.empty() ? "" : ": " + survey.problems)};
  }
  for (const auto& entry : survey.usable) {
    if (entry.ruleset.has_ours()) return only(entry);
  }
  for (const auto& entry : survey.usable) {
    if (entry.tool.backend == Backend::legacy && entry.ruleset.has_others) return only(entry);
  }
  for (const auto& entry : survey.usable)
    out.push_back(&entry);  // find_tools() has them in this order.
  return out;
}

// The kernel has that setting in the first network namespace only.
bool is_host_network() { return access("/proc/sys/net/core/netdev_max_backlog", F_OK) == 0; }

Ipv6 ipv6_state() {
  // The kernel refuses this when it has no IPv6, built without it or switched off at boot.
  const int probe = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (probe < 0 && errno == EAFNOSUPPORT) return Ipv6::off;
  if (probe >= 0) close(probe);
  ifaddrs* head = nullptr;
  if (getifaddrs(&head) != 0) return Ipv6::needed;  // Fails closed.
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(head, &freeifaddrs);
  for (const ifaddrs* entry = head; entry != nullptr; entry = entry->ifa_next) {
    if (is_beyond_link(*entry)) return Ipv6::needed;
  }
  return read_file("/proc/sys/net/ipv6/conf/all/disable_ipv6").starts_with('1') ? Ipv6::off
                                                                                : Ipv6::possible;
}

}  // namespace sallyport::rules
