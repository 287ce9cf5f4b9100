// The server's side of a transport. For sources of this folder only: it brings Asio's headers.
#pragma once
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>

#include "certs/ca/transport.h"

namespace sallyport::ca {

// The handshake on an accepted socket, with ALPN h2. No deadline of its own: the caller cancels.
std::shared_ptr<Attempt> accept_tls(boost::asio::ip::tcp::socket socket,
                                    std::shared_ptr<boost::asio::ssl::context> context,
                                    Connected done);

}  // namespace sallyport::ca
