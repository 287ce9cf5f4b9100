// Connecting to a name of several addresses.
#include "certs/ca/connect_each.h"

#include <boost/asio/io_context.hpp>

#include "tests/support/full_listener.h"

#include <gtest/gtest.h>

namespace sallyport::ca {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using Tcp = asio::ip::tcp;

class ConnectEach : public testing::Test {
protected:
  static Tcp::endpoint endpoint(const SocketAddress& address) {
    return {asio::ip::make_address(address.ip().text()), address.port()};
  }
  // Which of them it was connected to; else why to none.
  std::string connected_to(const std::vector<Tcp::endpoint>& addresses) {
    std::string result;
    const auto attempt = connect_each(io_, addresses, [&](const auto& error, Tcp::socket socket) {
      for (std::size_t i = 0; !error && i < addresses.size(); ++i)
        if (socket.remote_endpoint() == addresses[i]) result = std::to_string(i);
      if (error) result = error.message();
    });
    io_.restart();
    while (result.empty()) io_.run_one();
    return result;
  }
  asio::io_context io_;
  Tcp::acceptor good_{io_, {asio::ip::make_address("127.0.0.1"), 0}};
  const Tcp::endpoint refused_{asio::ip::make_address("127.0.0.9"), 1};
};

TEST_F(ConnectEach, TheFirstThatAnswersIsTaken) {
  EXPECT_EQ(connected_to({good_.local_endpoint(), refused_}), "0");
  EXPECT_EQ(connected_to({refused_, good_.local_endpoint()}), "1");
  EXPECT_EQ(connected_to({refused_, refused_}), "Connection refused");
}

TEST_F(ConnectEach, ADeadAddressDoesNotHideAGoodOne) {
  const test::FullListener dead;
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(connected_to({endpoint(dead.address()), good_.local_endpoint()}), "1");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, connect_address_time + 2s);
}

TEST_F(ConnectEach, NothingIsToldAfterACancel) {
  bool told = false;
  const auto attempt =
      connect_each(io_, {good_.local_endpoint()}, [&](const auto&, Tcp::socket) { told = true; });
  attempt->cancel();
  io_.run();
  EXPECT_FALSE(told);
}

}  // namespace
}  // namespace sallyport::ca
