#include "agent/config/watcher.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <map>

#include "agent/core/limits.h"

namespace sallyport::config {
namespace {

// No IN_MODIFY: a file counts when its writer closes it, not half written.
constexpr uint32_t interest = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE |
                              IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

// A regular file just created is still empty; its IN_CLOSE_WRITE will come. Links, of either kind,
// get no such event.
bool will_be_written(const std::string& path, const inotify_event& event) {
  if (!(event.mask & IN_CREATE) || event.mask & IN_ISDIR) return false;
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1;
}

// Names of which none means all.
bool covers(const std::set<std::string>& names, const std::set<std::string>& others) {
  if (names.empty()) return true;
  return !others.empty() && std::includes(names.begin(), names.end(), others.begin(), others.end());
}

}  // namespace

struct Watcher::State : std::enable_shared_from_this<Watcher::State> {
  struct Watched {
    std::string directory;
    std::set<std::string> names;  // empty: all
  };

  State(boost::asio::io_context& io, std::function<void(const Touched&)> tell)
      : changed(std::move(tell)), descriptor(io), timer(io) {}

  Result<void> open();
  void await_events();
  void read_events();
  bool matters(const inotify_event& event);
  void settle();
  void stop();

  std::function<void(const Touched&)> changed;
  Touched touched{.all = false, .paths = {}};  // by the burst
  boost::asio::posix::stream_descriptor descriptor;
  boost::asio::steady_timer timer;
  std::map<int, Watched> watched;  // by watch descriptor
  bool settling = false, stopped = false;
};

Result<void> Watcher::State::open() {
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) {
    return Error{.fault = Fault::internal,
                 .context = std::string("inotify: ") + std::strerror(errno)};
  }
  descriptor.assign(fd);
  await_events();
  return {};
}

void Watcher::State::await_events() {
  descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                        [self = shared_from_this()](const boost::system::error_code& error) {
                          if (error || self->stopped) return;
                          self->read_events();
                          self->await_events();
                        });
}

void Watcher::State::read_events() {
  alignas(inotify_event) char buffer[16 * 1024];
  bool any = false;
  for (;;) {
    const ssize_t size = ::read(descriptor.native_handle(), buffer, sizeof buffer);
    if (size <= 0) break;
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      any = matters(*event) || any;
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
  if (any) settle();
}

// False: it says nothing that a load would read.
bool Watcher::State::matters(const inotify_event& event) {
  if (event.mask & IN_Q_OVERFLOW) return touched.all = true;  // events were lost
  const auto at = watched.find(event.wd);
  if (at == watched.end()) return false;
  if (event.len == 0) return touched.all = true;  // the directory itself
  const auto& [directory, names] = at->second;
  const std::string name = event.name;
  const auto path = directory.ends_with('/') ? directory + name : directory + '/' + name;
  if (!names.empty()) return names.contains(name) && (touched.all = true);
  if (will_be_written(path, event)) return false;
  if (event.mask & IN_ISDIR) return touched.all = true;
  touched.paths.insert(path);
  return true;
}

void Watcher::State::settle() {
  if (settling) return;
  settling = true;
  timer.expires_after(limits::config_debounce);
  timer.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    self->settling = false;
    const auto touched = std::exchange(self->touched, {.all = false, .paths = {}});
    if (!error && !self->stopped) self->changed(touched);
  });
}

void Watcher::State::stop() {
  stopped = true;
  changed = nullptr;
  boost::system::error_code ignored;
  descriptor.close(ignored);
  timer.cancel();
}

Watcher::Watcher(boost::asio::io_context& io, std::function<void(const Touched&)> changed)
    : state_(std::make_shared<State>(io, std::move(changed))) {}

Watcher::~Watcher() { state_->stop(); }

Result<bool> Watcher::watch(const WatchPoints& points) {
  if (!state_->descriptor.is_open()) {
    if (const auto opened = state_->open(); !opened) return opened.error();
  }
  const int fd = state_->descriptor.native_handle();
  std::map<int, State::Watched> next;
  std::string problem;
  for (const auto& [directory, names] : points) {
    const int wd = ::inotify_add_watch(fd, directory.c_str(), interest);
    if (wd < 0) {
      if (errno != ENOENT && errno != ENOTDIR) {
        problem = "inotify for " + directory + ": " + std::strerror(errno);
      }
      continue;
    }
    const auto [at, is_new] = next.try_emplace(wd, State::Watched{directory, names});
    if (!is_new && names.empty()) at->second = {directory, {}};  // the path that a load knows
    if (!is_new && !at->second.names.empty()) at->second.names.insert(names.begin(), names.end());
  }
  const bool more = std::any_of(next.begin(), next.end(), [&](const auto& entry) {
    const auto before = state_->watched.find(entry.first);
    return before == state_->watched.end() || !covers(before->second.names, entry.second.names);
  });
  for (const auto& [wd, watched] : state_->watched) {
    if (!next.contains(wd)) ::inotify_rm_watch(fd, wd);
  }
  state_->watched = std::move(next);
  if (!problem.empty()) return Error{.fault = Fault::internal, .context = std::move(problem)};
  return more;
}

}  // namespace sallyport::config
