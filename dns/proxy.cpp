#include "dns/proxy.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "agent/net/errors.h"
#include "agent/net/listener.h"
#include "dns/answering.h"
#include "dns/framing.h"
#include "dns/message_walk.h"

namespace sallyport::dns {
namespace {

struct Peer {
  sockaddr_storage address;
  socklen_t size;
};

// What one system call reads and another sends.
struct Batch {
  std::array<mmsghdr, limits::dns_proxy_batch> heads;
  std::array<iovec, limits::dns_proxy_batch> places;
  std::array<Peer, limits::dns_proxy_batch> peers;
  std::array<std::array<char, limits::dns_proxy_message>, limits::dns_proxy_batch> messages;
  std::array<std::array<char, limits::dns_proxy_datagram>, limits::dns_proxy_batch> answers;
};

void send_to(int fd, const Peer& peer, std::string_view message) {
  // A datagram that can't be sent is one that was lost: the client asks again.
  (void)::sendto(fd, message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&peer.address), peer.size);
}

Result<int> open_udp_socket(const SocketAddress& at) {
  const int fd = ::socket(at.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int one = 1;
  sockaddr_storage storage;
  const socklen_t size = at.fill(storage);
  if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0 &&
      ::bind(fd, reinterpret_cast<const sockaddr*>(&storage), size) == 0) {
    return fd;
  }
  const int number = errno;
  if (fd >= 0) ::close(fd);
  Error error = net::error_of(number, "DNS proxy on " + at.text() + ": ", Side::local);
  error.fault = Fault::internal;
  return error;
}

}  // namespace

bool is_own_address(const IpAddress& ip) {
  auto socket = open_udp_socket(SocketAddress(ip, 0));
  if (socket) ::close(*socket);
  return socket.has_value();
}

Result<void> open_proxy_sockets(const SocketAddress& at, ProxySockets& into) {
  auto udp = open_udp_socket(at);
  if (!udp) return udp.error();
  into.udp.push_back(*udp);
  auto tcp = net::open_listening_socket(at);
  if (!tcp) return while_doing("DNS proxy", tcp.error());
  into.tcp.push_back(*tcp);
  return {};
}

struct Proxy::State {
  State(const Sources& sources, ForwarderOptions options)
      : loop(sources.loop),
        answering(sources.loop, sources.snapshots, sources.metrics, sources.egress,
                  std::move(options)) {}

  void receive(int fd);
  std::size_t answer(int fd, std::size_t received);
  net::Task<void> forward(int fd, Peer peer, std::string message, Question question);
  void accepted(net::Stream client);
  net::Task<void> serve(net::Stream client);

  // Level-triggered: what a batch leaves is told again in the next turn of the loop.
  struct Door final : net::EventSource {
    Door(State& of, int takes_over) : state(of), fd(takes_over) {}
    void on_events(uint32_t) override { state.receive(fd); }
    State& state;
    const int fd;
  };

  net::Loop& loop;
  Answering answering;
  using LongAnswer = std::array<char, limits::dns_proxy_tcp_answer>;
  std::unique_ptr<LongAnswer>
      answer_by_tcp;             // of one connection at a time: nothing waits meanwhile
  std::unique_ptr<Batch> batch;  // made with the first question: most pods never ask one here
  std::vector<std::shared_ptr<Door>> doors;
  std::vector<std::unique_ptr<net::Listener>> listeners;
  std::size_t sessions = 0;
};

Proxy::Proxy(const Sources& sources, ProxySockets sockets, ForwarderOptions options)
    : state_(std::make_unique<State>(sources, std::move(options))) {
  for (const int fd : sockets.udp) {
    state_->doors.push_back(std::make_shared<State::Door>(*state_, fd));
    sources.loop.watch(fd, EPOLLIN, *state_->doors.back());
  }
  for (const int fd : sockets.tcp) {
    state_->listeners.push_back(std::make_unique<net::Listener>(
        sources.loop, fd,
        [state = state_.get()](net::Stream client) { state->accepted(std::move(client)); }));
  }
}

Proxy::~Proxy() {
  for (auto& door : state_->doors) {
    ::close(door->fd);
    state_->loop.retire(std::move(door));
  }
}

void Proxy::State::receive(int fd) {
  if (!batch) batch = std::make_unique_for_overwrite<Batch>();
  Batch& b = *batch;
  for (std::size_t i = 0; i < limits::dns_proxy_batch; i++) {
    b.places[i] = {b.messages[i].data(), b.messages[i].size()};
    b.heads[i].msg_hdr = {
        &b.peers[i].address, sizeof b.peers[i].address, &b.places[i], 1, nullptr, 0, 0};
  }
  const int received =
      ::recvmmsg(fd, b.heads.data(), limits::dns_proxy_batch, MSG_DONTWAIT, nullptr);
  if (received <= 0) return;
  const std::size_t answered = answer(fd, std::size_t(received));
  std::size_t sent = 0;
  while (sent < answered) {
    const int count = ::sendmmsg(fd, b.heads.data() + sent, unsigned(answered - sent),
                                 MSG_DONTWAIT | MSG_NOSIGNAL);
    sent += count > 0 ? std::size_t(count) : 1;  // one that can't be sent is lost
  }
}

// The first heads are the answers that are at hand. Returns how many those are.
std::size_t Proxy::State::answer(int fd, std::size_t received) {
  Batch& b = *batch;
  std::size_t answered = 0;
  Question question;
  for (std::size_t i = 0; i < received; i++) {
    b.peers[i].size = b.heads[i].msg_hdr.msg_namelen;
    const std::span<const char> message(b.messages[i].data(), b.heads[i].msg_len);
    const auto [step, size] = answering.at_once(message, false, question, b.answers[answered]);
    if (step == Answering::Step::ask_servers)
      loop.spawn(forward(fd, b.peers[i], {message.data(), message.size()}, question));
    if (step != Answering::Step::answered) continue;
    b.places[answered] = {b.answers[answered].data(), size};
    b.heads[answered].msg_hdr = {
        &b.peers[i].address, b.peers[i].size, &b.places[answered], 1, nullptr, 0, 0};
    answered++;
  }
  return answered;
}

net::Task<void> Proxy::State::forward(int fd, Peer peer, std::string message, Question question) {
  const std::string response = co_await answering.by_servers(std::move(message), question, false);
  send_to(fd, peer, response);
}

void Proxy::State::accepted(net::Stream client) {
  if (sessions >= limits::dns_proxy_sessions) return client.abort();
  loop.spawn(serve(std::move(client)));
}

// RFC 7766: questions of one connection after each other, each message behind its length.
net::Task<void> Proxy::State::serve(net::Stream client) {
  struct Counted {
    std::size_t& count;
    explicit Counted(std::size_t& of) : count(of) { count++; }
    ~Counted() { count--; }
  } const counted(sessions);
  while (true) {
    client.set_deadline(limits::dns_proxy_idle);
    auto message = co_await read_message(client, limits::dns_proxy_message);
    if (!message) co_return;
    if (!answer_by_tcp) answer_by_tcp = std::make_unique_for_overwrite<LongAnswer>();
    Question question;
    const auto [step, size] = answering.at_once(*message, true, question, *answer_by_tcp);
    if (step == Answering::Step::ignore) co_return;
    std::string response(answer_by_tcp->data(), size);
    if (step == Answering::Step::ask_servers)
      response = co_await answering.by_servers(std::move(*message), question, true);
    client.set_deadline(limits::dns_proxy_idle);
    response = with_length(std::move(response));
    if (!co_await client.write_all(response)) co_return;
  }
}

}  // namespace sallyport::dns
