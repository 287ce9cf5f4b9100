#include "agent/net/asio_inside.h"

#include <boost/asio/detail/epoll_reactor.hpp>
#include <boost/asio/detail/scheduler.hpp>
#include <boost/version.hpp>

namespace sallyport::net {
namespace {

static_assert(BOOST_VERSION == 108100,
              "read scheduler.ipp and epoll_reactor.ipp of this Boost, then allow it here");

using boost::asio::detail::epoll_reactor;
using boost::asio::detail::scheduler;

// An explicit instantiation may name private members (C++20 [temp.spec.general]); the friend hands
// them out.
template <class Key, auto Member>
struct Open {
  friend constexpr auto member(Key) { return Member; }
};
#define SALLYPORT_OPEN(Key, Class, name) \
  struct Key {                           \
    friend constexpr auto member(Key);   \
  };                                     \
  template struct Open<Key, &Class::name>

SALLYPORT_OPEN(EpollFd, epoll_reactor, epoll_fd_);
SALLYPORT_OPEN(Mutex, scheduler, mutex_);
SALLYPORT_OPEN(Queue, scheduler, op_queue_);
SALLYPORT_OPEN(Interrupted, scheduler, task_interrupted_);

epoll_reactor& reactor_of(boost::asio::io_context& io) {
  return boost::asio::use_service<epoll_reactor>(io);
}
scheduler& scheduler_of(boost::asio::io_context& io) {
  return boost::asio::use_service<scheduler>(io);
}

}  // namespace

AsioInside::AsioInside() : work_(io_.get_executor()) { reactor_of(io_).init_task(); }

int AsioInside::fd() const {
  return reactor_of(const_cast<boost::asio::io_context&>(io_)).*member(EpollFd());
}

bool AsioInside::poll() {
  io_.poll();
  return arm();
}

// A post interrupts the reactor (which makes its epoll readable) only while the scheduler thinks
// that a thread sleeps in it. So we say that one does, unless handlers are queued already: the
// queue then holds more than its own task.
bool AsioInside::arm() {
  auto& host = scheduler_of(io_);
  scheduler& inner = host;
  std::remove_reference_t<decltype(inner.*member(Mutex()))>::scoped_lock lock(inner.*
                                                                              member(Mutex()));
  auto& queue = inner.*member(Queue());
  if (queue.front() != boost::asio::detail::op_queue_access::back(queue)) return false;
  inner.*member(Interrupted()) = false;
  return true;
}

}  // namespace sallyport::net
