#include "agent/net/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <mutex>
#include <vector>

#include "agent/net/asio_inside.h"
#include "agent/net/deadlines.h"
#include "agent/net/socket.h"
#include "agent/net/timers.h"

namespace sallyport::net {
namespace {

constexpr uint32_t reading_events = EPOLLIN | EPOLLRDHUP | EPOLLET;

// Wakes epoll_wait and does nothing else: posted jobs are looked for after each batch, Asio is
// polled when it says so.
struct Alarm final : EventSource {
  bool rang = false;
  void on_events(uint32_t) override { rang = true; }
};

// Rings each tick, for ever. A timeout in each epoll_wait instead would have the kernel set and
// unset a timer of its own every time that a loop with little to do goes to sleep.
int open_ticker(Loop::Clock::time_point from) {
  using std::chrono::nanoseconds;
  constexpr int64_t second = 1'000'000'000;
  const auto spec = [](Loop::Clock::duration since) {
    const auto count = std::chrono::duration_cast<nanoseconds>(since).count();
    return timespec{.tv_sec = count / second, .tv_nsec = count % second};
  };
  const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  const itimerspec times{.it_interval = spec(Loop::tick),
                         .it_value = spec(from.time_since_epoch() + Loop::tick)};
  timerfd_settime(fd, TFD_TIMER_ABSTIME, &times, nullptr);
  return fd;
}

// It is read, since a timer that is not is not set again.
struct Ticker final : EventSource {
  int fd;
  explicit Ticker(Loop::Clock::time_point from) : fd(open_ticker(from)) {}
  ~Ticker() override { ::close(fd); }
  void on_events(uint32_t) override {
    uint64_t times = 0;
    [[maybe_unused]] const auto got = ::read(fd, &times, sizeof times);
  }
};

}  // namespace

struct Loop::State {
  struct Root;

  int epoll = epoll_create1(EPOLL_CLOEXEC);
  int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  Alarm wake_alarm, asio_alarm;
  std::unique_ptr<AsioInside> asio = std::make_unique<AsioInside>();
  const Clock::time_point started = Clock::now();
  Ticker ticker{started};

  std::atomic<bool> stop{false};
  bool running = false;
  std::mutex mutex;  // of `posted`
  std::vector<std::function<void()>> posted;

  Timers timers;
  Deadlines deadlines;
  std::vector<std::weak_ptr<std::function<void()>>> tick_jobs;
  std::vector<Op*> deferred, deferred_now;
  std::vector<std::shared_ptr<EventSource>> retired;
  std::vector<std::unique_ptr<Socket>> closed;
  Link spawned;
  std::size_t spawned_count = 0;

  int wait_ms() const;
  void ring() {
    const uint64_t one = 1;
    [[maybe_unused]] const auto written =
        ::write(wake, &one, sizeof one);  // Full means rung already.
  }
};

// The coroutine around a spawned task: owns it, stands in the loop's list, frees itself at the end.
struct Loop::State::Root {
  struct promise_type : Link {
    State& state;
    promise_type(State& s, Task<void>&) : state(s) {
      insert_before(s.spawned);
      s.spawned_count++;
    }
    ~promise_type() { state.spawned_count--; }
    static void* operator new(std::size_t n) { return FrameCache::take(n); }
    static void operator delete(void* p, std::size_t n) noexcept { FrameCache::give(p, n); }
    Root get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
  static Root run(State&, Task<void> task) { co_await task; }
};

Loop::Loop() : state_(std::make_unique<State>()), now_(state_->started) {
  std::signal(SIGPIPE, SIG_IGN);  // splice(2) has no MSG_NOSIGNAL.
  watch(state_->wake, EPOLLIN | EPOLLET, state_->wake_alarm);
  watch(state_->ticker.fd, EPOLLIN, state_->ticker);
  watch(state_->asio->fd(), EPOLLIN, state_->asio_alarm);
  state_->asio_alarm.rang = true;
}

void Loop::end_tasks() {
  State& s = *state_;
  while (!s.spawned.alone()) {
    auto& root = static_cast<State::Root::promise_type&>(*s.spawned.next);
    std::coroutine_handle<State::Root::promise_type>::from_promise(root).destroy();
  }
}

Loop::~Loop() {
  end_tasks();
  State& s = *state_;
  std::vector<std::function<void()>> dropped;
  {
    std::lock_guard lock(s.mutex);
    dropped.swap(s.posted);
  }
  dropped.clear();  // Jobs and handlers may hold Streams, which are closed on the loop.
  s.asio.reset();
  s.retired.clear();
  s.closed.clear();
  ::close(s.wake);
  ::close(s.epoll);
}

int Loop::State::wait_ms() const {
  if (!deferred.empty() || asio_alarm.rang) return 0;
  if (timers.empty()) return -1;
  const auto until = timers.next(), now = Clock::now();
  if (until <= now) return 0;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
  return static_cast<int>(std::min<int64_t>(left, 3'600'000));
}

void Loop::run() {
  State& s = *state_;
  s.running = true;
  while (!s.stop.exchange(false, std::memory_order_acq_rel)) {
    epoll_event events[256];
    const int count = epoll_wait(s.epoll, events, 256, s.wait_ms());
    const uint32_t before = ticks_;
    read_clock();
    for (int i = 0; i < count; i++)
      static_cast<EventSource*>(events[i].data.ptr)->on_events(events[i].events);
    run_timers(before);
    run_deferred();
    run_posted();
    if (std::exchange(s.asio_alarm.rang, false)) {
      share_ = share;
      s.asio_alarm.rang = !s.asio->poll();
    }
    s.retired.clear();
    s.closed.clear();
  }
  s.running = false;
}

void Loop::read_clock() {
  now_ = Clock::now();
  ticks_ = 1 + static_cast<uint32_t>((now_ - state_->started) / tick);
}

void Loop::run_timers(uint32_t from) {
  State& s = *state_;
  while (Timer* due = s.timers.take_due(now_)) {
    share_ = share;
    Timers::fire(*due);
  }
  if (from == ticks_) return;
  if (ticks_ - from > Deadlines::slots) from = ticks_ - Deadlines::slots;
  while (from != ticks_) s.deadlines.expire(++from, ticks_);
  std::erase_if(s.tick_jobs, [](const auto& job) { return job.expired(); });
  const auto jobs = s.tick_jobs;  // A job may add or end others.
  for (const auto& weak : jobs) {
    share_ = share;
    if (const auto job = weak.lock()) (*job)();
  }
}

void Loop::run_deferred() {
  State& s = *state_;
  s.deferred_now.swap(s.deferred);
  for (std::size_t i = 0; i < s.deferred_now.size(); i++) {
    Op* const op = std::exchange(s.deferred_now[i], nullptr);
    if (op == nullptr) continue;  // destroyed meanwhile
    op->deferred_by = nullptr;
    run_op(*op);
  }
  s.deferred_now.clear();
}

void Loop::run_posted() {
  State& s = *state_;
  if (!std::exchange(s.wake_alarm.rang, false)) return;
  std::vector<std::function<void()>> jobs;
  {
    std::lock_guard lock(s.mutex);
    jobs.swap(s.posted);
  }
  for (auto& job : jobs) {
    share_ = share;
    std::exchange(job, nullptr)();
  }
}

void Loop::stop() {
  state_->stop.store(true, std::memory_order_release);
  state_->ring();
}

void Loop::post(std::function<void()> job) {
  bool first;
  {
    std::lock_guard lock(state_->mutex);
    first = state_->posted.empty();
    state_->posted.push_back(std::move(job));
  }
  if (first) state_->ring();
}

void Loop::spawn(Task<void> task) {
  if (!state_->running) read_clock();
  const int left = std::exchange(share_, share);  // Who spawns keeps what is left of its own.
  State::Root::run(*state_, std::move(task));
  share_ = left;
}

std::size_t Loop::spawned() const { return state_->spawned_count; }

boost::asio::io_context& Loop::io() { return state_->asio->io(); }

Loop::Timers& Loop::timers() { return state_->timers; }

std::shared_ptr<void> Loop::each_tick(std::function<void()> job) {
  auto token = std::make_shared<std::function<void()>>(std::move(job));
  state_->tick_jobs.push_back(token);
  return token;
}

void Loop::defer(Op& op) {
  op.deferred_by = this;
  state_->deferred.push_back(&op);
}

void Loop::forget(Op& op) noexcept {
  for (auto* list : {&state_->deferred, &state_->deferred_now}) {
    std::replace(list->begin(), list->end(), &op, static_cast<Op*>(nullptr));
  }
  op.deferred_by = nullptr;
}

void Op::leave() noexcept {
  if (socket != nullptr) socket->forget(*this);
  if (deferred_by != nullptr) deferred_by->forget(*this);
}

void Loop::run_op(Op& op) {
  share_ = share;
  if (op.attempt(op)) op.waiter.resume();
}

Socket* Loop::watch(int fd, bool writing) {
  auto socket = std::make_unique<Socket>(*this, fd);
  socket->watches_writing = writing;
  watch(fd, reading_events | (writing ? EPOLLOUT : 0u), *socket);
  return socket.release();
}

// What became writable since the write that failed is told of, too: a changed set of events begins
// with those that are there.
void Loop::watch_writing(Socket& socket) {
  socket.watches_writing = true;
  rearm(socket.fd, reading_events | EPOLLOUT, socket);
}

void Loop::close(Socket* socket) {
  socket->forget_all();
  state_->deadlines.removed(*socket);
  socket->drop_tls();
  ::close(
      std::exchange(socket->fd, -1));  // Leaves the epoll by itself: the fd is never duplicated.
  state_->closed.emplace_back(socket);
}

void Loop::watch(int fd, uint32_t epoll_events, EventSource& source) {
  epoll_event event{epoll_events, {.ptr = &source}};
  epoll_ctl(state_->epoll, EPOLL_CTL_ADD, fd, &event);
}

void Loop::rearm(int fd, uint32_t epoll_events, EventSource& source) {
  epoll_event event{epoll_events, {.ptr = &source}};
  epoll_ctl(state_->epoll, EPOLL_CTL_MOD, fd, &event);
}

void Loop::retire(std::shared_ptr<EventSource> source) {
  state_->retired.push_back(std::move(source));
}

void Loop::file_deadline(Socket& socket) { state_->deadlines.file(socket); }

}  // namespace sallyport::net
