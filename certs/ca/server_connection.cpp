#include "certs/ca/server_connection.h"

#include <cstring>

#include "agent/core/limits.h"
#include "certs/ca/server_limits.h"

namespace sallyport::ca {
namespace {

std::string_view view(const uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

ServerConnection::ServerConnection(boost::asio::io_context& io, const GrpcServer::Handler& handler,
                                   std::string peer, std::function<void(const std::string&)> ended)
    : io_(io), handler_(handler), peer_(std::move(peer)), ended_(std::move(ended)), timer_(io) {}

void ServerConnection::start(const std::function<std::shared_ptr<Attempt>(Connected)>& accept) {
  await(limits::grpc_handshake_time, "no TLS handshake within the time");
  accepting_ = accept([this](Result<std::unique_ptr<Transport>> transport) {
    accepting_.reset();
    if (!transport) return end(transport.error().context);
    begin(std::move(*transport));
  });
}

void ServerConnection::callbacks(nghttp2_session_callbacks* into) {
  nghttp2_session_callbacks_set_on_begin_headers_callback(
      into, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
        const bool taken = static_cast<ServerConnection*>(self)->open(frame->hd.stream_id);
        return taken ? 0 : static_cast<int>(NGHTTP2_ERR_CALLBACK_FAILURE);
      });
  nghttp2_session_callbacks_set_on_header_callback(
      into, [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
               const uint8_t* value, size_t value_size, uint8_t, void* self) {
        static_cast<ServerConnection*>(self)->header(frame->hd.stream_id, view(name, name_size),
                                                     view(value, value_size));
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      into,
      [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size, void* self) {
        static_cast<ServerConnection*>(self)->data(id, view(bytes, size));
        return 0;
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      into, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
        if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
          static_cast<ServerConnection*>(self)->judge(frame->hd.stream_id);
        const bool has_end = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
        if (has_end && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
          static_cast<ServerConnection*>(self)->finish(frame->hd.stream_id);
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      into, [](nghttp2_session*, int32_t id, uint32_t, void* self) {
        static_cast<ServerConnection*>(self)->closed(id);
        return 0;
      });
}

void ServerConnection::begin(std::unique_ptr<Transport> transport) {
  nghttp2_session_callbacks* raw = nullptr;
  nghttp2_session_callbacks_new(&raw);
  const CallbacksPtr own(raw);
  callbacks(raw);
  nghttp2_session* session = nullptr;
  nghttp2_session_server_new(&session, raw, this);
  pump_ = std::make_shared<Http2Pump>(io_, std::move(transport), SessionPtr(session),
                                      [this](const std::string& reason) { end(reason); });
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
       static_cast<uint32_t>(limits::grpc_calls_per_connection)},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits::grpc_header_bytes)}};
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  await(limits::grpc_first_call, "no call that succeeds within the time");
  pump_->start();
}

// Before a first success no call renews the time, and there are few of them.
bool ServerConnection::open(int32_t id) {
  if (streams_.contains(id)) return true;  // trailers
  if (!proven_ && ++opened_ > limits::grpc_first_calls) return false;
  if (proven_ && streams_.empty()) {
    since_ = std::chrono::steady_clock::now();
    await(limits::grpc_call_time, "a call took too long");
  }
  Stream& stream = streams_[id];
  stream.reader = GrpcReader(limits::grpc_request_bytes);
  stream.call.peer = peer_;
  stream.call.peer_uris = pump_->transport().peer_uris();
  return true;
}

void ServerConnection::refuse(Stream& stream, GrpcCode code, const std::string& why) {
  stream.refusal = {code, why, ""};
  stream.serve = nullptr;
  stream.message.reset();
  stream.reader = GrpcReader(0);
}

void ServerConnection::header(int32_t id, std::string_view name, std::string_view value) {
  const auto at = streams_.find(id);
  if (at == streams_.end()) return;
  Stream& stream = at->second;
  stream.header_bytes += name.size() + value.size();
  if (stream.header_bytes > limits::grpc_header_bytes)
    return refuse(stream, GrpcCode::resource_exhausted, "too many headers");
  if (name == ":path") stream.call.path = value;
  if (name == ":method") stream.method = value;
  if (name == "content-type") stream.content_type = value;
  if (name == "authorization") stream.call.authorization = value;
}

// Who calls is known before a byte of the message is kept: a stranger's costs no memory. The answer
// still comes after the message, as grpc-go's (istiod's) does.
void ServerConnection::judge(int32_t id) {
  const auto at = streams_.find(id);
  if (at == streams_.end()) return;
  Stream& stream = at->second;
  const ServerCall call = std::exchange(stream.call, {});
  if (stream.method != "POST")
    stream.http_refusal = "405";
  else if (!stream.content_type.starts_with("application/grpc"))
    stream.http_refusal = "415";
  if (stream.http_refusal || stream.refusal.code != GrpcCode::ok) return;
  auto judged = handler_(call);
  if (const auto* refusal = std::get_if<ServerAnswer>(&judged))
    return refuse(stream, refusal->code, refusal->text);
  stream.serve = std::get<GrpcServer::Serve>(std::move(judged));
}

void ServerConnection::data(int32_t id, std::string_view bytes) {
  const auto at = streams_.find(id);
  if (at == streams_.end() || !at->second.serve) return;
  Stream& stream = at->second;
  if (auto fed = stream.reader.feed(bytes); !fed) {
    const bool too_long = fed.error().fault == Fault::overflow;
    return refuse(stream, too_long ? GrpcCode::resource_exhausted : GrpcCode::unimplemented,
                  fed.error().context);
  }
  if (!stream.message) stream.message = stream.reader.take();
  if (stream.message && stream.reader.in_message())
    refuse(stream, GrpcCode::invalid_argument, "a unary call has one whole message");
}

ServerAnswer ServerConnection::serve(Stream& stream) {
  if (stream.refusal.code != GrpcCode::ok) return stream.refusal;
  if (!stream.message)
    return {GrpcCode::invalid_argument, "a unary call has one whole message", ""};
  return stream.serve(*stream.message);
}

void ServerConnection::finish(int32_t id) {
  const auto at = streams_.find(id);
  if (at == streams_.end()) return;
  called_ = true;
  Stream& stream = at->second;
  if (stream.http_refusal) return refuse_http(id, stream.http_refusal);
  const ServerAnswer what = serve(stream);
  if (what.code == GrpcCode::ok) prove();
  answer(id, stream, what);
}

void ServerConnection::prove() {
  if (std::exchange(proven_, true)) return;
  since_ = std::chrono::steady_clock::now();
  await(limits::grpc_call_time, "a call took too long");
}

void ServerConnection::refuse_http(int32_t id, const char* status) {
  const nghttp2_nv fields[] = {http2_field(":status", status)};
  nghttp2_submit_response(pump_->session(), id, fields, std::size(fields), nullptr);
}

void ServerConnection::answer(int32_t id, Stream& stream, const ServerAnswer& what) {
  const std::string code = std::to_string(static_cast<int>(what.code)),
                    text = percent_encoded(what.text);
  if (what.code != GrpcCode::ok) {
    const nghttp2_nv fields[] = {
        http2_field(":status", "200"), http2_field("content-type", "application/grpc"),
        http2_field("grpc-status", code), http2_field("grpc-message", text)};
    nghttp2_submit_response(pump_->session(), id, fields, std::size(fields), nullptr);
    return;
  }
  stream.answer = grpc_frame(what.message);
  nghttp2_data_provider body{};
  body.source.ptr = &stream;
  body.read_callback = [](nghttp2_session* session, int32_t stream_id, uint8_t* into, size_t room,
                          uint32_t* flags, nghttp2_data_source* source, void*) -> ssize_t {
    auto& from = *static_cast<Stream*>(source->ptr);
    const auto size = std::min(room, from.answer.size() - from.sent);
    std::memcpy(into, from.answer.data() + from.sent, size);
    from.sent += size;
    if (from.sent == from.answer.size()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const nghttp2_nv trailers[] = {http2_field("grpc-status", "0")};
      nghttp2_submit_trailer(session, stream_id, trailers, std::size(trailers));
    }
    return static_cast<ssize_t>(size);
  };
  const nghttp2_nv fields[] = {http2_field(":status", "200"),
                               http2_field("content-type", "application/grpc")};
  nghttp2_submit_response(pump_->session(), id, fields, std::size(fields), &body);
}

void ServerConnection::closed(int32_t id) {
  streams_.erase(id);
  if (!streams_.empty() || !proven_) return;
  since_ = std::chrono::steady_clock::now();
  await(limits::grpc_idle, "idle");
}

void ServerConnection::await(std::chrono::milliseconds time, const char* what) {
  timer_.expires_after(time);
  timer_.async_wait([self = weak_from_this(), what](const auto& error) {
    const auto connection = self.lock();
    if (!error && connection) connection->end(what);
  });
}

void ServerConnection::end(const std::string& reason) {
  const auto told = std::exchange(ended_, nullptr);
  const auto self = shared_from_this();
  close();
  if (told) told(called_ ? "" : reason);
}

void ServerConnection::close() {
  ended_ = nullptr;
  timer_.cancel();
  if (accepting_) accepting_->cancel();
  if (pump_) pump_->close();
}

}  // namespace sallyport::ca
