#include "deploy/sandbox/probe.h"

#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <sstream>

#include "deploy/sandbox/namespaces.h"

namespace sallyport::sandbox {
namespace {

// 0 when connected and, for HTTP, answered with 200 to 399.
int probe_once(const std::string& request, const SocketAddress& to) {
  sockaddr_storage storage = {};
  const socklen_t length = to.fill(storage);
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) return 1;
  if (request.empty()) return 0;
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size()))
    return 1;
  char status[13] = {};  // "HTTP/1.1 200 "
  std::size_t have = 0;
  while (have < sizeof status - 1) {
    const ssize_t bytes = recv(fd, status + have, sizeof status - 1 - have, 0);
    if (bytes <= 0) return 1;
    have += static_cast<std::size_t>(bytes);
  }
  const int code = std::atoi(status + 9);
  return code >= 200 && code < 400 ? 0 : 1;
}

void add_listening(const std::string& table, std::set<uint16_t>& ports) {
  std::istringstream lines(read_file(table));
  std::string line;
  std::getline(lines, line);  // the heading
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string slot, local, remote, state;
    fields >> slot >> local >> remote >> state;
    if (state != "0A") continue;  // TCP_LISTEN
    ports.insert(
        static_cast<uint16_t>(std::strtoul(local.c_str() + local.rfind(':') + 1, nullptr, 16)));
  }
}

}  // namespace

uint16_t probe_port(const Container& container, const std::string& port) {
  for (const ContainerPort& each : container.ports) {
    if (each.name == port) return each.number;
  }
  return static_cast<uint16_t>(std::strtoul(port.c_str(), nullptr, 10));
}

pid_t start_network_probe(const Probe& probe, const IpAddress& pod, uint16_t port) {
  std::string request;
  if (probe.kind == Probe::Kind::http_get) {
    request = "GET " + probe.path + " HTTP/1.1\r\n";
    if (!probe.headers.count("Host"))
      request += "Host: " + SocketAddress(pod, port).text() + "\r\n";
    for (const auto& [name, value] : probe.headers) request += name + ": " + value + "\r\n";
    request += "User-Agent: kube-probe/1.30\r\nConnection: close\r\n\r\n";
  }
  const SocketAddress to(pod, port);
  const pid_t pid = clone_process(0);
  if (pid != 0) return pid;
  signal(SIGALRM, SIG_DFL);
  alarm(static_cast<unsigned>(std::max<int64_t>(1, probe.timeout.count())));
  _exit(probe_once(request, to));
}

bool listens(pid_t pid, const std::vector<uint16_t>& ports) {
  if (ports.empty()) return true;
  std::set<uint16_t> listening;
  const std::string net = "/proc/" + std::to_string(pid) + "/net/";
  add_listening(net + "tcp", listening);
  add_listening(net + "tcp6", listening);
  return std::all_of(ports.begin(), ports.end(),
                     [&](uint16_t port) { return listening.count(port) > 0; });
}

}  // namespace sallyport::sandbox
