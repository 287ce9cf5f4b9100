#include "agent/admin/connection.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>

#include "agent/core/limits.h"

namespace sallyport::admin {
namespace {

namespace http = boost::beast::http;
using boost::asio::ip::tcp;
using boost::beast::error_code;

class HttpConnection final : public Connection,
                             public std::enable_shared_from_this<HttpConnection> {
public:
  HttpConnection(tcp::socket socket, std::chrono::milliseconds head_time, Answer answer,
                 std::function<void()> ended)
      : stream_(std::move(socket)),
        buffer_(limits::admin_head_bytes + limits::admin_body_bytes),
        request_time_(head_time),
        answer_(std::move(answer)),
        ended_(std::move(ended)) {}
  void read();
  void close() override;
  Doing doing() const override { return doing_; }
  std::chrono::steady_clock::time_point since() const override { return since_; }

private:
  void becomes(Doing what) {
    doing_ = what;
    since_ = std::chrono::steady_clock::now();
  }
  void received(error_code error);
  void refuse(error_code error);
  void respond(Response response, bool keep_alive);
  void sent(error_code error, bool keep_alive, const std::function<void()>& after);
  void end();

  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
  std::chrono::milliseconds request_time_;
  Doing doing_ = Doing::reading;
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  Answer answer_;
  std::function<void()> ended_;
};

void HttpConnection::read() {
  parser_.emplace();
  parser_->header_limit(limits::admin_head_bytes);
  parser_->body_limit(limits::admin_body_bytes);
  becomes(Doing::reading);
  stream_.expires_after(std::exchange(request_time_, limits::admin_idle));
  http::async_read(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](error_code error, std::size_t) { self->received(error); });
}

void HttpConnection::received(error_code error) {
  if (error) return refuse(error);
  if (!answer_) return;  // closed meanwhile
  const auto& message = parser_->get();
  const bool keep_alive = message.keep_alive();
  Request request{std::string(message.method_string()), std::string(message.target())};
  for (const auto& field : message) {
    request.headers.emplace_back(field.name_string(), field.value());
  }
  error_code unknown;
  const auto peer = stream_.socket().remote_endpoint(unknown);
  request.from_loopback = !unknown && peer.address().is_loopback();
  becomes(Doing::answering);
  stream_.expires_never();  // the answer may wait for the workers
  answer_(request, [self = shared_from_this(), keep_alive](Response response) {
    self->respond(std::move(response), keep_alive);
  });
}

// What can't be read as a request gets a reason if it came from HTTP at all.
void HttpConnection::refuse(error_code error) {
  if (error == http::error::header_limit) {
    return respond({431, "the request's head is too long\n"}, false);
  }
  if (error == http::error::body_limit) {
    return respond({413, "the request's body is too long\n"}, false);
  }
  if (error.category() == make_error_code(http::error::bad_method).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message) {
    return respond({400, "bad request: " + error.message() + "\n"}, false);
  }
  end();
}

void HttpConnection::respond(Response response, bool keep_alive) {
  response_ = {};
  response_.version(11);
  response_.result(static_cast<unsigned>(response.status));
  response_.set(http::field::content_type, response.content_type);
  response_.set(http::field::cache_control, "no-cache, max-age=0");
  response_.set("x-content-type-options", "nosniff");
  if (!response.allow.empty()) response_.set(http::field::allow, response.allow);
  response_.keep_alive(keep_alive);
  const bool bodiless = response.status < 200 || response.status == 204 || response.status == 304;
  if (!bodiless) response_.body() = std::move(response.body);
  response_.prepare_payload();
  becomes(Doing::writing);
  stream_.expires_after(limits::admin_idle);
  http::async_write(stream_, response_,
                    [self = shared_from_this(), keep_alive, after = std::move(response.after)](
                        error_code error, std::size_t) { self->sent(error, keep_alive, after); });
}

void HttpConnection::sent(error_code error, bool keep_alive, const std::function<void()>& after) {
  if (error || !keep_alive) {
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    end();
  } else {
    read();
  }
  if (after) after();  // last: it may end everything
}

void HttpConnection::end() {
  if (const auto ended = std::exchange(ended_, nullptr)) ended();
  stream_.close();
}

void HttpConnection::close() {
  ended_ = nullptr;
  answer_ = nullptr;
  stream_.close();
}

}  // namespace

std::shared_ptr<Connection> serve(boost::asio::io_context& io, int fd, bool v6,
                                  std::chrono::milliseconds head_time, Connection::Answer answer,
                                  std::function<void()> ended) {
  tcp::socket socket(io, v6 ? tcp::v6() : tcp::v4(), fd);
  auto connection = std::make_shared<HttpConnection>(std::move(socket), head_time,
                                                     std::move(answer), std::move(ended));
  connection->read();
  return connection;
}

}  // namespace sallyport::admin
