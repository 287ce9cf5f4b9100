// One connection of a gRPC server, from the handshake to its end. For sources of this folder only.
#pragma once
#include <boost/asio/steady_timer.hpp>
#include <map>

#include "certs/ca/grpc_server.h"
#include "certs/ca/http2_pump.h"

namespace sallyport::ca {

class ServerConnection : public std::enable_shared_from_this<ServerConnection> {
public:
  // `handler` outlives it. `ended`: once, from the loop; with a reason when there was no call.
  ServerConnection(boost::asio::io_context& io, const GrpcServer::Handler& handler,
                   std::string peer, std::function<void(const std::string& reason)> ended);
  // `accept` begins the handshake.
  void start(const std::function<std::shared_ptr<Attempt>(Connected)>& accept);
  // Nothing is called afterwards.
  void close();

private:
  struct Stream {
    ServerCall call;
    std::string method, content_type, answer;
    GrpcReader reader{0};
    std::size_t header_bytes = 0, sent = 0;
    std::string problem;  // why the request is refused
    GrpcCode problem_code = GrpcCode::ok;
  };

  void begin(std::unique_ptr<Transport> transport);
  void callbacks(nghttp2_session_callbacks* into);
  void open(int32_t id);
  void header(int32_t id, std::string_view name, std::string_view value);
  void data(int32_t id, std::string_view bytes);
  void finish(int32_t id);
  void closed(int32_t id);
  void answer(int32_t id, Stream& stream, const ServerAnswer& what);
  void refuse_http(int32_t id, const char* status);
  ServerAnswer serve(Stream& stream);
  void await(std::chrono::milliseconds time, const char* what);
  void end(const std::string& reason);

  boost::asio::io_context& io_;
  const GrpcServer::Handler& handler_;
  std::string peer_;
  std::function<void(const std::string&)> ended_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<Attempt> accepting_;
  std::shared_ptr<Http2Pump> pump_;
  std::map<int32_t, Stream> streams_;
  bool called_ = false;
};

}  // namespace sallyport::ca
