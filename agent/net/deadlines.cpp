#include "agent/net/deadlines.h"

#include "agent/net/socket.h"

namespace sallyport::net {

void Deadlines::file(Socket& socket) {
  removed(socket);
  if (socket.deadline == 0) return;
  socket.filed = socket.deadline;
  socket.insert_before(wheel_[socket.filed % slots]);
}

void Deadlines::removed(Socket& socket) {
  if (socket.filed == 0) return;
  socket.filed = 0;
  socket.unlink();
}

void Deadlines::expire(uint32_t tick, uint32_t now) {
  Link& slot = wheel_[tick % slots];
  Link due;  // Apart from the slot: what is filed again may come back to it.
  if (slot.alone()) return;
  due.insert_before(slot);
  slot.unlink();
  while (!due.alone()) {
    auto& socket = static_cast<Socket&>(*due.next);
    const bool late = socket.deadline != 0 && socket.deadline <= now;
    if (late) socket.deadline = 0;
    file(socket);
    if (late) {
      socket.expire();  // Whoever is woken may close this and other sockets.
    } else {
      socket.trim();
    }
  }
}

}  // namespace sallyport::net
