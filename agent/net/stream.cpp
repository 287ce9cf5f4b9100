#include "agent/net/stream.h"

#include <sys/socket.h>

#include "agent/net/errors.h"

namespace sallyport::net {

Stream::Stream(Loop& loop, int fd) : socket_(loop.watch(fd, true)) {}

Stream Stream::accepted(Loop& loop, int fd) {
  Stream stream;
  stream.socket_ = loop.watch(fd, false);
  return stream;
}

IoStep Stream::try_read(std::span<char> into) { return socket_->read(into); }
IoStep Stream::try_write(std::span<iovec> pieces) { return socket_->write(pieces); }
bool Stream::more_at_hand() const { return socket_->more_at_hand(); }
bool Stream::seen_end() const { return socket_->ended; }
void Stream::start_tls(tls::SslPtr ssl) { socket_->start_tls(std::move(ssl)); }
bool Stream::is_tls() const { return socket_->ssl() != nullptr; }
SSL* Stream::ssl() const { return socket_->ssl(); }
void Stream::end_follows() { socket_->end_follows = true; }
void Stream::shutdown_write() { socket_->shutdown_write(); }

void Stream::abort() {
  if (socket_ == nullptr) return;
  const linger at_once{1, 0};
  setsockopt(socket_->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  Socket* const socket = std::exchange(socket_, nullptr);
  socket->loop.close(socket);
}

void Stream::close() {
  if (socket_ == nullptr) return;
  Socket* const socket = std::exchange(socket_, nullptr);
  if (!socket->ended) socket->close_notify();
  socket->loop.close(socket);
}

void Stream::set_deadline(std::chrono::milliseconds from_now) { socket_->set_deadline(from_now); }
void Stream::expire() {
  if (socket_ != nullptr) socket_->expire();
}
int Stream::fd() const { return socket_->fd; }
Loop& Stream::loop() const { return socket_->loop; }

SocketAddress Stream::peer() const {
  if (!socket_->peer.is_set()) socket_->peer = peer_of(socket_->fd);
  return socket_->peer;
}

SocketAddress Stream::local() const {
  if (!socket_->local.is_set()) socket_->local = local_of(socket_->fd);
  return socket_->local;
}

Error Stream::failure(Side side) const { return socket_->failure(side); }

}  // namespace sallyport::net
