// One connection of a gRPC server, from the handshake to its end. For sources of this folder only.
#pragma once
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <optional>

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

  bool proven() const { return proven_; }  // a call has succeeded
  bool busy() const { return !proven_ || !streams_.empty(); }
  std::chrono::steady_clock::time_point since() const {
    return since_;
  }  // it began to be (not) busy

private:
  struct Stream {
    ServerCall call;  // until its headers are whole
    std::string method, content_type, answer;
    std::size_t header_bytes = 0, sent = 0;
    const char* http_refusal = nullptr;  // a status
    ServerAnswer refusal;                // where its code is not ok
    GrpcServer::Serve serve;             // where it is not refused
    GrpcReader reader{0};
    std::optional<std::string> message;
  };

  void begin(std::unique_ptr<Transport> transport);
  void callbacks(nghttp2_session_callbacks* into);
  bool open(int32_t id);  // false: the connection has to end
  void header(int32_t id, std::string_view name, std::string_view value);
  void judge(int32_t id);
  void data(int32_t id, std::string_view bytes);
  void finish(int32_t id);
  void closed(int32_t id);
  void answer(int32_t id, Stream& stream, const ServerAnswer& what);
  void refuse_http(int32_t id, const char* status);
  static void refuse(Stream& stream, GrpcCode code, const std::string& why);
  static ServerAnswer serve(Stream& stream);
  void prove();
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
  std::size_t opened_ = 0;  // calls, before one succeeded
  bool called_ = false, proven_ = false;
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
};

}  // namespace sallyport::ca
