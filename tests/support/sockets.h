// Blocking loopback sockets for tests: small. A read that waits for 20 s is a failure of the test:
// no end of a connection must be taken for one.
#pragma once
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "agent/core/address.h"

namespace sallyport::test {

class TestSocket {
public:
  explicit TestSocket(int fd = -1) : fd_(fd) {
    if (fd_ < 0) return;
    const timeval patience{20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  TestSocket(TestSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  TestSocket& operator=(TestSocket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~TestSocket() { close(); }

  static TestSocket listening(const char* ip = "127.0.0.1") {
    sockaddr_storage storage{};
    const socklen_t size = SocketAddress(*IpAddress::parse(ip), 0).fill(storage);
    TestSocket socket(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(socket.fd_, reinterpret_cast<sockaddr*>(&storage), size) || ::listen(socket.fd_, 64))
      std::abort();
    return socket;
  }
  static TestSocket connected(const SocketAddress& to) {
    sockaddr_storage storage{};
    const socklen_t size = to.fill(storage);
    TestSocket socket(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(socket.fd_, reinterpret_cast<sockaddr*>(&storage), size)) std::abort();
    return socket;
  }

  TestSocket accept() const { return TestSocket(::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC)); }
  SocketAddress local() const {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &size);
    return SocketAddress::from(reinterpret_cast<sockaddr*>(&storage));
  }
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(std::size_t(sent));
    }
    return true;
  }
  // Reads until `text` ends with `ending`, or the peer ends.
  std::string read_until(std::string_view ending) const {
    std::string text;
    char byte;
    while (!text.ends_with(ending) && receive(&byte, 1) == 1) text += byte;
    return text;
  }
  std::string read_head() const { return read_until("\r\n\r\n"); }
  std::string read_exactly(std::size_t count) const {
    std::string text(count, '\0');
    std::size_t have = 0;
    while (have < count) {
      const ssize_t got = receive(text.data() + have, count - have);
      if (got <= 0) break;
      have += std::size_t(got);
    }
    text.resize(have);
    return text;
  }
  std::string read_all() const {
    std::string text;
    char part[4096];
    for (ssize_t got; (got = receive(part, sizeof part)) > 0;) text.append(part, std::size_t(got));
    return text;
  }
  void shutdown_write() const { ::shutdown(fd_, SHUT_WR); }
  void reset() {
    const linger at_once{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int fd() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }

private:
  ssize_t receive(char* into, std::size_t size) const {
    const ssize_t got = ::recv(fd_, into, size, 0);
    EXPECT_FALSE(got < 0 && errno == EAGAIN) << "neither bytes nor an end";
    return got;
  }

  int fd_;
};

}  // namespace sallyport::test
