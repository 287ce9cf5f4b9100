#include "agent/net/socket.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "agent/net/buffers.h"
#include "agent/net/errors.h"

namespace sallyport::net {
namespace {

// A read or write that found the socket full or empty; ENOTCONN comes from one that is still
// connecting.
bool would_block(int number) {
  return number == EAGAIN || number == EWOULDBLOCK || number == ENOTCONN;
}

std::size_t size_of(std::span<const iovec> pieces) {
  std::size_t size = 0;
  for (const iovec& piece : pieces) size += piece.iov_len;
  return size;
}

void consume(std::span<iovec>& pieces, std::size_t bytes) {
  while (!pieces.empty() && bytes >= pieces[0].iov_len) {
    bytes -= pieces[0].iov_len;
    pieces = pieces.subspan(1);
  }
  if (pieces.empty()) return;
  pieces[0].iov_base = static_cast<char*>(pieces[0].iov_base) + bytes;
  pieces[0].iov_len -= bytes;
}

}  // namespace

IoStep Socket::failed(int number) {
  error = static_cast<uint16_t>(number);
  ended = true;
  return {-1, Want::nothing};
}

IoStep Socket::transport_read(char* into, std::size_t size) {
  if (!readable) return {0, Want::read};
  const ssize_t got = ::recv(fd, into, size, 0);
  if (got > 0) {
    if (static_cast<std::size_t>(got) < size && !ended) readable = false;
    return {got, Want::nothing};
  }
  if (got == 0) {
    ended = true;
    // The kernel tells of a reset once; later it looks like an end.
    return {error != 0 ? -1 : 0, Want::nothing};
  }
  if (errno == EINTR) return transport_read(into, size);
  if (!would_block(errno)) return failed(errno);
  readable = false;
  return {0, Want::read};
}

IoStep Socket::transport_write(const char* from, std::size_t size) {
  iovec piece{const_cast<char*>(from), size};
  return plain_write({&piece, 1});
}

IoStep Socket::plain_write(std::span<iovec> pieces) {
  if (!writable) return {0, Want::write};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = std::min<std::size_t>(pieces.size(), 1024);  // IOV_MAX
  const int flags = MSG_NOSIGNAL | (end_follows ? MSG_MORE : 0);
  const ssize_t sent = pieces.size() == 1 ? ::send(fd, pieces[0].iov_base, pieces[0].iov_len, flags)
                                          : ::sendmsg(fd, &message, flags);
  if (sent >= 0) {
    if (static_cast<std::size_t>(sent) < size_of(pieces.first(message.msg_iovlen)) && !ended)
      writable = false;
    return {sent, Want::nothing};
  }
  if (errno == EINTR) return plain_write(pieces);
  if (!would_block(errno)) return failed(errno);
  writable = false;
  return {0, Want::write};
}

IoStep Socket::read(std::span<char> into) {
  if (!ssl_) return transport_read(into.data(), into.size());
  const IoStep step = tls_result(tls::read_step(*ssl_, into));
  // A close_notify whose FIN has not come: the end is there to be read again, as a FIN's is.
  if (step.want == Want::nothing && step.bytes == 0) readable = true;
  return step;
}

IoStep Socket::write(std::span<iovec> pieces) {
  return ssl_ ? tls_write(pieces) : plain_write(pieces);
}

IoStep Socket::write_all(std::span<iovec>& pieces) {
  for (consume(pieces, 0); !pieces.empty();) {
    const IoStep step = write(pieces);
    if (step.want != Want::nothing || step.bytes < 0) return step;
    consume(pieces, static_cast<std::size_t>(step.bytes));
  }
  return {1, Want::nothing};
}

// Several pieces go out as one record: a record a piece costs the peer a wake-up each. When it must
// be tried again the same bytes are gathered anew, as OpenSSL asks.
IoStep Socket::tls_write(std::span<iovec> pieces) {
  const auto one = [](const iovec& piece) {
    return std::span<const char>(static_cast<const char*>(piece.iov_base), piece.iov_len);
  };
  if (pieces.size() == 1 || pieces[0].iov_len >= Buffers::size) {
    return tls_result(tls::write_step(*ssl_, one(pieces[0])));
  }
  const auto gathered = Buffers::take();
  std::size_t size = 0;
  for (const iovec& piece : pieces) {
    const auto part = one(piece).first(std::min(piece.iov_len, Buffers::size - size));
    std::copy(part.begin(), part.end(), gathered.get() + size);
    size += part.size();
  }
  iovec whole{gathered.get(), size};
  return tls_write({&whole, 1});
}

IoStep Socket::handshake() {
  const IoStep step = tls_result(tls::handshake_step(*ssl_));
  established |= step.want == Want::nothing && step.bytes > 0;
  return step;
}

bool Socket::more_at_hand() const { return readable || (ssl_ && tls::bytes_at_hand(*ssl_)); }

void Socket::start_tls(tls::SslPtr ssl) {
  ssl_ = std::move(ssl);
  tls::attach(*ssl_, *this);
}

void Socket::close_notify() {
  if (ssl_ && error == 0 && !tls_failed) tls::shutdown_step(*ssl_);
}

void Socket::trim() {
  if (ssl_) tls::release_buffers(*ssl_);
}

void Socket::shutdown_write() {
  close_notify();
  ::shutdown(fd, SHUT_WR);
}

bool Socket::is_broken() const {
  pollfd about{fd, 0, 0};
  return poll(&about, 1, 0) != 0 && (about.revents & POLLERR) != 0;
}

Error Socket::failure(Side side) const {
  const SocketAddress known = peer.is_set() ? peer : peer_of(fd);
  const auto who = known.is_set() ? known.text() + ": " : std::string();  // unknown after a reset
  if (error != 0) {
    Error out = error_of(error, who, side);
    out.side = side;
    return ssl_ && !established ? while_doing("TLS handshake", std::move(out)) : out;
  }
  if (tls_failed) return tls::failure_of(*ssl_, side);
  if (timed_out) return {Fault::timed_out, side, false, who + "timed out", ""};
  return {Fault::reset, side, side == Side::upstream, who + "the peer closed the connection", ""};
}

void Socket::wait(Op& op, Want want) {
  if (want == Want::write && !watches_writing) loop.watch_writing(*this);
  Op** end = &waiting_[want == Want::write];
  while (*end != nullptr) end = &(*end)->next;  // In order: who waits again starves nobody.
  op.socket = this;
  op.next = nullptr;
  *end = &op;
}

void Socket::forget(Op& op) noexcept {
  for (Op*& list : waiting_) {
    for (Op** at = &list; *at != nullptr; at = &(*at)->next) {
      if (*at != &op) continue;
      *at = op.next;
      break;
    }
  }
  op.socket = nullptr;
}

void Socket::forget_all() noexcept {
  for (Op*& list : waiting_) {
    while (list != nullptr) forget(*list);
  }
}

void Socket::set_deadline(std::chrono::milliseconds from_now) {
  timed_out = false;
  if (from_now.count() <= 0) {
    deadline = 0;  // Its place in the wheel goes when it comes round: requests set and clear this
                   // all the time.
    return;
  }
  const auto ticks = std::min<int64_t>((from_now.count() - 1) / Loop::tick.count() + 1, 1 << 30);
  deadline = loop.ticks() + 1 + static_cast<uint32_t>(ticks);
  if (filed == 0 || deadline < filed) loop.file_deadline(*this);
}

void Socket::expire() {
  timed_out = true;
  wake(0);
  if (fd >= 0) wake(1);
}

void Socket::on_events(uint32_t epoll_events) {
  if (fd < 0) return;  // closed earlier in this batch
  const bool broken = (epoll_events & (EPOLLHUP | EPOLLERR)) != 0;
  if (broken || (epoll_events & EPOLLRDHUP) != 0) ended = true;
  if (broken || (epoll_events & (EPOLLIN | EPOLLRDHUP)) != 0) readable = true;
  if (broken || (epoll_events & EPOLLOUT) != 0) writable = true;
  if (readable) wake(0);
  if (writable) wake(1);
}

// At most two wait for one direction; who waits again meanwhile is not asked twice.
void Socket::wake(int direction) {
  int waiting = 0;
  for (const Op* op = waiting_[direction]; op != nullptr; op = op->next) waiting++;
  for (; waiting > 0 && waiting_[direction] != nullptr; waiting--) {
    Op& op = *waiting_[direction];
    waiting_[direction] = op.next;
    op.socket = nullptr;
    loop.run_op(op);
  }
}

}  // namespace sallyport::net
