// An echo server on 127.0.0.1 or a unix socket for tests, with TLS or without, on threads of its
// own. It remembers whom it met.
//
//   test::TlsServer server({.certificate = ca.issue({.dns = {"a.test"}}), .client_ca_pem =
//   ca.pem()}); server.address(), server.accepted(), server.seen()
#pragma once
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/core/address.h"
#include "tests/support/test_certs.h"

namespace sallyport::test {

class TlsServer {
public:
  struct Options {
    std::optional<Issued> certificate = {};  // none: plaintext
    std::string client_ca_pem = {};          // not empty: a client certificate from it is required
    bool silent = false;                     // accepts, and never says a word
  };
  struct Seen {
    std::string sni, client;  // client: the certificate's common name
    bool resumed = false;
    std::string alpn = {};  // as offered, with commas; none is chosen
  };

  explicit TlsServer(Options options, SocketAddress at = {*IpAddress::parse("127.0.0.1"), 0})
      : options_(std::move(options)) {
    if (options_.certificate) context_ = make_context();
    sockaddr_storage storage{};
    const socklen_t size = at.fill(storage);
    listening_ = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listening_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listening_, reinterpret_cast<sockaddr*>(&storage), size) != 0) std::abort();
    if (listen(listening_, 1024) != 0) std::abort();
    socklen_t length = sizeof storage;
    getsockname(listening_, reinterpret_cast<sockaddr*>(&storage), &length);
    address_ = at.is_unix() ? at : SocketAddress::from(reinterpret_cast<sockaddr*>(&storage));
    stop_ = eventfd(0, EFD_CLOEXEC);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~TlsServer() {
    const uint64_t one = 1;
    [[maybe_unused]] const auto written = write(stop_, &one, sizeof one);
    acceptor_.join();
    close_all();
    for (auto& served : connections_) served.join();
    close(listening_);
    close(stop_);
    SSL_CTX_free(context_);
  }
  TlsServer(const TlsServer&) = delete;

  SocketAddress address() const { return address_; }
  int accepted() const { return accepted_; }
  std::vector<Seen> seen() const {  // one a handshake (TLS only), in order
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  void close_all() {  // the connections that are open; new ones are welcome
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }
  void say_unasked(std::string_view bytes) {  // plaintext only: to every open connection
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

private:
  SSL_CTX* make_context() const {
    SSL_CTX* context = SSL_CTX_new(TLS_server_method());
    const detail::Bio chain(BIO_new_mem_buf(options_.certificate->chain_pem.data(), -1));
    const detail::Certificate leaf(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr),
                                   X509_free);
    SSL_CTX_use_certificate(context, leaf.get());
    while (X509* more = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)) {
      SSL_CTX_add0_chain_cert(context, more);
    }
    ERR_clear_error();
    const detail::Bio key_bio(BIO_new_mem_buf(options_.certificate->key_pem.data(), -1));
    const detail::Key key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr),
                          EVP_PKEY_free);
    SSL_CTX_use_PrivateKey(context, key.get());
    SSL_CTX_set_alpn_select_cb(context, note_alpn, nullptr);
    static const unsigned char id[] = "test";
    SSL_CTX_set_session_id_context(context, id, sizeof id);
    if (!options_.client_ca_pem.empty()) {
      const detail::Bio ca_bio(BIO_new_mem_buf(options_.client_ca_pem.data(), -1));
      const detail::Certificate ca(PEM_read_bio_X509(ca_bio.get(), nullptr, nullptr, nullptr),
                                   X509_free);
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca.get());
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    return context;
  }

  void accept_all() {
    for (;;) {
      pollfd fds[] = {{listening_, POLLIN, 0}, {stop_, POLLIN, 0}};
      poll(fds, 2, -1);
      if (fds[1].revents) return;
      const int fd = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      ++accepted_;
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
      connections_.emplace_back([this, fd] { serve(fd); });
    }
  }
  void serve(int fd) {
    sigset_t broken_pipe;  // OpenSSL writes without MSG_NOSIGNAL; only this thread shall not mind
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    if (options_.silent) {
      pollfd wait{fd, POLLRDHUP, 0};
      poll(&wait, 1, -1);
    } else if (context_) {
      serve_tls(fd);
    } else {
      char bytes[4096];
      for (ssize_t n; (n = recv(fd, bytes, sizeof bytes, 0)) > 0;) {
        send(fd, bytes, static_cast<std::size_t>(n), MSG_NOSIGNAL);
      }
    }
    const std::lock_guard lock(mutex_);
    std::erase(open_, fd);
    close(fd);
  }
  static std::string& offered() {  // in the handshake of this thread
    thread_local std::string text;
    return text;
  }
  static int note_alpn(SSL*, const unsigned char**, unsigned char*, const unsigned char* names,
                       unsigned size, void*) {
    offered().clear();
    for (unsigned at = 0; at < size; at += names[at] + 1u) {
      if (!offered().empty()) offered() += ",";
      offered().append(reinterpret_cast<const char*>(names + at + 1), names[at]);
    }
    return SSL_TLSEXT_ERR_NOACK;
  }
  void serve_tls(int fd) {
    offered().clear();
    SSL* ssl = SSL_new(context_);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
      remember(ssl);
      char bytes[4096];
      for (int n; (n = SSL_read(ssl, bytes, sizeof bytes)) > 0;) SSL_write(ssl, bytes, n);
    }
    ERR_clear_error();
    SSL_free(ssl);
  }
  void remember(SSL* ssl) {
    Seen seen;
    if (const char* sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) seen.sni = sni;
    seen.alpn = offered();
    seen.resumed = SSL_session_reused(ssl) == 1;
    if (X509* client = SSL_get0_peer_certificate(ssl)) {
      char name[256] = {};
      X509_NAME_get_text_by_NID(X509_get_subject_name(client), NID_commonName, name, sizeof name);
      seen.client = name;
    }
    const std::lock_guard lock(mutex_);
    seen_.push_back(seen);
  }

  const Options options_;
  SSL_CTX* context_ = nullptr;
  int listening_ = -1, stop_ = -1;
  SocketAddress address_;
  std::atomic<int> accepted_{0};
  mutable std::mutex mutex_;
  std::vector<int> open_;
  std::vector<Seen> seen_;
  std::vector<std::thread> connections_;
  std::thread acceptor_;
};

}  // namespace sallyport::test
