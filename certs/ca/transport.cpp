#include "certs/ca/transport.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "agent/core/address.h"
#include "certs/ca/connect_each.h"
#include "certs/ca/transport_accept.h"
#include "certs/describe.h"
#include "tls/verify.h"

namespace sallyport::ca {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Tcp = asio::ip::tcp;
using Unix = asio::local::stream_protocol;
using TlsStream = asio::ssl::stream<Tcp::socket>;

constexpr unsigned char h2[] = {2, 'h', '2'};

template <class Stream>
class StreamTransport : public Transport {
public:
  explicit StreamTransport(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}
  void read(void* into, std::size_t room, Done done) override {
    stream_->async_read_some(asio::buffer(into, room), std::move(done));
  }
  void write(const void* from, std::size_t size, Done done) override {
    asio::async_write(*stream_, asio::buffer(from, size), std::move(done));
  }
  void close() override {
    error_code ignored;
    stream_->lowest_layer().close(ignored);
  }
  std::vector<std::string> peer_uris() const override {
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      SSL* const ssl = stream_->native_handle();
      const X509* const peer = SSL_get0_peer_certificate(ssl);
      if (peer && SSL_get_verify_result(ssl) == X509_V_OK) return certs::describe(*peer).uris;
    }
    return {};
  }

private:
  std::unique_ptr<Stream> stream_;
};

template <class Stream>
std::unique_ptr<Transport> transport_of(std::unique_ptr<Stream> stream) {
  return std::make_unique<StreamTransport<Stream>>(std::move(stream));
}

Error transport_failed(const std::string& what, const error_code& why) {
  return {.fault = Fault::refused, .retryable = true, .context = what + ": " + why.message()};
}

// Why a handshake failed: what verification says is more than Asio's "certificate verify failed".
Error tls_failed(const std::string& what, TlsStream& stream, const error_code& why) {
  const long verified = SSL_get_verify_result(stream.native_handle());
  ERR_clear_error();
  std::string reason = why.message();
  if (why == asio::ssl::error::stream_truncated || why == asio::error::eof)
    reason = "the peer closed the connection";
  if (verified != X509_V_OK) reason = X509_verify_cert_error_string(verified);
  return {.fault = Fault::tls_handshake, .retryable = true, .context = what + ": " + reason};
}

bool speaks_h2(TlsStream& stream) {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(stream.native_handle(), &name, &size);
  return std::string_view(reinterpret_cast<const char*>(name), size) == "h2";
}

class Connecting : public Attempt, public std::enable_shared_from_this<Connecting> {
public:
  Connecting(asio::io_context& io, const GrpcTarget& target, Connected done)
      : io_(io), target_(target), done_(std::move(done)), resolver_(io) {}

  void start() {
    constexpr std::string_view unix_scheme = "unix://";
    if (target_.address.starts_with(unix_scheme))
      return connect_unix(target_.address.substr(unix_scheme.size()));
    const auto colon = target_.address.rfind(':');
    host_ = target_.address.substr(0, colon);
    if (host_.size() > 2 && host_.front() == '[') host_ = host_.substr(1, host_.size() - 2);
    const std::string port = target_.address.substr(std::min(colon + 1, target_.address.size()));
    resolver_.async_resolve(host_, port,
                            [self = shared_from_this()](const error_code& error, auto found) {
                              if (error)
                                return self->end(transport_failed("resolve " + self->host_, error));
                              self->connect_tcp(found);
                            });
  }

  void cancel() override {
    done_ = nullptr;
    error_code ignored;
    resolver_.cancel();
    if (connecting_) connecting_->cancel();
    if (tls_) tls_->lowest_layer().close(ignored);
    if (tcp_) tcp_->close(ignored);
    if (unix_) unix_->close(ignored);
  }

private:
  void end(Result<std::unique_ptr<Transport>> result) {
    if (const auto done = std::exchange(done_, nullptr)) done(std::move(result));
  }

  void connect_unix(const std::string& path) {
    constexpr std::size_t path_max = 107;  // sun_path
    if (path.empty() || path.size() > path_max) {
      return asio::post(io_, [self = shared_from_this()] {
        self->end(Error{.fault = Fault::refused,
                        .context = "connect " + self->target_.address + ": no path of a socket"});
      });
    }
    unix_ = std::make_unique<Unix::socket>(io_);
    unix_->async_connect(
        Unix::endpoint(path), [self = shared_from_this()](const error_code& error) {
          if (error) return self->end(transport_failed("connect " + self->target_.address, error));
          self->end(transport_of(std::move(self->unix_)));
        });
  }

  void connect_tcp(const Tcp::resolver::results_type& found) {
    if (!done_) return;
    std::vector<Tcp::endpoint> addresses;
    for (const auto& one : found) addresses.push_back(one.endpoint());
    connecting_ = connect_each(
        io_, std::move(addresses),
        [self = shared_from_this()](const error_code& error, Tcp::socket socket) {
          if (!self->done_) return;
          if (error) return self->end(transport_failed("connect " + self->target_.address, error));
          self->tcp_ = std::make_unique<Tcp::socket>(std::move(socket));
          if (!self->target_.tls) return self->end(transport_of(std::move(self->tcp_)));
          self->shake_hands();
        });
  }

  Result<void> prepare() {
    SSL* const ssl = tls_->native_handle();
    SSL_set_alpn_protos(ssl, h2, sizeof h2);
    X509_VERIFY_PARAM* const names = SSL_get0_param(ssl);
    if (IpAddress::parse(host_)) {
      X509_VERIFY_PARAM_set1_ip_asc(names, host_.c_str());
    } else {
      X509_VERIFY_PARAM_set_hostflags(names, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      X509_VERIFY_PARAM_set1_host(names, host_.data(), host_.size());
      SSL_set_tlsext_host_name(ssl, host_.c_str());
    }
    if (const auto& own = target_.certificate) {
      if (SSL_use_certificate(ssl, own->leaf()) != 1 || SSL_use_PrivateKey(ssl, own->key()) != 1)
        return Error{.fault = Fault::missing_secret, .context = certs::take_openssl_errors()};
      for (X509* one : own->intermediates()) SSL_add1_chain_cert(ssl, one);
    }
    return {};
  }

  // In the data plane's words. The name or address is among OpenSSL's own parameters.
  static int verify(X509_STORE_CTX* verification, void* self) {
    auto& connecting = *static_cast<Connecting*>(self);
    if (X509_verify_cert(verification) == 1) return 1;
    const int error = X509_STORE_CTX_get_error(verification);
    const X509* const leaf = X509_STORE_CTX_get0_cert(verification);
    const bool other_name =
        error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH;
    connecting.verify_failure_ = other_name && leaf
                                     ? "no SAN of the server certificate matches " +
                                           tls::list_text({connecting.host_}) + "; it has " +
                                           tls::alternative_names_text(certs::describe(*leaf))
                                     : tls::chain_failure(*verification);
    return 0;
  }

  void shake_hands() {
    asio::ssl::context context(asio::ssl::context::tls_client);
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
    SSL_CTX_set1_cert_store(context.native_handle(), target_.roots->store());
    SSL_CTX_set_mode(context.native_handle(), SSL_MODE_NO_AUTO_CHAIN);
    context.set_verify_mode(asio::ssl::verify_peer);
    SSL_CTX_set_cert_verify_callback(context.native_handle(), verify, this);
    tls_ = std::make_unique<TlsStream>(std::move(*tcp_), context);
    tcp_.reset();
    const std::string what = "TLS with " + target_.address;
    if (auto prepared = prepare(); !prepared) return end(while_doing(what, prepared.error()));
    tls_->async_handshake(
        asio::ssl::stream_base::client, [self = shared_from_this(), what](const error_code& error) {
          if (!self->done_) return;
          if (error && !self->verify_failure_.empty()) {
            ERR_clear_error();
            return self->end(
                Error{.fault = Fault::tls_verify,
                      .retryable = true,
                      .context = what + ": CERTIFICATE_VERIFY_FAILED: " + self->verify_failure_});
          }
          if (error) return self->end(tls_failed(what, *self->tls_, error));
          if (!speaks_h2(*self->tls_)) {
            return self->end(Error{.fault = Fault::protocol,
                                   .context = what + ": the server does not speak h2"});
          }
          self->end(transport_of(std::move(self->tls_)));
        });
  }

  asio::io_context& io_;
  const GrpcTarget target_;
  Connected done_;
  Tcp::resolver resolver_;
  std::string host_;
  std::string verify_failure_;  // why the server's certificate was refused
  std::shared_ptr<Attempt> connecting_;
  std::unique_ptr<Tcp::socket> tcp_;
  std::unique_ptr<Unix::socket> unix_;
  std::unique_ptr<TlsStream> tls_;
};

class Accepting : public Attempt, public std::enable_shared_from_this<Accepting> {
public:
  Accepting(Tcp::socket socket, std::shared_ptr<asio::ssl::context> context, Connected done)
      : context_(std::move(context)),
        done_(std::move(done)),
        tls_(std::make_unique<TlsStream>(std::move(socket), *context_)) {}

  void start() {
    tls_->async_handshake(asio::ssl::stream_base::server,
                          [self = shared_from_this()](const error_code& error) {
                            if (!self->done_) return;
                            if (error) return self->end(tls_failed("TLS", *self->tls_, error));
                            self->end(transport_of(std::move(self->tls_)));
                          });
  }
  void cancel() override {
    done_ = nullptr;
    error_code ignored;
    if (tls_) tls_->lowest_layer().close(ignored);
  }

private:
  void end(Result<std::unique_ptr<Transport>> result) {
    if (const auto done = std::exchange(done_, nullptr)) done(std::move(result));
  }
  std::shared_ptr<asio::ssl::context> context_;
  Connected done_;
  std::unique_ptr<TlsStream> tls_;
};

}  // namespace

std::shared_ptr<Attempt> connect(asio::io_context& io, const GrpcTarget& target, Connected done) {
  const auto attempt = std::make_shared<Connecting>(io, target, std::move(done));
  attempt->start();
  return attempt;
}

std::shared_ptr<Attempt> accept_tls(Tcp::socket socket, std::shared_ptr<asio::ssl::context> context,
                                    Connected done) {
  const auto attempt =
      std::make_shared<Accepting>(std::move(socket), std::move(context), std::move(done));
  attempt->start();
  return attempt;
}

}  // namespace sallyport::ca
