// The downstream side of a captured connection: its stream, what it dialled, and bytes read but not
// used yet.
#pragma once
#include "agent/core/address.h"
#include "agent/net/stream.h"
#include "agent/observe/metrics.h"
#include "agent/proxy/inbox.h"

namespace sallyport::proxy {

// Counts an open downstream connection for as long as it lives.
class ActiveConnection {
public:
  ActiveConnection() = default;
  explicit ActiveConnection(observe::WorkerMetrics& metrics) : metrics_(&metrics) {
    metrics.downstream_cx_total.add();
    metrics.downstream_cx_active.add();
  }
  ActiveConnection(ActiveConnection&& other) noexcept
      : metrics_(std::exchange(other.metrics_, nullptr)) {}
  ActiveConnection& operator=(ActiveConnection&& other) noexcept {
    std::swap(metrics_, other.metrics_);
    return *this;
  }
  ~ActiveConnection() {
    if (metrics_) metrics_->downstream_cx_active.sub();
  }

private:
  observe::WorkerMetrics* metrics_ = nullptr;
};

struct Client {
  net::Stream stream;
  SocketAddress destination;  // SO_ORIGINAL_DST
  Inbox inbox;
  ActiveConnection active = {};
  uint64_t id = 0;       // CONNECTION_ID
  bool inbound = false;  // came in from outside the pod
};

// Reads once into the inbox. Bytes read > 0; 0: the peer has ended or the inbox is full; -1:
// failed.
net::Task<ssize_t> read_more(Client& client);

// Says goodbye so that the last answer arrives: ends our direction, then reads and drops what the
// client still sends, for a bounded time and amount (closing with unread bytes would send a reset
// that can overtake the answer; RFC 9112 section 9.6).
net::Task<void> close_gently(Client& client);

// After client.stream.ended(): true when nobody is left to answer (a reset, or both directions
// closed), false when the client only half-closed. TCP alone can't tell; the kernel can, since the
// captured client's socket lives in this network namespace (sock_diag: a closed one has no owner).
// When it can't be asked, a client that ended counts as half-closed.
bool has_left(const Client& client);

}  // namespace sallyport::proxy
