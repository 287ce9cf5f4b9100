// One target of the application's metrics is asked.
#include <boost/asio/connect.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "agent/admin/app_metrics.h"
#include "agent/core/limits.h"

namespace sallyport::admin {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

class AppScrape : public std::enable_shared_from_this<AppScrape> {
public:
  AppScrape(asio::io_context& io, ScrapeCall call) : stream_(io), call_(std::move(call)) {
    parser_.header_limit(limits::app_probe_head_bytes);
    parser_.body_limit(limits::app_metrics_bytes);
  }
  void start();

private:
  void send();
  void receive();
  void received(error_code error);
  void finish(Scraped scraped);
  void fail(const char* what, error_code error) {
    finish({.problem = std::string(what) + ": " + error.message(), .body = {}, .content_type = {}});
  }

  boost::beast::tcp_stream stream_;
  ScrapeCall call_;
  boost::beast::flat_buffer buffer_;
  http::request<http::empty_body> request_;
  http::response_parser<http::string_body> parser_;
};

void AppScrape::start() {
  const std::array<tcp::endpoint, 2> loopbacks{
      tcp::endpoint(asio::ip::address_v4::loopback(), call_.target.port),
      tcp::endpoint(asio::ip::address_v6::loopback(), call_.target.port)};
  stream_.expires_at(call_.deadline);
  stream_.async_connect(loopbacks,
                        [self = shared_from_this()](error_code error, const tcp::endpoint&) {
                          if (error) return self->fail("connect", error);
                          self->send();
                        });
}

// The text format alone: behind the proxy's own another could not be read.
void AppScrape::send() {
  request_.method(http::verb::get);
  request_.target(call_.target.path);
  request_.version(11);
  request_.set(http::field::host, "localhost:" + std::to_string(call_.target.port));
  request_.set(http::field::accept, "text/plain;version=0.0.4;q=1,*/*;q=0.1");
  if (!call_.user_agent.empty()) request_.set(http::field::user_agent, call_.user_agent);
  if (!call_.timeout_text.empty())
    request_.set("X-Prometheus-Scrape-Timeout-Seconds", call_.timeout_text);
  request_.keep_alive(false);
  http::async_write(stream_, request_, [self = shared_from_this()](error_code error, std::size_t) {
    if (error) return self->fail("send", error);
    self->receive();
  });
}

void AppScrape::receive() {
  http::async_read(
      stream_, buffer_, parser_,
      [self = shared_from_this()](error_code error, std::size_t) { self->received(error); });
}

void AppScrape::received(error_code error) {
  if (error) return fail("read the answer", error);
  auto& answer = parser_.get();
  if (answer.result_int() != 200) {
    return finish({.problem = "status code " + std::to_string(answer.result_int()),
                   .body = {},
                   .content_type = {}});
  }
  finish({.problem = {},
          .body = std::move(answer.body()),
          .content_type = std::string(answer[http::field::content_type])});
}

void AppScrape::finish(Scraped scraped) {
  stream_.close();
  if (const auto done = std::exchange(call_.done, nullptr)) done(std::move(scraped));
}

}  // namespace

void run_scrape(asio::io_context& io, ScrapeCall call) {
  std::make_shared<AppScrape>(io, std::move(call))->start();
}

}  // namespace sallyport::admin
