#include "certs/ca/grpc_call.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <charconv>

#include "certs/ca/grpc_frames.h"
#include "certs/ca/http2_pump.h"
#include "certs/describe.h"

namespace sallyport::ca {

namespace asio = boost::asio;

struct GrpcCall::State : std::enable_shared_from_this<State> {
  State(asio::io_context& context, GrpcTarget to, GrpcRequest what, Handlers given)
      : io(context),
        target(std::move(to)),
        request(std::move(what)),
        handlers(std::move(given)),
        timer(context),
        reader(limits::grpc_message_bytes) {}

  void start();
  void begin(std::unique_ptr<Transport> transport);
  bool submit();
  void await(std::chrono::milliseconds time, const char* what);
  void keep_alive();
  void stop();
  void end(Result<void> result);
  void end_of_stream(uint32_t error_code);
  Result<void> outcome(uint32_t error_code) const;
  void take(std::string_view bytes);
  void header(std::string_view name, std::string_view value);

  asio::io_context& io;
  const GrpcTarget target;
  GrpcRequest request;
  Handlers handlers;
  asio::steady_timer timer;
  std::shared_ptr<Attempt> connecting;
  std::shared_ptr<Http2Pump> pump;
  GrpcReader reader;
  std::size_t sent = 0, header_bytes = 0;
  std::string http_status, status, status_message;
  bool ended = false, alive = false, heard = false;
};

namespace {

Error call_failed(std::string reason, Fault fault = Fault::protocol) {
  return {.fault = fault, .retryable = true, .context = std::move(reason)};
}

}  // namespace

void GrpcCall::State::start() {
  await(request.time, "no answer within the time");
  connecting = connect(io, target, [this](Result<std::unique_ptr<Transport>> transport) {
    connecting.reset();
    if (!transport) return end(transport.error());
    begin(std::move(*transport));
  });
}

void GrpcCall::State::begin(std::unique_ptr<Transport> transport) {
  nghttp2_session_callbacks* raw = nullptr;
  nghttp2_session_callbacks_new(&raw);
  const CallbacksPtr callbacks(raw);
  nghttp2_session_callbacks_set_on_header_callback(
      raw, [](nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_size,
              const uint8_t* value, size_t value_size, uint8_t, void* self) {
        static_cast<State*>(self)->header({reinterpret_cast<const char*>(name), name_size},
                                          {reinterpret_cast<const char*>(value), value_size});
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      raw, [](nghttp2_session*, uint8_t, int32_t, const uint8_t* data, size_t size, void* self) {
        static_cast<State*>(self)->take({reinterpret_cast<const char*>(data), size});
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      raw, [](nghttp2_session*, int32_t, uint32_t error_code, void* self) {
        static_cast<State*>(self)->end_of_stream(error_code);
        return 0;
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      raw, [](nghttp2_session*, const nghttp2_frame*, void* self) {
        static_cast<State*>(self)->alive = true;
        return 0;
      });
  nghttp2_session* session = nullptr;
  nghttp2_session_client_new(&session, raw, this);
  pump = std::make_shared<Http2Pump>(
      io, std::move(transport), SessionPtr(session), [this](const std::string& reason) {
        end(call_failed("the call was cut off: " + reason, Fault::reset));
      });
  if (!submit()) return end(call_failed("the request could not be sent", Fault::internal));
  pump->start();
}

bool GrpcCall::State::submit() {
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits::grpc_header_bytes)}};
  nghttp2_submit_settings(pump->session(), NGHTTP2_FLAG_NONE, settings, std::size(settings));
  const bool local = target.address.starts_with("unix:");
  const std::pair<std::string, std::string> fixed[] = {
      {":method", "POST"},
      {":scheme", target.tls && !local ? "https" : "http"},
      {":path", request.path},
      {":authority", local ? "localhost" : target.address},
      {"te", "trailers"},
      {"content-type", "application/grpc"},
      {"user-agent", "sallyport/" SALLYPORT_VERSION},
  };
  std::vector<nghttp2_nv> fields;
  for (const auto& [name, value] : fixed) fields.push_back(http2_field(name, value));
  for (const auto& [name, value] : request.metadata) fields.push_back(http2_field(name, value));
  request.message = grpc_frame(request.message);
  nghttp2_data_provider body{};
  body.source.ptr = this;
  body.read_callback = [](nghttp2_session*, int32_t, uint8_t* into, size_t room, uint32_t* flags,
                          nghttp2_data_source* source, void*) -> ssize_t {
    auto& self = *static_cast<State*>(source->ptr);
    const auto size = std::min(room, self.request.message.size() - self.sent);
    std::memcpy(into, self.request.message.data() + self.sent, size);
    self.sent += size;
    if (self.sent == self.request.message.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  };
  return nghttp2_submit_request(pump->session(), nullptr, fields.data(), fields.size(), &body,
                                nullptr) > 0;
}

void GrpcCall::State::await(std::chrono::milliseconds time, const char* what) {
  timer.expires_after(time);
  timer.async_wait([self = weak_from_this(), what](const auto& error) {
    const auto state = self.lock();
    if (!error && state) state->end(call_failed(what, Fault::timed_out));
  });
}

// A stream may be silent for days; its peer may have gone without a word.
void GrpcCall::State::keep_alive() {
  timer.expires_after(limits::grpc_keepalive);
  timer.async_wait([self = weak_from_this()](const auto& error) {
    const auto state = self.lock();
    if (error || !state || state->ended) return;
    if (!state->alive) return state->end(call_failed("the peer is silent", Fault::timed_out));
    state->alive = false;
    nghttp2_submit_ping(state->pump->session(), NGHTTP2_FLAG_NONE, nullptr);
    state->pump->flush();
    state->keep_alive();
  });
}

void GrpcCall::State::header(std::string_view name, std::string_view value) {
  header_bytes += name.size() + value.size();
  if (header_bytes > limits::grpc_header_bytes) return end(call_failed("too many headers"));
  if (name == ":status") http_status = value;
  if (name == "grpc-status") status = value;
  if (name == "grpc-message") status_message = percent_decoded(value);
}

void GrpcCall::State::take(std::string_view bytes) {
  if (ended) return;
  if (auto fed = reader.feed(bytes); !fed) return end(fed.error());
  while (auto message = reader.take()) {
    heard = true;
    asio::post(io, [self = weak_from_this(), message = std::move(*message)]() mutable {
      const auto state = self.lock();
      if (!state) return;
      const auto told = state->handlers.message;  // which may destroy the call
      if (told) told(std::move(message));
    });
  }
  if (heard && request.streaming) {
    alive = true;
    keep_alive();
  }
}

Result<void> GrpcCall::State::outcome(uint32_t error_code) const {
  if (http_status != "200" && !http_status.empty())
    return call_failed("HTTP status " + certs::printable(http_status, 16));
  int code = -1;
  std::from_chars(status.data(), status.data() + status.size(), code);
  if (status.empty() || code < 0) {
    return call_failed(error_code ? std::string("the call was reset: ") +
                                        nghttp2_http2_strerror(error_code)
                                  : "the answer has no grpc-status");
  }
  if (code != 0)
    return call_failed(code_name(code) + ": " + certs::printable(status_message, 1024));
  if (reader.in_message()) return call_failed("the answer was cut off");
  return {};
}

void GrpcCall::State::end_of_stream(uint32_t error_code) { end(outcome(error_code)); }

// After the messages that came before it, and never within the session's own call.
void GrpcCall::State::end(Result<void> result) {
  if (ended) return;
  ended = true;
  asio::post(io, [self = weak_from_this(), result = std::move(result)]() mutable {
    const auto state = self.lock();
    if (!state) return;
    auto told = std::exchange(state->handlers.end, nullptr);
    state->stop();
    if (told) told(std::move(result));
  });
}

void GrpcCall::State::stop() {
  ended = true;
  handlers = {};
  timer.cancel();
  if (connecting) connecting->cancel();
  if (pump) pump->close();
}

GrpcCall::GrpcCall(asio::io_context& io, GrpcTarget target, GrpcRequest request, Handlers handlers)
    : state_(
          std::make_shared<State>(io, std::move(target), std::move(request), std::move(handlers))) {
  state_->start();
}
GrpcCall::~GrpcCall() { state_->stop(); }

}  // namespace sallyport::ca
