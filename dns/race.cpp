#include "dns/race.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "agent/core/limits.h"
#include "agent/net/buffers.h"
#include "dns/codes.h"
#include "dns/framing.h"
#include "dns/response.h"

namespace sallyport::dns {
namespace {

constexpr std::size_t any_length = 65535;

// Connected, so that the kernel drops what others send and tells of a closed port; from a port of
// the kernel's choice, which a forger has to guess beside the id (RFC 5452 section 9.2).
int open_udp(const SocketAddress& server) {
  const int fd = ::socket(server.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fd;
  sockaddr_storage storage;
  const socklen_t size = server.fill(storage);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&storage), size) == 0) return fd;
  ::close(fd);
  return -1;
}

uint16_t random_id() { return static_cast<uint16_t>(arc4random()); }

std::string with_id(std::string query, uint16_t id) {
  query[0] = static_cast<char>(id >> 8);
  query[1] = static_cast<char>(id & 0xff);
  return query;
}

// Another server may know better: what it says is no answer to the question.
bool could_not_answer(const ResponseFacts& facts) {
  return facts.rcode == format_error || facts.rcode == server_failure ||
         facts.rcode == not_implemented || facts.rcode == refused;
}

}  // namespace

net::Task<void> Race::ask(std::shared_ptr<Race> self, SocketAddress server,
                          std::chrono::milliseconds time) {
  self->running_++;
  std::string response;
  if (!self->tcp_) {
    response = co_await self->ask_by_udp(server, time);
    // RFC 7766 section 5: the client has room for more than the server's datagrams, or asks again
    // by TCP, and then the answer is at hand.
    if (!response.empty() && read_response(response).truncated && !self->over_) {
      self->cut_ = response;
      auto whole = co_await self->ask_by_tcp(server, limits::dns_proxy_try);
      if (!whole.empty()) response = std::move(whole);
    }
  } else {
    response = co_await self->ask_by_tcp(server, time);
  }
  self->running_--;
  if (!response.empty()) self->responded_.push_back(server);
  self->take(std::move(response));
  self->news_.wake_all(self->loop_);
}

net::Task<void> Race::news(std::shared_ptr<Race> self) { co_await self->news_.wait(); }

void Race::take(std::string response) {
  if (response.empty() || won()) return;
  auto& into = could_not_answer(read_response(response)) ? failure_ : response_;
  into = std::move(response);
}

// What waits is resumed within expire(), and may not add a stream any more: `over_` comes first.
void Race::end() {
  over_ = true;
  for (auto& stream : streams_) stream.expire();
}

bool Race::has_responded(const SocketAddress& server) const {
  return std::find(responded_.begin(), responded_.end(), server) != responded_.end();
}

std::string Race::take_response() {
  if (won()) return std::move(response_);
  return std::move(cut_.empty() ? failure_ : cut_);
}

// A datagram that answers the question. nullopt: none is there yet. Empty: none will come, as the
// server's port is closed, or as somebody guesses (the next attempt has another port and id).
std::optional<std::string> Race::receive(Datagrams& from) const {
  const auto room = net::Buffers::take();
  while (from.forged < limits::dns_proxy_forged) {
    const ssize_t size = ::recv(from.fd, room.get(), net::Buffers::size, MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return std::nullopt;
    if (size < 0) break;
    const std::size_t got = std::min<std::size_t>(std::size_t(size), net::Buffers::size);
    if (!answers({room.get(), got}, from.id, query_, question_)) {
      from.forged++;
      continue;
    }
    std::string response(room.get(), got);
    if (std::size_t(size) > got) response[2] = static_cast<char>(response[2] | 0x02);  // TC
    return response;
  }
  return "";
}

net::Task<std::string> Race::ask_by_udp(SocketAddress server, std::chrono::milliseconds time) {
  const int fd = open_udp(server);
  if (fd < 0) co_return std::string();
  net::Stream& stream = streams_.emplace_back(loop_, fd);
  Datagrams datagrams{.fd = fd, .id = random_id()};
  const std::string query = with_id(query_, datagrams.id);
  stream.set_deadline(time);
  if (::send(fd, query.data(), query.size(), MSG_NOSIGNAL) < 0) co_return std::string();
  while (true) {
    co_await stream.ready(net::Want::read);
    if (over_ || stream.socket().timed_out) co_return std::string();
    auto response = receive(datagrams);
    if (response) co_return std::move(*response);
    stream.socket().readable = false;
  }
}

net::Task<std::string> Race::ask_by_tcp(SocketAddress server, std::chrono::milliseconds time) {
  auto connected = co_await net::connect(loop_, server, time);
  if (!connected || over_) co_return std::string();
  net::Stream& stream = streams_.emplace_back(std::move(*connected));
  stream.set_deadline(time);
  const uint16_t id = random_id();
  const std::string message = with_length(with_id(query_, id));
  if (!co_await stream.write_all(message)) co_return std::string();
  auto response = co_await read_message(stream, any_length);
  if (!response || !answers(*response, id, query_, question_)) co_return std::string();
  co_return std::move(*response);
}

}  // namespace sallyport::dns
