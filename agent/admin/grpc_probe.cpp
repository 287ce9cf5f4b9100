// grpc probes: one call of grpc.health.v1.Health/Check over HTTP/2 without TLS, as kubelet makes
// it. The two messages have one field each, so that they are written and read by hand here
// (grpc/grpc-proto:grpc/health/v1/health.proto).
#include <nghttp2/nghttp2.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <memory>

#include "agent/admin/probe_call.h"
#include "agent/core/limits.h"

namespace sallyport::admin {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// HealthCheckRequest behind gRPC's five bytes: not compressed, length.
std::string health_request(const std::string& service) {
  std::string message;
  if (!service.empty()) {
    message += '\x0a';  // field 1, length-delimited
    std::size_t size = service.size();
    for (; size > 0x7f; size >>= 7) message += static_cast<char>(0x80 | (size & 0x7f));
    message += static_cast<char>(size);
    message += service;
  }
  std::string framed(5, '\0');
  for (int i = 0; i < 4; ++i) framed[4 - i] = static_cast<char>(message.size() >> (8 * i));
  return framed + message;
}

// HealthCheckResponse.status; 0 (UNKNOWN) where it is absent; -1: no such message.
int health_status(std::string_view framed) {
  if (framed.size() < 5 || framed[0] != '\0') return -1;
  framed.remove_prefix(5);
  if (framed.empty()) return 0;
  if (framed.size() < 2 || framed[0] != '\x08') return -1;  // field 1, varint
  return static_cast<unsigned char>(framed[1]);
}

class GrpcProbe : public std::enable_shared_from_this<GrpcProbe> {
public:
  GrpcProbe(asio::io_context& io, ProbeCall call)
      : call_(std::move(call)), stream_(io), request_(health_request(call_.probe.service)) {}
  void start();

private:
  struct FreeSession {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };
  void open_session();
  void submit();
  void send();
  void receive();
  void received(std::size_t count);
  void judge();
  void finish(Response response);
  void fail(const std::string& what, error_code error) { finish(failed_probe(what, error)); }

  static ssize_t read_body(nghttp2_session*, int32_t, uint8_t* into, std::size_t room,
                           uint32_t* flags, nghttp2_data_source*, void* self);
  static int on_header(nghttp2_session*, const nghttp2_frame*, const uint8_t* name,
                       std::size_t name_size, const uint8_t* value, std::size_t value_size, uint8_t,
                       void* self);
  static int on_data(nghttp2_session*, uint8_t, int32_t, const uint8_t* data, std::size_t size,
                     void* self);
  static int on_close(nghttp2_session*, int32_t, uint32_t, void* self);

  ProbeCall call_;
  boost::beast::tcp_stream stream_;
  std::unique_ptr<nghttp2_session, FreeSession> session_;
  std::string request_, answer_, grpc_status_, grpc_message_;
  std::size_t sent_ = 0;  // of request_
  bool closed_ = false;   // the call has ended
  std::string out_;
  std::array<char, 4096> in_;
};

ssize_t GrpcProbe::read_body(nghttp2_session*, int32_t, uint8_t* into, std::size_t room,
                             uint32_t* flags, nghttp2_data_source*, void* self) {
  auto& probe = *static_cast<GrpcProbe*>(self);
  const std::size_t count = std::min(room, probe.request_.size() - probe.sent_);
  std::memcpy(into, probe.request_.data() + probe.sent_, count);
  probe.sent_ += count;
  if (probe.sent_ == probe.request_.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(count);
}

int GrpcProbe::on_header(nghttp2_session*, const nghttp2_frame*, const uint8_t* name,
                         std::size_t name_size, const uint8_t* value, std::size_t value_size,
                         uint8_t, void* self) {
  auto& probe = *static_cast<GrpcProbe*>(self);
  const std::string_view key(reinterpret_cast<const char*>(name), name_size);
  const std::string_view text(reinterpret_cast<const char*>(value), value_size);
  if (key == "grpc-status") probe.grpc_status_ = text.substr(0, 3);
  if (key == "grpc-message") probe.grpc_message_ = text.substr(0, limits::app_probe_body_bytes);
  return 0;
}

int GrpcProbe::on_data(nghttp2_session*, uint8_t, int32_t, const uint8_t* data, std::size_t size,
                       void* self) {
  auto& answer = static_cast<GrpcProbe*>(self)->answer_;
  const std::size_t room = limits::app_probe_body_bytes - answer.size();
  answer.append(reinterpret_cast<const char*>(data), std::min(size, room));
  return 0;
}

int GrpcProbe::on_close(nghttp2_session*, int32_t, uint32_t, void* self) {
  static_cast<GrpcProbe*>(self)->closed_ = true;
  return 0;
}

void GrpcProbe::start() {
  if (const auto error = prepare_stream(stream_, call_)) return fail("", error);
  stream_.async_connect(probe_endpoint(call_.options.destination, call_.probe.port),
                        [self = shared_from_this()](error_code error) {
                          if (error) return self->fail("connect", error);
                          self->open_session();
                          self->submit();
                          self->send();
                        });
}

void GrpcProbe::open_session() {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
  nghttp2_session* session = nullptr;
  nghttp2_session_client_new(&session, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  session_.reset(session);
}

void GrpcProbe::submit() {
  const SocketAddress to(call_.options.destination, call_.probe.port);
  std::string agent;
  for (const auto& [name, value] : call_.request.headers) {
    if (name == "User-Agent") agent = value;
  }
  const std::string timeout = std::to_string(call_.probe.timeout.count()) + "m";
  std::vector<std::pair<std::string, std::string>> fields = {
      {":method", "POST"},       {":scheme", "http"},
      {":authority", to.text()}, {":path", "/grpc.health.v1.Health/Check"},
      {"te", "trailers"},        {"content-type", "application/grpc"},
      {"grpc-timeout", timeout}};
  if (!agent.empty()) fields.emplace_back("user-agent", agent);
  std::vector<nghttp2_nv> head;
  for (auto& [name, value] : fields) {
    head.push_back({reinterpret_cast<uint8_t*>(name.data()),
                    reinterpret_cast<uint8_t*>(value.data()), name.size(), value.size(),
                    NGHTTP2_NV_FLAG_NONE});
  }
  const nghttp2_settings_entry no_push = {NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
  nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, &no_push, 1);
  const nghttp2_data_provider body{.source = {}, .read_callback = read_body};
  nghttp2_submit_request(session_.get(), nullptr, head.data(), head.size(), &body, nullptr);
}

// What the session has to say now; then it listens.
void GrpcProbe::send() {
  out_.clear();
  const uint8_t* bytes = nullptr;
  for (ssize_t count; (count = nghttp2_session_mem_send(session_.get(), &bytes)) > 0;)
    out_.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
  if (out_.empty()) return receive();
  asio::async_write(stream_, asio::buffer(out_),
                    [self = shared_from_this()](error_code error, std::size_t) {
                      if (error) return self->fail("send", error);
                      self->receive();
                    });
}

void GrpcProbe::receive() {
  stream_.async_read_some(asio::buffer(in_),
                          [self = shared_from_this()](error_code error, std::size_t count) {
                            if (error) return self->fail("read the answer", error);
                            self->received(count);
                          });
}

void GrpcProbe::received(std::size_t count) {
  const auto taken =
      nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const uint8_t*>(in_.data()), count);
  if (taken < 0) {
    return finish(
        {500, std::string("no HTTP/2: ") + nghttp2_strerror(static_cast<int>(taken)) + "\n"});
  }
  if (closed_) return judge();
  if (!nghttp2_session_want_read(session_.get())) return finish({500, "the connection ended\n"});
  send();
}

// Kubelet's sentences (pkg/probe/grpc/grpc.go).
void GrpcProbe::judge() {
  if (grpc_status_ == "12") {
    return finish(
        {500, "server does not implement the grpc health protocol (grpc.health.v1.Health)\n"});
  }
  if (grpc_status_ != "0") {
    return finish({500, "grpc probe failed: " +
                            (grpc_status_.empty() ? "no status" : "status " + grpc_status_ + ": ") +
                            grpc_message_ + "\n"});
  }
  constexpr std::array names = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
  const int status = health_status(answer_);
  if (status == 1) return finish({200, ""});
  const bool known = status >= 0 && status < int(names.size());
  finish({500, std::string("service unhealthy: ") +
                   (known ? names[static_cast<std::size_t>(status)] : "no status") + "\n"});
}

void GrpcProbe::finish(Response response) {
  stream_.close();
  if (const auto done = std::exchange(call_.done, nullptr)) done(std::move(response));
}

}  // namespace

void run_grpc_probe(asio::io_context& io, ProbeCall call) {
  std::make_shared<GrpcProbe>(io, std::move(call))->start();
}

}  // namespace sallyport::admin
