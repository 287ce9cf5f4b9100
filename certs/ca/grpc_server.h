// A gRPC server of unary calls: TLS, HTTP/2 alone.
//
// Threading: one io_context's thread; the handler runs on it, so it must not wait for anything.
// Destroying the server closes its connections.
// Limits: limits::ca_connections (connection_room.h says who goes for a newcomer),
// grpc_calls_per_connection, grpc_request_bytes, grpc_header_bytes; time for a handshake, for the
// first call that succeeds, for a call, and between calls. Of a call that is refused nothing is
// kept.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "agent/core/address.h"
#include "agent/core/error.h"
#include "certs/ca/grpc_frames.h"
#include "certs/key_pair.h"
#include "certs/trust.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::ca {

struct ServerCall {
  std::string path;
  std::string authorization;           // the header's value, empty: none
  std::vector<std::string> peer_uris;  // of the client's verified certificate; none without one
  std::string peer;                    // address:port
};

struct ServerAnswer {
  GrpcCode code = GrpcCode::ok;
  std::string text;     // of an error, for the client
  std::string message;  // of a success
};

class GrpcServer {
public:
  // What answers a call once its one message is there.
  using Serve = std::function<ServerAnswer(const std::string& message)>;
  // Asked when a call's headers are whole, before any of its message is kept: who answers it, or
  // with what it is refused.
  using Handler = std::function<std::variant<ServerAnswer, Serve>(const ServerCall&)>;
  // Error: the address cannot be listened on, or OpenSSL does not take the certificate.
  // `certificate` is the server's own, `client_roots` verify clients that show one (none must).
  // `warn` gets a line for each connection that failed before a call, and once a minute how many
  // went for newcomers.
  static Result<std::unique_ptr<GrpcServer>> start(
      boost::asio::io_context& io, const SocketAddress& listen,
      std::shared_ptr<const certs::KeyPair> certificate,
      std::shared_ptr<const certs::TrustStore> client_roots, Handler handler,
      std::function<void(const std::string&)> warn);
  ~GrpcServer();
  GrpcServer(const GrpcServer&) = delete;

  // For connections from now on.
  Result<void> set_certificate(std::shared_ptr<const certs::KeyPair> certificate,
                               std::shared_ptr<const certs::TrustStore> client_roots);
  SocketAddress address() const;  // with the port that was given for 0

private:
  struct State;
  explicit GrpcServer(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::ca
