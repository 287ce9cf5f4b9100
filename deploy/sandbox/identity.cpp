#include "deploy/sandbox/identity.h"

#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "deploy/sandbox/process.h"

namespace sallyport::sandbox {
namespace {

const std::map<std::string, int>& capability_numbers() {
  static const std::map<std::string, int> numbers = {{"CHOWN", CAP_CHOWN},
                                                     {"DAC_OVERRIDE", CAP_DAC_OVERRIDE},
                                                     {"FOWNER", CAP_FOWNER},
                                                     {"FSETID", CAP_FSETID},
                                                     {"KILL", CAP_KILL},
                                                     {"SETGID", CAP_SETGID},
                                                     {"SETUID", CAP_SETUID},
                                                     {"SETPCAP", CAP_SETPCAP},
                                                     {"NET_BIND_SERVICE", CAP_NET_BIND_SERVICE},
                                                     {"NET_RAW", CAP_NET_RAW},
                                                     {"SYS_CHROOT", CAP_SYS_CHROOT},
                                                     {"MKNOD", CAP_MKNOD},
                                                     {"AUDIT_WRITE", CAP_AUDIT_WRITE},
                                                     {"SETFCAP", CAP_SETFCAP},
                                                     {"NET_ADMIN", CAP_NET_ADMIN},
                                                     {"SYS_ADMIN", CAP_SYS_ADMIN},
                                                     {"SYS_PTRACE", CAP_SYS_PTRACE},
                                                     {"IPC_LOCK", CAP_IPC_LOCK},
                                                     {"SYS_RESOURCE", CAP_SYS_RESOURCE},
                                                     {"SYS_NICE", CAP_SYS_NICE}};
  return numbers;
}

// What containerd and Docker leave to a container that asks for nothing.
constexpr const char* default_capabilities[] = {
    "CHOWN",   "DAC_OVERRIDE",     "FOWNER",  "FSETID",     "KILL",  "SETGID",      "SETUID",
    "SETPCAP", "NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP"};

bool drop_capabilities(const Identity& identity) {
  if (identity.privileged) return true;
  const std::vector<int> kept = kept_capabilities(identity);
  for (int number = 0; prctl(PR_CAPBSET_READ, number) >= 0; ++number) {
    if (std::find(kept.begin(), kept.end(), number) != kept.end()) continue;
    if (prctl(PR_CAPBSET_DROP, number) != 0) return false;
  }
  return true;
}

}  // namespace

std::vector<int> kept_capabilities(const Identity& identity) {
  std::vector<int> kept;
  const auto& numbers = capability_numbers();
  const auto dropped = [&](const std::string& name) {
    const auto& names = identity.capabilities_dropped;
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (!dropped("ALL")) {
    for (const char* name : default_capabilities) {
      if (!dropped(name)) kept.push_back(numbers.at(name));
    }
  }
  for (const std::string& name : identity.capabilities_added) {
    const auto known = numbers.find(name);
    if (known != numbers.end()) kept.push_back(known->second);
  }
  return kept;
}

std::string become(const ProcessSpec& process, bool die_with_parent) {
  const auto error = [](const std::string& what) { return what + ": " + strerror(errno); };
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int each : {SIGPIPE, SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT}) signal(each, SIG_DFL);
  const Identity& identity = process.identity;
  if (!drop_capabilities(identity)) return error("drop capabilities");
  if (setgroups(0, nullptr) != 0 ||
      setresgid(identity.group, identity.group, identity.group) != 0 ||
      setresuid(identity.user, identity.user, identity.user) != 0) {
    return error("become uid " + std::to_string(identity.user));
  }
  // Not earlier: the kernel forgets it when ids change.
  if (die_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return error("PR_SET_PDEATHSIG");
  if (identity.no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return error("no_new_privs");
  if (chdir(process.working_dir.empty() ? "/" : process.working_dir.c_str()) != 0) {
    return error("workingDir " + process.working_dir);
  }
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);  // Whatever else is open here is not the program's.
  const std::vector<char*> variables = c_strings(process.environment);
  const std::vector<char*> words = c_strings(process.argv);
  environ =
      const_cast<char**>(variables.data());  // execvp then searches the container's PATH, not ours.
  execvp(words[0], words.data());
  return error("exec " + process.argv[0]);
}

}  // namespace sallyport::sandbox
