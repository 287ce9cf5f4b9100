// One gRPC call as a client, on a connection of its own: unary or server-streaming.
//
// Threading: one io_context's thread; handlers run on it, never within the constructor. Destroying
// the call (also in a handler of it) ends it without a further word.
// Limits: a unary call and the wait for a stream's first message have limits::ca_call_time; a
// silent stream is pinged; messages have limits::grpc_message_bytes.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/core/error.h"
#include "agent/core/limits.h"
#include "certs/key_pair.h"
#include "certs/trust.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::ca {

struct GrpcTarget {
  std::string address;                                // host:port, or unix:///path
  bool tls = true;                                    // never on a unix socket
  std::shared_ptr<const certs::TrustStore> roots;     // of the server
  std::shared_ptr<const certs::KeyPair> certificate;  // ours, if the server asks; may be null
};

struct GrpcRequest {
  std::string path;  // "/package.Service/Method"
  std::vector<std::pair<std::string, std::string>> metadata;
  std::string message;
  bool streaming = false;  // the server's answer is a stream that may never end
  std::chrono::milliseconds time = limits::ca_call_time;  // of a unary call, to a stream's first
};

class GrpcCall {
public:
  struct Handlers {
    std::function<void(std::string message)> message;
    // Once, as the last: success is status OK after whole messages. Errors name the step: "connect
    // ca:15012: Connection refused", "UNAUTHENTICATED: ...".
    std::function<void(Result<void>)> end;
  };
  GrpcCall(boost::asio::io_context& io, GrpcTarget target, GrpcRequest request, Handlers handlers);
  ~GrpcCall();
  GrpcCall(const GrpcCall&) = delete;

private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::ca
