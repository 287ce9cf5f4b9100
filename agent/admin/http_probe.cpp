// httpGet probes.
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>

#include "agent/admin/probe_call.h"
#include "agent/admin/probe_url.h"
#include "agent/core/limits.h"

namespace sallyport::admin {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using boost::system::error_code;

std::string header_of(const Request& request, std::string_view name) {
  for (const auto& [key, value] : request.headers) {
    if (boost::beast::iequals(key, name)) return value;
  }
  return {};
}

// Those speak of kubelet's own connection, or are written anew.
bool is_of_connection(const std::string& name) {
  for (const char* one : {"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "TE",
                          "Trailer", "Upgrade", "Content-Length", "Expect", "Host"}) {
    if (boost::beast::iequals(name, one)) return true;
  }
  return false;
}

// Kubelet names the status port where it names no host of its own: the application sees its own.
std::string authority_for(const ProbeCall& call) {
  std::string given = header_of(call.request, "Host");
  const std::string suffix = ":" + std::to_string(call.options.status_port);
  if (!given.ends_with(suffix)) return given;
  return given.substr(0, given.size() - suffix.size()) + ":" + std::to_string(call.probe.port);
}

class HttpProbe : public std::enable_shared_from_this<HttpProbe> {
public:
  HttpProbe(asio::io_context& io, ProbeCall call) : io_(io), call_(std::move(call)) {
    url_ = {.https = call_.probe.https,
            .host = call_.options.destination.text(),
            .port = call_.probe.port,
            .target = call_.probe.path};
    authority_ = authority_for(call_);
  }
  void start();

private:
  // One of the two; TLS only where the probe says HTTPS.
  template <class Use>
  void on_stream(Use use) {
    if (secure_) {
      use(*secure_);
    } else {
      use(*plain_);
    }
  }
  bool open();
  void handshake();
  void send();
  void receive_head();
  void received_head(error_code error);
  void receive_body();
  void follow(const std::string& location);
  void finish(Response response);
  void fail(const std::string& what, error_code error) { finish(failed_probe(what, error)); }

  asio::io_context& io_;
  ProbeCall call_;
  ProbeUrl url_;
  std::string authority_;
  int redirects_ = 0;
  std::optional<ssl::context> tls_;
  std::optional<boost::beast::tcp_stream> plain_;
  std::optional<ssl::stream<boost::beast::tcp_stream&>> secure_;
  boost::beast::flat_buffer buffer_{limits::app_probe_head_bytes};
  http::request<http::empty_body> request_;
  std::optional<http::response_parser<http::string_body>> parser_;
};

bool HttpProbe::open() {
  secure_.reset();
  plain_.emplace(io_);
  if (const auto error = prepare_stream(*plain_, call_)) {
    fail("", error);
    return false;
  }
  if (!url_.https) return true;
  if (!tls_) {
    // Unverified, as kubelet's own: it checks that the application answers, not who it is.
    tls_.emplace(ssl::context::tls_client);
    tls_->set_verify_mode(ssl::verify_none);
  }
  secure_.emplace(*plain_, *tls_);
  return true;
}

void HttpProbe::start() {
  if (!open()) return;
  plain_->async_connect(probe_endpoint(call_.options.destination, url_.port),
                        [self = shared_from_this()](error_code error) {
                          if (error) return self->fail("connect", error);
                          if (self->secure_) return self->handshake();
                          self->send();
                        });
}

void HttpProbe::handshake() {
  secure_->async_handshake(ssl::stream_base::client, [self = shared_from_this()](error_code error) {
    if (error) return self->fail("TLS handshake", error);
    self->send();
  });
}

void HttpProbe::send() {
  request_ = {};
  request_.method(http::verb::get);
  request_.target(url_.target);
  request_.version(11);
  request_.set(http::field::host, authority_);
  for (const auto& [name, value] : call_.request.headers) {
    if (!is_of_connection(name)) request_.insert(name, value);
  }
  request_.keep_alive(false);
  on_stream([this](auto& stream) {
    http::async_write(stream, request_, [self = shared_from_this()](error_code error, std::size_t) {
      if (error) return self->fail("send", error);
      self->buffer_.clear();
      self->receive_head();
    });
  });
}

void HttpProbe::receive_head() {
  parser_.emplace();
  parser_->header_limit(limits::app_probe_head_bytes);
  parser_->body_limit(boost::none);  // receive_body() stops in time
  on_stream([this](auto& stream) {
    http::async_read_header(
        stream, buffer_, *parser_,
        [self = shared_from_this()](error_code error, std::size_t) { self->received_head(error); });
  });
}

void HttpProbe::received_head(error_code error) {
  if (error) return fail("read the answer", error);
  const auto& answer = parser_->get();
  const unsigned status = answer.result_int();
  if (status < 200 && status != 101) return receive_head();  // 100 Continue and its like
  if (status < 300 || status >= 400) return receive_body();
  const bool followed =
      status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
  const std::string location(answer[http::field::location]);
  if (!followed || location.empty()) return finish({200, ""});
  follow(location);
}

void HttpProbe::follow(const std::string& location) {
  const auto to = redirected(url_, location);
  if (!to) return finish({500, "the application's Location can't be followed\n"});
  if (to->host != url_.host) return finish({200, ""});
  if (++redirects_ >= limits::app_probe_redirects) {
    return finish({500, "stopped after " + std::to_string(redirects_) + " redirects\n"});
  }
  url_ = *to;
  if (!url_.authority.empty()) authority_ = url_.authority;
  start();
}

void HttpProbe::receive_body() {
  auto& body = parser_->get().body();
  if (parser_->is_done() || body.size() >= limits::app_probe_body_bytes) {
    body.resize(std::min(body.size(), limits::app_probe_body_bytes));
    return finish({static_cast<int>(parser_->get().result_int()), std::move(body)});
  }
  on_stream([this](auto& stream) {
    http::async_read_some(stream, buffer_, *parser_,
                          [self = shared_from_this()](error_code error, std::size_t) {
                            if (!error) return self->receive_body();
                            // The status is known: what there is of the body goes with it.
                            auto& answer = self->parser_->get();
                            self->finish({static_cast<int>(answer.result_int()), answer.body()});
                          });
  });
}

void HttpProbe::finish(Response response) {
  if (plain_) plain_->close();
  if (const auto done = std::exchange(call_.done, nullptr)) done(std::move(response));
}

}  // namespace

void run_http_probe(asio::io_context& io, ProbeCall call) {
  std::make_shared<HttpProbe>(io, std::move(call))->start();
}

}  // namespace sallyport::admin
