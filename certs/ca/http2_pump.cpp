#include "certs/ca/http2_pump.h"

#include <openssl/crypto.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace sallyport::ca {

namespace asio = boost::asio;

nghttp2_nv http2_field(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

void Http2Pump::start() {
  flush();
  read();
}

void Http2Pump::read() {
  if (ended_) return;
  transport_->read(
      in_.data(), in_.size(),
      [self = shared_from_this()](const auto& error, auto bytes) { self->take(error, bytes); });
}

void Http2Pump::take(const boost::system::error_code& error, std::size_t bytes) {
  if (ended_) return;
  if (error) return end("the peer closed the connection (" + error.message() + ")");
  feeding_ = true;
  const auto taken = nghttp2_session_mem_recv(session_.get(), in_.data(), bytes);
  OPENSSL_cleanse(in_.data(), bytes);  // a token or a key may have been in it
  feeding_ = false;
  if (ended_) return;
  if (taken < 0) return end(nghttp2_strerror(static_cast<int>(taken)));
  flush();
  read();
}

void Http2Pump::flush() {
  if (writing_ || feeding_ || ended_) return;
  constexpr std::size_t write_bytes = 64 * 1024;
  out_.clear();
  while (out_.size() < write_bytes) {
    const uint8_t* data = nullptr;
    const auto size = nghttp2_session_mem_send(session_.get(), &data);
    if (size < 0) return end(nghttp2_strerror(static_cast<int>(size)));
    if (size == 0) break;
    out_.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
  }
  if (out_.empty()) {
    if (!nghttp2_session_want_read(session_.get()) && !nghttp2_session_want_write(session_.get()))
      end("the session is over");
    return;
  }
  writing_ = true;
  transport_->write(out_.data(), out_.size(), [self = shared_from_this()](const auto& error, auto) {
    self->writing_ = false;
    if (self->ended_) return;
    if (error) return self->end("writing: " + error.message());
    self->flush();
  });
}

// Told from the loop: whoever submits or feeds is never destroyed by what it calls.
void Http2Pump::end(std::string reason) {
  if (ended_) return;
  ended_ = true;
  transport_->close();
  asio::post(io_, [self = shared_from_this(), reason = std::move(reason)] {
    if (const auto closed = std::exchange(self->closed_, nullptr)) closed(reason);
  });
}

void Http2Pump::close() {
  closed_ = nullptr;
  if (ended_) return;
  ended_ = true;
  transport_->close();
}

}  // namespace sallyport::ca
