#include "agent/cli/admin_client.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "agent/core/limits.h"

namespace sallyport::cli {
namespace {

namespace beast_http = boost::beast::http;
using boost::asio::ip::tcp;
using boost::beast::error_code;

// The first step that fails ends it; one deadline for all.
class Exchange {
public:
  Exchange(const SocketAddress& to, const std::string& method, const std::string& target)
      : stream_(io_), to_(to) {
    request_.method_string(method);
    request_.target(target);
    request_.version(11);
    request_.set(beast_http::field::host, to.text());
    request_.keep_alive(false);
    request_.prepare_payload();
    parser_.body_limit(limits::admin_answer_bytes);
  }

  Result<std::string> run(std::chrono::milliseconds time);

private:
  tcp::endpoint endpoint() const;
  void connect();
  void send();
  void receive();
  bool went_well(error_code error, const char* what);

  boost::asio::io_context io_{1};
  boost::beast::tcp_stream stream_;
  SocketAddress to_;
  boost::beast::flat_buffer buffer_;
  beast_http::request<beast_http::empty_body> request_;
  beast_http::response_parser<beast_http::string_body> parser_;
  std::string problem_;
};

tcp::endpoint Exchange::endpoint() const {
  if (to_.ip().is_v4()) {
    boost::asio::ip::address_v4::bytes_type bytes;
    std::copy_n(to_.ip().bytes(), bytes.size(), bytes.begin());
    return {boost::asio::ip::address_v4(bytes), to_.port()};
  }
  boost::asio::ip::address_v6::bytes_type bytes;
  std::copy_n(to_.ip().bytes(), bytes.size(), bytes.begin());
  return {boost::asio::ip::address_v6(bytes), to_.port()};
}

bool Exchange::went_well(error_code error, const char* what) {
  if (error) problem_ = std::string(what) + ": " + error.message();
  return !error;
}

void Exchange::connect() {
  stream_.async_connect(endpoint(), [this](error_code error) {
    if (went_well(error, "connect")) send();
  });
}

void Exchange::send() {
  beast_http::async_write(stream_, request_, [this](error_code error, std::size_t) {
    if (went_well(error, "send")) receive();
  });
}

void Exchange::receive() {
  beast_http::async_read(stream_, buffer_, parser_, [this](error_code error, std::size_t) {
    went_well(error, "read the answer");
  });
}

Result<std::string> Exchange::run(std::chrono::milliseconds time) {
  const auto failed = [this](const std::string& why) {
    return Error{.fault = Fault::refused, .context = "the proxy's port " + to_.text() + ": " + why};
  };
  stream_.expires_after(time);
  connect();
  io_.run();
  if (!problem_.empty()) return failed(problem_);
  auto& answer = parser_.get();
  if (answer.result() != beast_http::status::ok) {
    return failed(std::to_string(answer.result_int()) + ": " + answer.body());
  }
  return std::move(answer.body());
}

}  // namespace

Result<std::string> ask_admin(const SocketAddress& admin, const std::string& method,
                              const std::string& target, std::chrono::milliseconds time) {
  return Exchange(admin, method, target).run(time);
}

}  // namespace sallyport::cli
