#include "deploy/sandbox/supervisor.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

namespace sallyport::sandbox {
namespace {

using namespace std::chrono_literals;
constexpr auto tick_interval = 20ms;
constexpr const char* scratch = "/run/sallyport-sandbox";

}  // namespace

Supervisor::Supervisor(UniqueFd listener, UniqueFd founder, std::string sallyport)
    : dns_(loop_), machine_{.loop = loop_}, listener_(std::move(listener)) {
  machine_.sallyport = std::move(sallyport);
  machine_.directory = scratch;
  machine_.say = [this](const std::string& text) { say(text); };
  machine_.readiness_changed = [this] { network_stale_ = true; };
  // What a CA verifies pods' tokens with: the API server's /openid/v1/jwks in a cluster.
  machine_.manifests.config_maps.push_back(
      {{"istio-system", "sandbox-jwks", {}, {}}, {{"jwks.json", machine_.tokens.jwks()}}});
  add_client(std::move(founder), true);
}

Result<void> Supervisor::set_up() {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return system_error("make mounts private");
  // The machine's /run is not for pods, and this is the one directory that every system has and we
  // can cover.
  if (mount("sandbox", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") != 0)
    return system_error("mount /run");
  if (mount("proc", "/proc", "proc", 0, nullptr) != 0) return system_error("mount /proc");
  if (mkdir(scratch, 0700) != 0) return system_error("make the scratch directory");
  machine_.own_pid = UniqueFd(open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
  auto node = set_up_node();
  if (!node) return node.error();
  auto listening = dns_.listen(*IpAddress::parse(dns_ipv4));
  if (listening && has_ipv6()) listening = dns_.listen(*IpAddress::parse(dns_ipv6));
  return listening;
}

Result<void> Supervisor::run() {
  auto ready = set_up();
  if (!ready) return ready.error();
  loop_.watch(listener_.get(), POLLIN, [this](short) { accept_client(); });
  loop_.on_stop_signal([this] { stop(2s); });
  tick();
  loop_.run();
  return {};
}

Result<void> Supervisor::load(const Files& sources, const std::string& manifests) {
  auto parsed = parse_manifests(manifests, "manifests");
  if (!parsed) return parsed.error();
  for (const std::string& warning : parsed->warnings) say("warning: " + warning);
  for (const auto& [name, text] : sources) {
    supersede(machine_.sources, text);
    machine_.sources[name] = text;
  }
  for (const DataObject& map : parsed->config_maps) {
    if (map.meta.name == "sandbox-images") machine_.images.add(map);
  }
  merge(machine_.manifests, *parsed);
  auto refreshed = refresh();
  if (!refreshed) return refreshed.error();
  return start_pods(*parsed);
}

Result<void> Supervisor::start_pods(const Manifests& newer) {
  for (const Pod& pod : newer.pods) {
    const auto same_pod = [&](const PodRunner& runner) {
      return runner.pod().meta.key() == pod.meta.key();
    };
    const auto running = std::find_if(pods_.begin(), pods_.end(),
                                      [&](const auto& runner) { return same_pod(*runner); });
    if (running != pods_.end() && (*running)->pod().source == pod.source) continue;
    if (running != pods_.end()) {
      say("pod " + pod.meta.key() + ": changed, starting anew");
      retire(same_pod);
    }
    if (next_pod_ >= pods_max) return failure("more pods than the sandbox has addresses");
    auto runner = std::make_unique<PodRunner>(machine_, pod, next_pod_++);
    auto created = runner->create();
    if (!created) return while_doing("pod " + pod.meta.key(), created.error());
    pods_.push_back(std::move(runner));
  }
  network_stale_ = true;
  return {};
}

// What was applied from a file of that name, and, as kubectl, the objects that `text` names,
// wherever they came from.
Result<void> Supervisor::remove(const std::string& file, const std::string& text) {
  const auto source = machine_.sources.find(file);
  if (source == machine_.sources.end() && text.empty())
    return failure("nothing was applied from " + file);
  auto named = parse_manifests(text, file);
  if (!named) return named.error();
  if (source != machine_.sources.end()) {
    // Broken text applied nothing but itself.
    if (const auto given = parse_manifests(source->second, file)) forget(*given);
    machine_.sources.erase(source);
  }
  supersede(machine_.sources, text);
  forget(*named);
  return refresh();
}

void Supervisor::forget(const Manifests& gone) {
  const auto erase = [](auto& from, const auto& objects) {
    for (const auto& object : objects) {
      std::erase_if(from, [&](const auto& each) { return each.meta.key() == object.meta.key(); });
    }
  };
  Manifests& all = machine_.manifests;
  erase(all.pods, gone.pods);
  erase(all.services, gone.services);
  erase(all.config_maps, gone.config_maps);
  erase(all.secrets, gone.secrets);
  for (const Pod& pod : gone.pods) {
    retire([&](const PodRunner& runner) { return runner.pod().meta.key() == pod.meta.key(); });
  }
}

// Their names and Services are free at once; their programs have the grace period to end.
void Supervisor::retire(const std::function<bool(const PodRunner&)>& which) {
  for (auto& pod : pods_) {
    if (!which(*pod)) continue;
    pod->terminate();
    const auto deadline = EventLoop::Clock::now() + pod->pod().grace;
    ending_.push_back({std::move(pod), deadline});
  }
  std::erase(pods_, nullptr);
}

Result<void> Supervisor::refresh() {
  assign(machine_.manifests.services, machine_.service_ips, next_service_);
  network_stale_ = true;
  for (const auto& pod : pods_) {
    auto refreshed = pod->refresh_volumes();
    if (!refreshed) return refreshed.error();
  }
  return {};
}

std::vector<Backend> Supervisor::backends() const {
  std::vector<Backend> backends;
  for (const auto& pod : pods_) {
    backends.push_back({&pod->pod(), pod->link().ipv4, pod->link().ipv6, pod->ready()});
  }
  return backends;
}

// The sidecars learn of pods as they come and go. One that was never ready counts as ready: a
// client that is faster than the file is refused by nobody then, and the pod itself says whether it
// serves.
void Supervisor::tell_pods() {
  std::vector<PodState> states;
  for (const auto& pod : pods_) {
    const std::string key = pod->pod().meta.key();
    if (pod->ready()) were_ready_.insert(key);
    PodState state{&pod->pod(), {}, pod->ready() || !were_ready_.contains(key)};
    for (const IpAddress& ip : {pod->link().ipv4, pod->link().ipv6})
      if (ip.is_set()) state.ips.push_back(ip.text());
    states.push_back(std::move(state));
  }
  std::string text = pods_with_addresses(states);
  if (text == machine_.pods_text) return;
  machine_.pods_text = std::move(text);
  for (const auto& pod : pods_) {
    if (const auto done = pod->refresh_volumes(); !done) network_error_ = done.error().context;
  }
}

void Supervisor::update_network() {
  network_stale_ = false;
  network_error_.clear();
  tell_pods();
  const std::vector<Backend> pods = backends();
  const Manifests& manifests = machine_.manifests;
  auto zone = dns_zone(manifests, machine_.service_ips, pods);
  if (zone) {
    dns_.use(std::move(*zone));
  } else {
    network_error_ = zone.error().context;
  }
  const auto install = [&](bool v6, const char* program, std::string& installed) {
    std::string rules = service_rules(v6, manifests.services, machine_.service_ips, pods);
    if (rules == installed) return;
    auto done = run_checked({program, "-w", "5"}, rules);
    if (done) {
      installed = std::move(rules);
    } else {
      network_error_ = while_doing("rules for Services", done.error()).context;
    }
  };
  install(false, "iptables-restore", rules_v4_);
  if (has_ipv6()) install(true, "ip6tables-restore", rules_v6_);
  if (!network_error_.empty()) say(network_error_);
}

void Supervisor::tick() {
  if (stopping_) return;
  for (const auto& pod : pods_) {
    pod->advance();
    std::string& told = told_states_[pod->pod().meta.key()];
    if (std::string state = pod->state(); state != told) {
      say(pod->pod().meta.key() + ": " + state);
      told = std::move(state);
    }
  }
  std::erase_if(ending_, [](const EndingPod& pod) {
    return pod.runner->ended() || EventLoop::Clock::now() >= pod.deadline;
  });
  if (network_stale_) update_network();
  answer_waiting();
  loop_.after(tick_interval, [this] { tick(); });
}

bool Supervisor::all_ready() const {
  return !network_stale_ &&
         std::all_of(pods_.begin(), pods_.end(), [](const auto& pod) { return pod->ready(); });
}

void Supervisor::stop(std::chrono::milliseconds grace) {
  if (stopping_) return;
  stopping_ = true;
  for (const auto& pod : pods_) {
    pod->terminate();
    grace = std::min<std::chrono::milliseconds>(
        grace, std::max<std::chrono::milliseconds>(pod->pod().grace, 100ms));
  }
  const auto deadline = EventLoop::Clock::now() + grace;
  const std::shared_ptr<std::function<void()>> look = std::make_shared<std::function<void()>>();
  *look = [this, deadline, again = std::weak_ptr(look)] {
    const bool ended =
        std::all_of(pods_.begin(), pods_.end(), [](const auto& pod) { return pod->ended(); });
    if (ended || EventLoop::Clock::now() >= deadline) return loop_.stop();
    if (const auto next = again.lock()) loop_.after(5ms, [next] { (*next)(); });
  };
  loop_.after(0ms, [look] { (*look)(); });
}

}  // namespace sallyport::sandbox
