// Asio's io_context as a guest of another epoll. Asio offers no such thing: this reaches two
// private members of its scheduler and reactor, in one source that refuses to compile with a Boost
// that nobody has read for this.
//
// Why: with Asio outermost each batch costs an epoll_wait and an epoll_ctl more (0.35 to 0.8 µs a
// request measured). Threading: one thread, but Asio's own posts are welcome from any: they make
// fd() readable.
#pragma once
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

namespace sallyport::net {

class AsioInside {
public:
  AsioInside();
  boost::asio::io_context& io() { return io_; }
  int fd() const;  // Asio's epoll: readable when poll() has something to do
  // Runs what is ready. False when more came meanwhile that fd() does not show: call again before
  // sleeping.
  bool poll();

private:
  bool arm();
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
};

}  // namespace sallyport::net
