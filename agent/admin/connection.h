// One HTTP connection of the admin or health port. For sources of this folder that know Beast.
//
// Ownership: holds itself alive while an operation of its own is under way; close() ends that.
#pragma once
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>

#include "agent/admin/pages.h"

namespace sallyport::admin {

class Connection : public std::enable_shared_from_this<Connection> {
public:
  using Answer = std::function<void(const Request&, const Pages::Done&)>;
  // `ended` is called once, unless close() came first.
  Connection(boost::asio::ip::tcp::socket socket, Answer answer, std::function<void()> ended);
  void read();
  void close();

private:
  void received(boost::beast::error_code error);
  void refuse(boost::beast::error_code error);
  void respond(Response response, bool keep_alive);
  void sent(boost::beast::error_code error, bool keep_alive, const std::function<void()>& after);
  void end();

  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  boost::beast::http::response<boost::beast::http::string_body> response_;
  Answer answer_;
  std::function<void()> ended_;
};

}  // namespace sallyport::admin
