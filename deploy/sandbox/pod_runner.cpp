#include "deploy/sandbox/pod_runner.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <thread>

#include "deploy/sandbox/enter.h"
#include "deploy/sandbox/probe.h"

namespace sallyport::sandbox {
namespace {

using namespace std::chrono_literals;
constexpr auto first_probes =
    50ms;  // between probes until a container is ready, so that `up` is quick
constexpr auto first_backoff = 200ms;  // before a restart; doubled each time
constexpr auto backoff_max = 10s;

bool runs(const ContainerRun& run) { return run.phase == ContainerRun::Phase::running; }

}  // namespace

PodRunner::PodRunner(Machine& machine, Pod pod, std::size_t index)
    : machine_(machine), pod_(std::move(pod)) {
  link_ = {"pod" + std::to_string(index), pod_ipv4(index), pod_ipv6(index)};
  directory_ = machine.directory + "/pods/" + std::to_string(index);
  status_.ips = {link_.ipv4.text()};
  if (has_ipv6()) status_.ips.push_back(link_.ipv6.text());
  status_.host_ip = node_ipv4;
  status_.token = [this](const std::string& audience, std::chrono::seconds life) {
    return machine_.tokens.token(pod_.meta.namespace_name, pod_.service_account, pod_.meta.name,
                                 audience, life.count(), std::time(nullptr));
  };
  status_.processors = std::max(1U, std::thread::hardware_concurrency());
  for (const Container& each : pod_.init_containers) {
    inits_.push_back(std::make_unique<ContainerRun>(ContainerRun{.container = each}));
  }
  for (const Container& each : pod_.containers) {
    containers_.push_back(std::make_unique<ContainerRun>(ContainerRun{.container = each}));
  }
}

PodRunner::~PodRunner() {
  if (namespaces_.pause > 0)
    kill(namespaces_.pause, SIGKILL);  // The kernel then ends the whole pod.
  for (const auto* group : {&inits_, &containers_}) {
    for (const auto& run : *group) {
      if (run->output) machine_.loop.forget(run->output.get());
      if (run->status) machine_.loop.forget(run->status.get());
      for (const pid_t pid : {run->pid, run->probe_pid, run->hook_pid}) {
        if (pid > 0) machine_.loop.when_ended(pid, [](int) {});
      }
      if (run->hook_pid > 0) kill(run->hook_pid, SIGKILL);
    }
  }
}

Result<void> PodRunner::create() {
  std::error_code error;
  for (const Volume& volume : pod_.volumes) {
    std::filesystem::create_directories(volume_path(volume.name), error);
    if (error) return failure("make " + volume_path(volume.name) + ": " + error.message());
    chmod(volume_path(volume.name).c_str(), 0777);
  }
  std::filesystem::create_directories(directory_, error);
  auto filled = refresh_volumes();
  if (!filled) return filled.error();
  auto made = make_pod_namespaces(pod_.meta.name.substr(0, 63));
  if (!made) return made.error();
  namespaces_ = std::move(*made);
  return connect_pod(namespaces_, link_);
}

bool PodRunner::advance_init() {
  while (next_init_ < inits_.size()) {
    ContainerRun& run = *inits_[next_init_];
    if (run.phase == ContainerRun::Phase::waiting) {
      if (EventLoop::Clock::now() >= run.next_start) start(run);
      return false;
    }
    if (run.container.stays) {
      if (!run_post_start(run)) return false;
      probe(run);
      if (!run.ready) return false;
    } else if (run.phase != ContainerRun::Phase::ended) {
      return false;
    }
    ++next_init_;
  }
  return true;
}

void PodRunner::advance() {
  if (stopping_ || !advance_init()) return;
  for (const auto* group : {&inits_, &containers_}) {
    for (const auto& run : *group) {
      const bool due = EventLoop::Clock::now() >= run->next_start;
      if (run->phase == ContainerRun::Phase::waiting && due) start(*run);
      if (!run_post_start(*run)) return;  // kubelet starts containers one after another
      if (group == &containers_ || run->container.stays) probe(*run);
    }
  }
}

bool PodRunner::is_init(const ContainerRun& run) const {
  return !run.container.stays && std::any_of(inits_.begin(), inits_.end(),
                                             [&](const auto& each) { return each.get() == &run; });
}

void PodRunner::start(ContainerRun& run) {
  auto spec = specify(run);
  if (!spec) return fail_start(run, spec.error().context);
  auto launched = launch(*spec, namespaces_, machine_.own_pid.get());
  if (!launched) return fail_start(run, launched.error().context);
  run.phase = ContainerRun::Phase::running;
  run.executed = false;
  run.post_start_due = run.container.post_start.has_value();
  run.why.clear();
  run.process = spec->process;
  run.pid = launched->pid;
  run.output = std::move(launched->output);
  run.status = std::move(launched->status);
  run.next_probe = EventLoop::Clock::now() + first_probes;
  machine_.loop.watch(run.output.get(), POLLIN, [this, &run](short) { take_output(run); });
  machine_.loop.watch(run.status.get(), POLLIN, [this, &run](short) { take_status(run); });
  machine_.loop.when_ended(run.pid, [this, &run](int status) { on_end(run, status); });
}

void PodRunner::take_output(ContainerRun& run) {
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t bytes = read(run.output.get(), buffer.data(), buffer.size());
    if (bytes > 0) {
      run.log.append({buffer.data(), static_cast<std::size_t>(bytes)});
      continue;
    }
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
    machine_.loop.forget(run.output.get());
    run.output.reset();
    return;
  }
}

void PodRunner::take_status(ContainerRun& run) {
  std::array<char, 512> text;
  const ssize_t bytes = read(run.status.get(), text.data(), text.size());
  if (bytes < 0 && errno == EAGAIN) return;
  if (bytes > 0) {
    run.why.append(text.data(), static_cast<std::size_t>(bytes));
    return;
  }
  machine_.loop.forget(run.status.get());
  run.status.reset();
  run.executed = run.why.empty();
}

void PodRunner::fail_start(ContainerRun& run, const std::string& why) {
  run.why = why;
  on_end(run, 127 << 8);
}

void PodRunner::on_end(ContainerRun& run, int wait_status) {
  if (run.status) take_status(run);
  if (run.output) {
    take_output(run);
    if (run.output) machine_.loop.forget(run.output.get());
    run.output.reset();
  }
  if (run.status) machine_.loop.forget(run.status.get());
  run.status.reset();
  if (!run.why.empty()) run.log.append("sandbox: " + run.why + "\n");
  run.exit_code = exit_code_of(wait_status);
  run.pid = -1;
  run.phase = ContainerRun::Phase::ended;
  std::error_code ignored;
  if (!run.scratch.empty()) std::filesystem::remove_all(run.scratch, ignored);
  const bool done = run.exit_code == 0 && (is_init(run) || !pod_.restarts);
  if (!done && !stopping_) {
    ++run.failures;
    ++run.restarts;
    if (pod_.restarts || is_init(run)) {
      const auto wait = std::min<std::chrono::milliseconds>(
          first_backoff * (1 << std::min(run.failures, 6)), backoff_max);
      run.next_start = EventLoop::Clock::now() + wait;
      run.phase = ContainerRun::Phase::waiting;
    }
    machine_.say(pod_.meta.key() + ": container " + run.container.name + " ended with " +
                 std::to_string(run.exit_code));
  }
  set_ready(run, done && !is_init(run));
  if (stopping_) signal_next();
}

void PodRunner::set_ready(ContainerRun& run, bool ready) {
  if (ready) run.failures = 0;
  run.ready = ready;
  update_ready();
}

void PodRunner::update_ready() {
  const bool ready =
      next_init_ == inits_.size() && std::all_of(containers_.begin(), containers_.end(),
                                                 [](const auto& run) { return run->ready; });
  if (ready == ready_) return;
  ready_ = ready;
  machine_.readiness_changed();
}

void PodRunner::probe(ContainerRun& run) {
  const auto now = EventLoop::Clock::now();
  if (!runs(run) || !run.executed || run.probe_pid > 0 || now < run.next_probe) return;
  const auto& probe = run.container.readiness;
  run.next_probe =
      now + (run.ready && probe ? std::chrono::milliseconds(probe->period) : first_probes);
  if (!probe) {
    std::vector<uint16_t> ports;
    for (const ContainerPort& port : run.container.ports) {
      if (port.tcp) ports.push_back(port.number);
    }
    if (!run.ready && listens(namespaces_.pause, ports)) set_ready(run, true);
    return;
  }
  const pid_t pid = start_handler(*probe, run);
  if (pid < 0) return;
  run.probe_pid = pid;
  machine_.loop.when_ended(pid, [this, &run, container = run.pid](int status) {
    run.probe_pid = -1;
    if (runs(run) && run.pid == container) set_ready(run, exit_code_of(status) == 0);
  });
}

pid_t PodRunner::start_handler(const Probe& handler, const ContainerRun& run) {
  if (handler.kind == Probe::Kind::exec)
    return start_exec_probe(handler, namespaces_, mount_namespace_of(run), run.process);
  return start_network_probe(handler, link_.ipv4, probe_port(run.container, handler.port));
}

bool PodRunner::run_post_start(ContainerRun& run) {
  if (!run.post_start_due || run.phase == ContainerRun::Phase::ended) return true;
  if (!runs(run) || !run.executed || run.hook_pid > 0) return false;
  const pid_t pid = start_handler(*run.container.post_start, run);
  if (pid < 0) return false;
  run.hook_pid = pid;
  machine_.loop.when_ended(pid, [&run, container = run.pid](int status) {
    run.hook_pid = -1;
    if (!runs(run) || run.pid != container) return;
    run.post_start_due = false;
    if (exit_code_of(status) == 0) return;
    run.log.append("sandbox: the postStart hook failed\n");
    kill(run.pid, SIGKILL);  // as kubelet
  });
  return false;
}

void PodRunner::terminate() {
  if (std::exchange(stopping_, true)) return;
  for (const auto* group : {&containers_, &inits_}) {
    for (const auto& run : *group) {
      if (run->pid > 0) begin_stop(*run);
    }
  }
  signal_next();
}

void PodRunner::begin_stop(ContainerRun& run) {
  run.stop = ContainerRun::Stop::due;
  if (!run.container.pre_stop) return;
  const pid_t pid = start_handler(*run.container.pre_stop, run);
  if (pid < 0) return;
  run.stop = ContainerRun::Stop::pre_stop;
  if (run.hook_pid > 0) machine_.loop.when_ended(run.hook_pid, [](int) {});  // a postStart
  run.hook_pid = pid;
  machine_.loop.when_ended(pid, [this, &run](int) {
    run.hook_pid = -1;
    run.stop = ContainerRun::Stop::due;
    signal_next();
  });
}

void PodRunner::signal_next() {
  const auto signal = [](ContainerRun& run) {
    if (run.pid <= 0 || run.stop != ContainerRun::Stop::due) return;
    run.stop = ContainerRun::Stop::signalled;
    kill(run.pid, SIGTERM);
  };
  const auto running = [](const auto& run) { return run->pid > 0; };
  for (const auto& run : containers_) signal(*run);
  if (std::any_of(containers_.begin(), containers_.end(), running)) return;
  const auto last = std::find_if(inits_.rbegin(), inits_.rend(), running);
  if (last != inits_.rend()) signal(**last);
}

bool PodRunner::ended() const {
  const auto none = [](const auto& group) {
    return std::none_of(group.begin(), group.end(), [](const auto& run) { return run->pid > 0; });
  };
  return none(inits_) && none(containers_);
}

UniqueFd mount_namespace_of(const ContainerRun& run) {
  if (!runs(run) || !run.executed) return UniqueFd();
  return UniqueFd(
      open(("/proc/" + std::to_string(run.pid) + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace sallyport::sandbox
