// Moves bytes between an nghttp2 session and a transport. For sources of this folder only.
//
// Ownership: shared with the reads and writes under way. Its owner hands it the session, whose
// callbacks lead to the owner, and calls close() before it goes: after that neither the session's
// callbacks nor `closed` are called.
#pragma once
#include <nghttp2/nghttp2.h>

#include <array>
#include <string_view>

#include "certs/ca/transport.h"
#include "certs/openssl_ptr.h"

namespace sallyport::ca {

using CallbacksPtr =
    std::unique_ptr<nghttp2_session_callbacks, certs::OpensslFree<nghttp2_session_callbacks_del>>;
using SessionPtr = std::unique_ptr<nghttp2_session, certs::OpensslFree<nghttp2_session_del>>;

// Of a head. Views: both outlive the call that they are given to.
nghttp2_nv http2_field(std::string_view name, std::string_view value);

class Http2Pump : public std::enable_shared_from_this<Http2Pump> {
public:
  // `closed`: once, from the loop, when the peer has gone, broke the protocol, or all is said.
  Http2Pump(boost::asio::io_context& io, std::unique_ptr<Transport> transport, SessionPtr session,
            std::function<void(const std::string& reason)> closed)
      : io_(io),
        transport_(std::move(transport)),
        session_(std::move(session)),
        closed_(std::move(closed)) {}

  void start();
  void flush();  // after something was submitted to the session
  void close();
  nghttp2_session* session() { return session_.get(); }
  const Transport& transport() const { return *transport_; }

private:
  void read();
  void take(const boost::system::error_code& error, std::size_t bytes);
  void end(std::string reason);

  boost::asio::io_context& io_;
  std::unique_ptr<Transport> transport_;
  SessionPtr session_;
  std::function<void(const std::string&)> closed_;
  std::array<uint8_t, 16 * 1024> in_;
  std::string out_;
  bool writing_ = false, feeding_ = false, ended_ = false;
};

}  // namespace sallyport::ca
