// A blocking TLS client for tests: plain OpenSSL over a TestSocket, so that our server meets
// another hand's work.
#pragma once
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/sockets.h"
#include "tests/support/test_certs.h"

namespace sallyport::test {

class TlsClient {
public:
  struct Options {
    std::optional<Issued> certificate = {};  // none is shown
    std::string sni = {};
    std::vector<std::string> alpn = {};
    SSL_SESSION* session = nullptr;  // to be resumed
  };

  // Whatever the server's certificate is, it is taken: that is the client's matter, not ours here.
  TlsClient(TestSocket socket, const Options& options)
      : socket_(std::move(socket)), context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) {
    if (options.certificate) use(*options.certificate);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), socket_.fd());
    if (!options.sni.empty()) SSL_set_tlsext_host_name(ssl_.get(), options.sni.c_str());
    std::string wire;
    for (const auto& name : options.alpn) (wire += char(name.size())) += name;
    SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                        unsigned(wire.size()));
    if (options.session) SSL_set_session(ssl_.get(), options.session);
  }
  ~TlsClient() { ERR_clear_error(); }

  bool handshake() { return SSL_connect(ssl_.get()) == 1; }
  bool send(std::string_view bytes) {
    return SSL_write(ssl_.get(), bytes.data(), int(bytes.size())) == int(bytes.size());
  }
  // Reads until the text ends so, or there is no more; in TLS 1.3 a refused client learns of it
  // here.
  std::string read_until(std::string_view ending) {
    std::string text;
    char byte;
    errno = 0;
    while (!text.ends_with(ending) && SSL_read(ssl_.get(), &byte, 1) == 1) text += byte;
    EXPECT_NE(errno, EAGAIN) << "neither bytes nor an end";
    return text;
  }
  std::string read_head() { return read_until("\r\n\r\n"); }
  std::string alpn() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  SSL* ssl() const { return ssl_.get(); }

private:
  void use(const Issued& issued) {
    const detail::Bio chain(BIO_new_mem_buf(issued.chain_pem.data(), int(issued.chain_pem.size())));
    for (bool first = true; X509* one = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr);
         first = false) {
      first ? SSL_CTX_use_certificate(context_.get(), one)
            : SSL_CTX_add1_chain_cert(context_.get(), one);
      X509_free(one);
    }
    const detail::Bio bio(BIO_new_mem_buf(issued.key_pem.data(), int(issued.key_pem.size())));
    const detail::Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr),
                          EVP_PKEY_free);
    SSL_CTX_use_PrivateKey(context_.get(), key.get());
    ERR_clear_error();
  }

  TestSocket socket_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, detail::FreeBy<SSL_free>> ssl_;
};

}  // namespace sallyport::test
