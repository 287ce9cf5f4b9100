// Connects to the first of several addresses that answers. For sources of this folder only: it
// brings Asio's headers.
#pragma once
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <vector>

#include "certs/ca/transport.h"

namespace sallyport::ca {

// Of a name's several addresses a dead one must not use up the time of the call:
// limits::ca_call_time has room for two of them.
inline constexpr auto connect_address_time = std::chrono::seconds(3);

using ConnectedSocket =
    std::function<void(boost::system::error_code, boost::asio::ip::tcp::socket)>;
// In their order, each with connect_address_time but the last, which has no deadline: the caller
// cancels. `done`: once, with the last one's error if none answers.
std::shared_ptr<Attempt> connect_each(boost::asio::io_context& io,
                                      std::vector<boost::asio::ip::tcp::endpoint> addresses,
                                      ConnectedSocket done);

}  // namespace sallyport::ca
