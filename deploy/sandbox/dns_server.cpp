#include "deploy/sandbox/dns_server.h"

#include <sys/socket.h>

#include <array>

namespace sallyport::sandbox {

Result<void> DnsServer::listen(const IpAddress& ip) {
  for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
    sockaddr_storage storage = {};
    const socklen_t length = SocketAddress(ip, 53).fill(storage);
    UniqueFd fd(socket(storage.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd || bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0 ||
        (type == SOCK_STREAM && ::listen(fd.get(), 64) != 0)) {
      return system_error("DNS on " + ip.text());
    }
    const int number = fd.get();
    loop_.watch(number, POLLIN, [this, number, type](short) {
      type == SOCK_DGRAM ? answer_datagrams(number) : accept_from(number);
    });
    sockets_.push_back(std::move(fd));
  }
  return {};
}

void DnsServer::answer_datagrams(int fd) {
  std::array<uint8_t, 4096> query;
  sockaddr_storage peer = {};
  for (socklen_t length = sizeof peer;; length = sizeof peer) {
    const ssize_t bytes =
        recvfrom(fd, query.data(), query.size(), 0, reinterpret_cast<sockaddr*>(&peer), &length);
    if (bytes < 0) return;
    const auto answer =
        dns_answer({query.data(), static_cast<std::size_t>(bytes)}, zone_, dns_udp_bytes);
    if (!answer) continue;
    // A full socket buffer loses the answer, as UDP may; resolvers ask again.
    (void)sendto(fd, answer->data(), answer->size(), 0, reinterpret_cast<sockaddr*>(&peer), length);
  }
}

void DnsServer::accept_from(int fd) {
  UniqueFd peer(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!peer || connections_.size() >= connections_max) return;
  const int number = peer.get();
  connections_[number].fd = std::move(peer);
  loop_.watch(number, POLLIN, [this, number](short) {
    const auto connection = connections_.find(number);
    if (connection == connections_.end() || read_from(connection->second)) return;
    loop_.forget(number);
    connections_.erase(connection);
  });
}

bool DnsServer::read_from(Connection& connection) {
  std::array<uint8_t, 4096> buffer;
  const ssize_t bytes = recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
  if (bytes <= 0) return false;
  std::vector<uint8_t>& have = connection.bytes;
  have.insert(have.end(), buffer.begin(), buffer.begin() + bytes);
  while (have.size() >= 2) {
    const std::size_t length = static_cast<std::size_t>(have[0] << 8 | have[1]);
    if (have.size() < 2 + length) return true;
    auto answer = dns_answer({have.data() + 2, length}, zone_, dns_tcp_bytes);
    have.erase(have.begin(), have.begin() + 2 + static_cast<std::ptrdiff_t>(length));
    if (!answer) continue;
    const uint8_t size[] = {static_cast<uint8_t>(answer->size() >> 8),
                            static_cast<uint8_t>(answer->size())};
    answer->insert(answer->begin(), size, size + 2);
    const ssize_t sent = send(connection.fd.get(), answer->data(), answer->size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(answer->size())) return false;
  }
  return true;
}

}  // namespace sallyport::sandbox
