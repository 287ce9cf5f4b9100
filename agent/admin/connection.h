// One HTTP connection of the admin, health or status port.
//
// Threading: the io_context's thread.
#pragma once
#include <functional>
#include <memory>

#include "agent/admin/message.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::admin {

class Connection {
public:
  using Answer = std::function<void(const Request&, const Done&)>;
  virtual ~Connection() = default;
  // Ends it: nothing is called from then on.
  virtual void close() = 0;
};

// Takes `fd`, an accepted TCP socket, over and serves requests on it by `answer`. It keeps itself
// alive while it has something to do; `ended` is called once, when the peer or a limit has ended
// it.
std::shared_ptr<Connection> serve(boost::asio::io_context& io, int fd, bool v6,
                                  Connection::Answer answer, std::function<void()> ended);

}  // namespace sallyport::admin
