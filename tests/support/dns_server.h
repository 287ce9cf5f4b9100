// A DNS server on 127.0.0.1 (UDP and TCP on one port) whose answers a test scripts, lies included.
#pragma once
#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/core/address.h"

namespace sallyport::test {

namespace dns {

inline constexpr uint16_t type_a = 1, type_cname = 5, type_aaaa = 28;
inline constexpr int no_error = 0, server_failure = 2, no_such_name = 3;

struct Question {
  uint16_t id = 0;
  std::string name;  // lower case, without trailing dot
  uint16_t type = 0;
  bool tcp = false;
};

inline std::string u16(unsigned value) {
  return {static_cast<char>(value >> 8 & 0xff), static_cast<char>(value & 0xff)};
}
inline std::string u32(uint32_t value) { return u16(value >> 16) + u16(value & 0xffff); }

inline std::string wire_name(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const auto label = name.substr(0, name.find('.'));
    out += static_cast<char>(label.size());
    out += label;
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  return out + '\0';
}

struct Record {
  std::string name;
  uint16_t type = 0;
  uint32_t ttl = 0;
  std::string data;
};

inline Record address(std::string name, std::string_view ip, uint32_t ttl) {
  const auto parsed = IpAddress::parse(ip);
  const auto* bytes = reinterpret_cast<const char*>(parsed->bytes());
  return {std::move(name), parsed->is_v4() ? type_a : type_aaaa, ttl,
          std::string(bytes, parsed->is_v4() ? 4 : 16)};
}
inline Record alias(std::string name, std::string_view target, uint32_t ttl) {
  return {std::move(name), type_cname, ttl, wire_name(target)};
}

inline std::string wire(const Record& record) {
  return wire_name(record.name) + u16(record.type) + u16(1) + u32(record.ttl) +
         u16(static_cast<unsigned>(record.data.size())) + record.data;
}

// A response with the question repeated, recursion desired and available.
inline std::string reply(const Question& question, const std::vector<Record>& records,
                         int rcode = no_error, bool truncated = false) {
  std::string out = u16(question.id) + u16(0x8180u | (truncated ? 0x0200u : 0u) | unsigned(rcode));
  out += u16(1) + u16(static_cast<unsigned>(records.size())) + u16(0) + u16(0);
  out += wire_name(question.name) + u16(question.type) + u16(1);
  for (const Record& record : records) out += wire(record);
  return out;
}

}  // namespace dns

class DnsServer {
public:
  // Called on the server's thread; each string is sent as one message. None: silence.
  using Script = std::function<std::vector<std::string>(const dns::Question&)>;

  explicit DnsServer(Script script) : script_(std::move(script)) {
    // The port must be free for both; another program may have the TCP one.
    for (int tries = 0; !bind_both(); ++tries) {
      if (tries == 100) std::abort();
    }
    stop_ = eventfd(0, EFD_CLOEXEC);
    thread_ = std::thread([this] { serve(); });
  }
  ~DnsServer() {
    const uint64_t one = 1;
    [[maybe_unused]] const auto written = write(stop_, &one, sizeof one);
    thread_.join();
    for (const int fd : {udp_, tcp_, stop_}) close(fd);
  }
  DnsServer(const DnsServer&) = delete;

  SocketAddress address() const { return {*IpAddress::parse("127.0.0.1"), port_}; }
  int asked() const { return asked_; }  // questions so far, both families counted

private:
  bool bind_both() {
    for (const int fd : {udp_, tcp_}) {
      if (fd >= 0) close(fd);
    }
    udp_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    tcp_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(tcp_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    const auto* address = reinterpret_cast<sockaddr*>(&at);
    if (bind(udp_, address, size) != 0) return false;
    getsockname(udp_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    return bind(tcp_, address, size) == 0 && listen(tcp_, 16) == 0;
  }
  void serve() {
    for (;;) {
      pollfd fds[] = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}, {stop_, POLLIN, 0}};
      poll(fds, 3, -1);
      if (fds[2].revents) return;
      if (fds[0].revents) serve_datagram();
      if (fds[1].revents) serve_connection();
    }
  }
  void serve_datagram() {
    char bytes[2048];
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const auto n =
        recvfrom(udp_, bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 12) return;
    for (const auto& message : answers({bytes, static_cast<std::size_t>(n)}, false)) {
      sendto(udp_, message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }
  void serve_connection() {
    const int fd = accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
    unsigned char length[2];
    while (recv(fd, length, 2, MSG_WAITALL) == 2) {
      std::string bytes(std::size_t{length[0]} << 8 | length[1], '\0');
      if (recv(fd, bytes.data(), bytes.size(), MSG_WAITALL) != ssize_t(bytes.size())) break;
      for (const auto& message : answers(bytes, true)) {
        const auto framed = dns::u16(static_cast<unsigned>(message.size())) + message;
        send(fd, framed.data(), framed.size(), MSG_NOSIGNAL);
      }
    }
    close(fd);
  }
  std::vector<std::string> answers(std::string_view bytes, bool tcp) {
    ++asked_;
    const auto at = [bytes](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    dns::Question question;
    question.id = static_cast<uint16_t>(at(0) << 8 | at(1));
    question.tcp = tcp;
    std::size_t i = 12;
    while (at(i) != 0) {
      if (!question.name.empty()) question.name += '.';
      question.name += bytes.substr(i + 1, at(i));
      i += at(i) + 1u;
    }
    question.type = static_cast<uint16_t>(at(i + 1) << 8 | at(i + 2));
    return script_(question);
  }

  Script script_;
  int udp_ = -1, tcp_ = -1, stop_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> asked_{0};
  std::thread thread_;
};

}  // namespace sallyport::test
