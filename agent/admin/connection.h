// One HTTP connection of the admin, health or status port.
//
// Threading: the io_context's thread.
#pragma once
#include <chrono>
#include <functional>
#include <memory>

#include "agent/admin/message.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::admin {

// For the first head on the ports that the network reaches: kubelet sends its own at once.
inline constexpr auto network_head_time = std::chrono::seconds(5);

class Connection {
public:
  enum class Doing : uint8_t {
    reading,
    answering,
    writing
  };  // waiting for whom: client, us, client
  using Answer = std::function<void(const Request&, const Done&)>;
  virtual ~Connection() = default;
  // Ends it: nothing is called from then on.
  virtual void close() = 0;
  virtual Doing doing() const = 0;
  virtual std::chrono::steady_clock::time_point since() const = 0;  // doing that
};

// Takes `fd`, an accepted TCP socket, over and serves requests on it by `answer`. It keeps itself
// alive while it has something to do; `ended` is called once, when the peer or a limit has ended
// it. `head_time`: for the first request to come in.
std::shared_ptr<Connection> serve(boost::asio::io_context& io, int fd, bool v6,
                                  std::chrono::milliseconds head_time, Connection::Answer answer,
                                  std::function<void()> ended);

}  // namespace sallyport::admin
