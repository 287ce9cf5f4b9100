// A connected byte stream: TLS over TCP, plain TCP, or a unix socket. The inside of this folder.
//
// Threading: one io_context's thread. A transport must outlive what it has under way: who waits for
// a handler keeps it.
#pragma once
#include <boost/system/error_code.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "certs/ca/grpc_call.h"

namespace sallyport::ca {

class Transport {
public:
  using Done = std::function<void(boost::system::error_code, std::size_t)>;
  virtual ~Transport() = default;
  virtual void read(void* into, std::size_t room, Done done) = 0;         // some bytes
  virtual void write(const void* from, std::size_t size, Done done) = 0;  // all of them
  virtual void close() = 0;  // what is under way ends with an error
  // URIs of the peer's certificate, where it was verified.
  virtual std::vector<std::string> peer_uris() const { return {}; }
};

// Anything under way that can be given up; its owner hears nothing more after cancel().
class Attempt {
public:
  virtual ~Attempt() = default;
  virtual void cancel() = 0;
};

using Connected = std::function<void(Result<std::unique_ptr<Transport>>)>;
// Resolves, connects, shakes hands. No deadline of its own: the caller cancels.
std::shared_ptr<Attempt> connect(boost::asio::io_context& io, const GrpcTarget& target,
                                 Connected done);

}  // namespace sallyport::ca
