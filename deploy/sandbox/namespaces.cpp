#include "deploy/sandbox/namespaces.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "deploy/sandbox/cluster.h"

namespace sallyport::sandbox {
namespace {

void set_sysctl(const std::string& name, const std::string& value) {
  write_file("/proc/sys/net/" + name, value);
}

void set_common_sysctls() {
  for (const char* scope : {"all", "default"}) {
    const std::string ipv6 = std::string("ipv6/conf/") + scope;
    set_sysctl(ipv6 + "/disable_ipv6", "0");
    set_sysctl(ipv6 + "/accept_dad",
               "0");  // Addresses are ours alone: no second of waiting for a duplicate.
    set_sysctl(ipv6 + "/accept_ra", "0");
    set_sysctl(std::string("ipv4/conf/") + scope + "/send_redirects", "0");
    set_sysctl(std::string("ipv4/conf/") + scope + "/rp_filter", "0");
  }
}

bool bring_up_loopback() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return socket && ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0;
}

// The first process of a pod: says that it is there, then only reaps what is orphaned.
[[noreturn]] void pause_forever(const std::string& host_name, int ready) {
  set_common_sysctls();
  set_sysctl("ipv4/ip_unprivileged_port_start", "0");  // as container runtimes do
  set_sysctl("ipv4/ping_group_range", "0 2147483647");
  prctl(PR_SET_NAME, "pod");
  if (sethostname(host_name.c_str(), host_name.size()) != 0 || !bring_up_loopback()) _exit(1);
  dup2(ready, 0);
  close_range(1, ~0U, 0);
  if (write(0, "r", 1) != 1) _exit(1);
  close(0);
  signal(SIGCHLD, SIG_IGN);  // The kernel reaps for us.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (;;) pause();
}

UniqueFd namespace_of(pid_t pid, const char* kind) {
  return UniqueFd(
      open(("/proc/" + std::to_string(pid) + "/ns/" + kind).c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace

pid_t clone_process(int namespace_flags) {
  return static_cast<pid_t>(
      syscall(SYS_clone, namespace_flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

bool has_ipv6() { return access("/proc/net/if_inet6", F_OK) == 0; }

Result<void> set_up_node() {
  if (!bring_up_loopback()) return system_error("bring up the node's loopback");
  set_common_sysctls();
  set_sysctl("ipv4/ip_forward", "1");
  std::string batch;
  for (const char* ip : {node_ipv4, dns_ipv4})
    batch += "addr add " + std::string(ip) + "/32 dev lo\n";
  batch += "route add unreachable " + std::string(service_range_ipv4) + "\n";
  if (has_ipv6()) {
    set_sysctl("ipv6/conf/all/forwarding", "1");
    for (const char* ip : {node_ipv6, dns_ipv6})
      batch += "addr add " + std::string(ip) + "/128 dev lo nodad\n";
    batch += "route add unreachable " + std::string(service_range_ipv6) + "\n";
  }
  auto done = run_checked({"ip", "-batch", "-"}, batch);
  if (!done) return while_doing("set up the node", done.error());
  return {};
}

Result<PodNamespaces> make_pod_namespaces(const std::string& host_name) {
  Pipe ready = make_pipe();
  if (!ready.read) return system_error("pipe");
  const pid_t pid =
      clone_process(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC);
  if (pid < 0) return system_error("make the pod's namespaces");
  if (pid == 0) pause_forever(host_name, ready.write.get());
  ready.write.reset();
  char letter = 0;
  if (read(ready.read.get(), &letter, 1) != 1)
    return failure("the pod's first process didn't start");
  PodNamespaces pod{.pause = pid};
  pod.net = namespace_of(pid, "net");
  pod.uts = namespace_of(pid, "uts");
  pod.ipc = namespace_of(pid, "ipc");
  pod.pid = namespace_of(pid, "pid");
  if (!pod.net || !pod.uts || !pod.ipc || !pod.pid)
    return system_error("open the pod's namespaces");
  return pod;
}

Result<void> connect_pod(const PodNamespaces& pod, const PodLink& link) {
  const std::string& outer = link.interface;
  std::string node = "link add " + outer + " type veth peer name eth0 netns " +
                     std::to_string(pod.pause) + "\n" + "link set " + outer + " up\n" +  //
                     "route add " + link.ipv4.text() + "/32 dev " + outer + "\n";
  std::string inner = "addr add " + link.ipv4.text() + "/32 dev eth0\nlink set eth0 up\n" +  //
                      "route add " + node_ipv4 + " dev eth0\n" +                             //
                      "route add default via " + node_ipv4 + " dev eth0\n";
  if (has_ipv6()) {
    // Every link's node side has the same link-local address, as neighbour discovery answers only
    // for the link's own.
    node += "addr add fe80::1/64 dev " + outer + " nodad\nroute add " + link.ipv6.text() +
            "/128 dev " + outer + "\n";
    inner += "addr add " + link.ipv6.text() +
             "/128 dev eth0 nodad\nroute add ::/0 via fe80::1 dev eth0\n";
  }
  auto done = run_checked({"ip", "-batch", "-"}, node);
  if (done) done = run_checked({"ip", "-batch", "-"}, inner, pod.net.get());
  if (!done) return while_doing("connect the pod", done.error());
  return {};
}

}  // namespace sallyport::sandbox
