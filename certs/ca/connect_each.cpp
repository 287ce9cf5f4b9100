#include "certs/ca/connect_each.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

namespace sallyport::ca {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Tcp = asio::ip::tcp;

class ConnectEach : public Attempt, public std::enable_shared_from_this<ConnectEach> {
public:
  ConnectEach(asio::io_context& io, std::vector<Tcp::endpoint> addresses, ConnectedSocket done)
      : addresses_(std::move(addresses)), done_(std::move(done)), socket_(io), timer_(io) {}

  void next() {
    const Tcp::endpoint& address = addresses_.at(at_++);
    given_up_ = false;
    socket_.async_connect(
        address, [self = shared_from_this()](const error_code& error) { self->tried(error); });
    if (at_ == addresses_.size()) return;
    timer_.expires_after(connect_address_time);
    timer_.async_wait([self = shared_from_this(), number = at_](const error_code& cancelled) {
      if (!cancelled && self->done_ && self->at_ == number) self->give_up();
    });
  }
  void cancel() override {
    done_ = nullptr;
    close();
  }

private:
  void give_up() {
    given_up_ = true;
    close();
  }
  void tried(const error_code& error) {
    if (!done_) return;
    // Given up in the moment in which it answered: the socket is closed all the same.
    const bool failed = error || given_up_;
    if (failed) close();
    if (failed && at_ < addresses_.size()) return next();
    timer_.cancel();
    std::exchange(done_, nullptr)(error, std::move(socket_));
  }
  void close() {
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
  }

  const std::vector<Tcp::endpoint> addresses_;
  std::size_t at_ = 0;
  bool given_up_ = false;
  ConnectedSocket done_;
  Tcp::socket socket_;
  asio::steady_timer timer_;
};

}  // namespace

std::shared_ptr<Attempt> connect_each(asio::io_context& io, std::vector<Tcp::endpoint> addresses,
                                      ConnectedSocket done) {
  const auto attempt = std::make_shared<ConnectEach>(io, std::move(addresses), std::move(done));
  attempt->next();
  return attempt;
}

}  // namespace sallyport::ca
