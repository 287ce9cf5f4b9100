// Supervisor: its clients. A request is a frame whose first text is the verb; the answer's first
// text is "ok", "error" or, before those, "progress".
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "deploy/sandbox/supervisor.h"

namespace sallyport::sandbox {
namespace {

constexpr std::size_t clients_max = 64;

Frame error_frame(const std::string& why) { return {"error", why}; }

Frame frame_of(const Result<void>& result) {
  return result ? Frame{"ok"} : error_frame(result.error().context);
}

int64_t number_at(const Frame& frame, std::size_t at, int64_t fallback) {
  if (at >= frame.size() || frame[at].empty()) return fallback;
  return std::strtoll(frame[at].c_str(), nullptr, 10);
}

std::string at_or_empty(const Frame& frame, std::size_t at) {
  return at < frame.size() ? frame[at] : std::string();
}

}  // namespace

void Supervisor::accept_client() {
  UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket || clients_.size() >= clients_max) return;
  ucred peer = {};
  socklen_t length = sizeof peer;
  // An abstract socket has no file permissions.
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 ||
      peer.uid != geteuid())
    return;
  add_client(std::move(socket), false);
}

void Supervisor::add_client(UniqueFd socket, bool founder) {
  const int fd = socket.get();
  const timeval patience = {.tv_sec = 2};  // A client that doesn't read must not stop the sandbox.
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  clients_[fd] = Client{.socket = std::move(socket), .founder = founder};
  loop_.watch(fd, POLLIN, [this, fd](short) { read_client(fd); });
}

void Supervisor::drop_client(int fd) {
  const auto client = clients_.find(fd);
  if (client == clients_.end()) return;
  const bool founder = client->second.founder;
  loop_.forget(fd);
  clients_.erase(client);
  if (founder) stop(std::chrono::milliseconds(0));
}

void Supervisor::read_client(int fd) {
  std::array<char, 65536> buffer;
  const ssize_t bytes = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (bytes <= 0) return drop_client(fd);
  std::string& received = clients_[fd].received;
  received.append(buffer.data(), static_cast<std::size_t>(bytes));
  bool broken = false;
  while (const auto request = take_frame(received, broken)) {
    serve(fd, *request);
    if (!clients_.count(fd)) return;
  }
  if (broken) drop_client(fd);
}

void Supervisor::serve(int fd, const Frame& request) {
  const std::string verb = at_or_empty(request, 0);
  Frame answer = error_frame("unknown request " + verb);
  if (verb == "apply") answer = apply(request);
  if (verb == "remove") answer = frame_of(remove(at_or_empty(request, 1), at_or_empty(request, 2)));
  if (verb == "context") answer = {"ok", injection_context(machine_.sources)};
  if (verb == "logs") answer = logs(request);
  if (verb == "status") answer = status();
  if (verb == "enter") return enter(fd, request);
  if (verb == "detach") {
    clients_[fd].founder = false;
    answer = {"ok"};
  }
  if (verb == "wait") {
    return start_waiting(fd, std::chrono::milliseconds(number_at(request, 1, 60000)));
  }
  if (verb == "down") {
    clients_[fd].founder = false;  // Its connection ends with us, which tells it that all is gone.
    return stop(std::chrono::milliseconds(number_at(request, 1, 2000)));
  }
  if (!send_frame(fd, answer)) drop_client(fd);
}

// apply MANIFESTS FILE TEXT [FILE TEXT]...: the injected manifests, and the files as given.
Frame Supervisor::apply(const Frame& request) {
  Files sources;
  for (std::size_t i = 2; i + 1 < request.size(); i += 2) sources[request[i]] = request[i + 1];
  return frame_of(load(sources, at_or_empty(request, 1)));
}

// enter POD CONTAINER: answered with the process's make-up and descriptors of net, uts, ipc, pid,
// mnt and, last, the node's network namespace.
void Supervisor::enter(int fd, const Frame& request) {
  std::string why;
  PodRunner* pod = find_pod(at_or_empty(request, 1), why);
  ContainerRun* run = pod ? pod->container(at_or_empty(request, 2)) : nullptr;
  if (pod && !run)
    why = "pod " + pod->pod().meta.key() + " has no container " + at_or_empty(request, 2);
  UniqueFd mount = run ? mount_namespace_of(*run) : UniqueFd();
  if (run && !mount)
    why = "container " + run->container.name + " of " + pod->pod().meta.key() + " isn't running";
  const UniqueFd node(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!mount) {
    if (!send_frame(fd, error_frame(why))) drop_client(fd);
    return;
  }
  const ProcessSpec& process = run->process;
  Frame answer = {"ok",
                  process.working_dir,
                  std::to_string(process.identity.user),
                  std::to_string(process.identity.group),
                  process.identity.privileged ? "1" : "0",
                  process.identity.no_new_privileges ? "1" : "0",
                  pod->link().interface,
                  pod->link().ipv4.text(),
                  pod->link().ipv6.text(),
                  pod->pod().meta.key()};
  const auto add_list = [&](const std::vector<std::string>& texts) {
    answer.push_back(std::to_string(texts.size()));
    answer.insert(answer.end(), texts.begin(), texts.end());
  };
  add_list(process.identity.capabilities_added);
  add_list(process.identity.capabilities_dropped);
  add_list(process.environment);
  const PodNamespaces& names = pod->namespaces();
  const std::vector<int> fds = {names.net.get(), names.uts.get(), names.ipc.get(),
                                names.pid.get(), mount.get(),     node.get()};
  if (!send_frame(fd, answer, fds)) drop_client(fd);
}

// logs POD CONTAINER OFFSET: the text from there on, and the offset to ask for next.
Frame Supervisor::logs(const Frame& request) {
  std::string why;
  PodRunner* pod = find_pod(at_or_empty(request, 1), why);
  if (!pod) return error_frame(why);
  ContainerRun* run = pod->container(at_or_empty(request, 2));
  if (!run)
    return error_frame("pod " + pod->pod().meta.key() + " has no container " +
                       at_or_empty(request, 2));
  return {"ok", run->log.from(static_cast<uint64_t>(number_at(request, 3, 0))),
          std::to_string(run->log.end())};
}

// Rows of namespace, name, state, restarts, IPv4, IPv6.
Frame Supervisor::status() const {
  Frame rows = {"ok"};
  for (const auto& pod : pods_) {
    const ObjectMeta& meta = pod->pod().meta;
    for (const std::string& text :
         {meta.namespace_name, meta.name, pod->state(), std::to_string(pod->restarts()),
          pod->link().ipv4.text(), pod->link().ipv6.text()}) {
      rows.push_back(text);
    }
  }
  return rows;
}

PodRunner* Supervisor::find_pod(const std::string& name, std::string& why) const {
  const std::size_t slash = name.find('/');
  const std::string namespace_name = slash == std::string::npos ? "" : name.substr(0, slash);
  const std::string short_name = name.substr(slash == std::string::npos ? 0 : slash + 1);
  PodRunner* found = nullptr;
  for (const auto& pod : pods_) {
    const ObjectMeta& meta = pod->pod().meta;
    if (!namespace_name.empty() && meta.namespace_name != namespace_name) continue;
    if (meta.name == short_name) return pod.get();
    if (!found && pod->pod().workload == short_name) found = pod.get();
  }
  if (!found) why = "no pod or Deployment " + name + " in this sandbox";
  return found;
}

// To those who wait for readiness; what is said while nobody waits is kept for the next who does.
void Supervisor::say(const std::string& text) {
  bool heard = false;
  for (auto& [fd, client] : clients_) {
    if (client.waits) heard = send_frame(fd, {"progress", text}) || heard;
  }
  if (heard) return;
  if (said_.size() >= said_max) said_.erase(said_.begin());
  said_.push_back(text);
}

void Supervisor::start_waiting(int fd, std::chrono::milliseconds patience) {
  for (const std::string& text : said_)
    (void)send_frame(fd, {"progress", text});  // A dead one is seen by its read.
  said_.clear();
  clients_[fd].waits = true;
  clients_[fd].deadline = EventLoop::Clock::now() + patience;
  answer_waiting();
}

void Supervisor::answer_waiting() {
  std::string failed, unready;
  for (const auto& pod : pods_) {
    if (failed.empty()) failed = pod->failed();
    if (!pod->ready()) unready += "\n  " + pod->pod().meta.key() + "  " + pod->state();
  }
  if (failed.empty()) failed = network_error_;
  for (auto& [fd, client] : clients_) {
    if (!client.waits) continue;
    Frame answer;
    if (all_ready() && failed.empty()) answer = {"ok"};
    if (!failed.empty()) answer = error_frame(failed);
    if (answer.empty() && EventLoop::Clock::now() >= client.deadline)
      answer = error_frame("not ready in time:" + unready);
    if (answer.empty()) continue;
    client.waits = false;
    (void)send_frame(fd, answer);
  }
}

}  // namespace sallyport::sandbox
