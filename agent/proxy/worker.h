// One worker: a thread's loop, listening sockets, resolver, upstreams, log writer and counters.
// Nothing of it is shared with another worker; what it reads of the process (snapshot, secrets) is
// immutable and replaced whole.
//
// Threading: constructed and destroyed by the main thread while run() is not running; everything
// else on the thread in run(), but stop(), drain() and post().
#pragma once
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "agent/core/published.h"
#include "agent/http/local_reply.h"
#include "agent/http/request_id.h"
#include "agent/mesh/snapshot.h"
#include "agent/net/listener.h"
#include "agent/net/loop.h"
#include "agent/observe/access_log.h"
#include "agent/observe/egress.h"
#include "agent/observe/metrics.h"
#include "agent/observe/standard_metrics.h"
#include "agent/proxy/gateway_tls.h"
#include "agent/proxy/header_values.h"
#include "agent/proxy/kept.h"
#include "agent/proxy/mesh_tls.h"
#include "agent/proxy/tcp_meter.h"
#include "agent/upstream/upstreams.h"
#include "dns/proxy.h"
#include "dns/resolver.h"

namespace sallyport::proxy {

class Worker {
public:
  struct Sources {  // outlive the worker
    const Published<mesh::Snapshot>& snapshots;
    const Published<certs::Vault>& vault;
    observe::AccessLog& access_log;
    observe::WorkerMetrics& metrics;
  };
  // Listening sockets, one of each address a worker (SO_REUSEPORT); taken over.
  struct Sockets {
    std::vector<int> outbound, inbound;
  };

  Worker(const Sources& sources, const Sockets& sockets, dns::ResolverOptions dns);
  ~Worker();  // ends every connection
  Worker(const Worker&) = delete;

  // Answers DNS questions on `sockets`, too, which it takes over. REQUIRES: before run().
  void answer_dns(dns::ProxySockets sockets, dns::ForwarderOptions options);
  // Remembers where the application talks to beyond the registry (--learn). REQUIRES: before
  // answer_dns() and run().
  void learn(observe::EgressTable::AskOwner ask);
  void run();   // until stop()
  void stop();  // any thread
  struct Drain {
    bool inbound_only = false;    // what the application sends goes on as it was
    bool stop_accepting = false;  // the listening sockets are closed; connections stay
  };
  // Any thread. HTTP answers on what is drained say `connection: close`; with outbound, idle
  // upstreams are closed, too. May be called again to add to it.
  void drain(const Drain& what);
  void post(std::function<void()> job);  // any thread: runs on the worker's
  // Of a gateway, any thread: takes connections from `listening_fd`, which it takes over, until
  // stop_listening() for the same address. Those that are open stay.
  void listen(int listening_fd, const SocketAddress& at);
  void stop_listening(const SocketAddress& at);
  void await_first_bytes(const SocketAddress& at, bool wanted);  // see net::Listener

  net::Loop& loop() { return loop_; }
  const mesh::SnapshotPtr& snapshot() { return snapshots_.get(); }  // the newest
  // What snapshot() gave last: for steps of one decision, which all hold on to the same.
  const mesh::SnapshotPtr& seen_snapshot() const { return snapshots_.seen(); }
  upstream::Upstreams& upstreams() { return upstreams_; }
  observe::AccessLog::Writer& log() { return *log_; }
  observe::WorkerMetrics& metrics() { return metrics_; }
  observe::StandardMetrics& standard_metrics() {  // that follow the newest snapshot
    if (const auto& newest = snapshot()) standard_metrics_.follow(*newest);
    return standard_metrics_;
  }
  observe::EgressTable* egress() { return egress_.get(); }  // null: nothing is learned
  TcpMeters& tcp_meters() { return tcp_meters_; }
  http::RequestIds& request_ids() { return request_ids_; }
  HeaderValues& header_values() { return header_values_; }
  MeshTls& mesh_tls() { return mesh_tls_; }
  GatewayTls& gateway_tls() { return gateway_tls_; }
  KeptConnections& kept() { return kept_; }
  void count(const mesh::AuthorizationAnswer& answer);
  http::HttpDate& date() { return date_; }
  const IpAddress& own_address() const { return own_address_; }  // the pod's; unset: not known
  uint32_t random();  // for balancing and shares of requests, not for secrets
  bool draining(bool inbound) const { return inbound ? draining_inbound_ : draining_outbound_; }
  std::size_t connections() const { return loop_.spawned(); }

private:
  enum class Door : uint8_t { outbound, inbound, gateway };
  void accepted(net::Stream client, Door door);
  std::unique_ptr<net::Listener> listener(int fd, Door door);

  observe::WorkerMetrics& metrics_;
  observe::StandardMetrics standard_metrics_{metrics_.series};
  std::unique_ptr<observe::AccessLog::Writer> log_;
  const Published<mesh::Snapshot>& published_;
  Published<mesh::Snapshot>::Reader snapshots_;
  net::Loop loop_;
  HeaderValues header_values_;
  MeshTls mesh_tls_;
  GatewayTls gateway_tls_;
  KeptConnections kept_;
  TcpMeters tcp_meters_;
  dns::Resolver resolver_;
  upstream::Upstreams upstreams_;
  std::unique_ptr<observe::EgressTable> egress_;
  std::unique_ptr<dns::Proxy> dns_proxy_;  // null: DNS is not captured
  std::shared_ptr<void> tick_;
  std::vector<std::unique_ptr<net::Listener>> outbound_listeners_, inbound_listeners_;
  std::unordered_map<SocketAddress, std::unique_ptr<net::Listener>, AddressHash> gateway_listeners_;
  http::RequestIds request_ids_;
  http::HttpDate date_;
  IpAddress own_address_;
  uint64_t seen_version_ = 0;
  bool draining_inbound_ = false, draining_outbound_ = false, stopped_accepting_ = false;
  uint64_t random_state_;
};

}  // namespace sallyport::proxy
