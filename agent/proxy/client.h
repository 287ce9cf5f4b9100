// The downstream side of a captured connection: its stream, what it dialled, and bytes read but not
// used yet.
#pragma once
#include "agent/core/address.h"
#include "agent/net/stream.h"
#include "agent/observe/metrics.h"
#include "agent/proxy/inbox.h"
#include "agent/proxy/mesh_tls.h"
#include "agent/upstream/upstreams.h"

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

// What only a connection that comes in has: into the pod, or to a gateway.
struct InboundSide {
  bool mutual_tls = false;
  MeshPeer peer;    // with mutual TLS
  std::string sni;  // that it was asked by
  bool gateway = false;
  // Of a gateway:
  sniff::Protocol first = sniff::Protocol::opaque;  // what the first bytes were
  bool tls = false;                                 // ended here
  // Of the chain that took it: how TLS was ended, null: it wasn't; and whether by AUTO_PASSTHROUGH.
  mesh::TlsTerminationPtr terms = {};
  bool mesh_only = false;
  bool speaks_http = true;           // of a connection to an HTTP server
  std::string instead_of_http = {};  // what it speaks, for the log
  // What the PROXY protocol says that the client dialled; set where Client::told_source is.
  SocketAddress told_destination = {};
};

struct Client {
  net::Stream stream;
  SocketAddress destination;  // SO_ORIGINAL_DST; of a gateway its own address
  Inbox inbox;
  ActiveConnection active = {};
  uint64_t id = 0;                            // CONNECTION_ID
  std::unique_ptr<InboundSide> inbound = {};  // null: it leaves the pod

  // Of a gateway behind a load balancer that speaks the PROXY protocol: what that names. Unset: it
  // names nobody.
  SocketAddress told_source = {};
  // Made when an upstream that is told of clients is first asked for.
  std::unique_ptr<const upstream::ClientAddresses> addresses = {};
  // Who the client is: what was told, else the socket's peer.
  SocketAddress source() const { return told_source.is_set() ? told_source : stream.peer(); }
  // What the client dialled, as logs and policies are told: what was told, else `destination`.
  const SocketAddress& dialled() const {
    const bool told = inbound && inbound->told_destination.is_set();
    return told ? inbound->told_destination : destination;
  }
  bool of_gateway() const { return inbound && inbound->gateway; }
};

// Its connection as upstreams are told of it: as Envoy, nothing that a request says of where it
// comes from counts (X-Forwarded-For). The client owns what is returned.
const upstream::ClientAddresses* addresses_of(Client& client);

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
// When it can't be asked, a client that ended counts as half-closed. One from outside the pod has
// left: its socket is somewhere else, and Envoy takes any end of a downstream for leaving.
bool has_left(const Client& client);

}  // namespace sallyport::proxy
