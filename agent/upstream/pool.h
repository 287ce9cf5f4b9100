// Idle connections to one endpoint with one TLS identity, and the endpoint that has such pools.
// Where servers learn who the client is, by the PROXY protocol or by TPROXY's addresses, each
// serves that client alone.
//
// Threading: its worker's. Ownership: an idle connection's Place refers back to its pool; retire()
// ends that ring, so whoever owns an Endpoint retires it before letting go of it. Limits:
// limits::pool_idle_per_key; the oldest is closed first.
#pragma once
#include <memory>
#include <unordered_map>
#include <vector>

#include "agent/core/boxed.h"
#include "agent/upstream/identity.h"
#include "agent/upstream/upstreams.h"
#include "dns/wait_list.h"

namespace sallyport::upstream {

using Clock = net::Loop::Clock;

class OutlierDetector;  // upstream/outlier.h

// A cluster's connections and requests on this worker, for its circuit breakers. Outlives the
// runtime by the connections that are out.
struct Load {
  explicit Load(net::Loop& on);
  ~Load();
  Load(const Load&) = delete;
  bool full() const { return out >= max_requests; }

  net::Loop& loop;
  std::size_t connections = 0;  // open or being opened, idle ones included
  std::size_t out = 0;          // HTTP ones of them that are not idle: requests under way
  std::size_t retries = 0;      // requests that are being tried again (RetrySlot)
  std::size_t max_requests = SIZE_MAX;
  std::size_t pending = 0;                   // requests without a connection
  dns::WaitList freed;                       // woken when a connection has become idle or is gone
  std::unique_ptr<OutlierDetector> outlier;  // null: the cluster has no outlier detection
};

class Pool {
public:
  Pool(const mesh::Cluster& cluster, IdentityPtr as)
      : identity(std::move(as)),
        idle_time_(cluster.http_idle),
        max_age_(cluster.load ? cluster.load->max_connection_duration : idle_time_.zero()),
        max_requests_(cluster.max_requests_per_connection) {}
  Pool(const Pool&) = delete;

  // The one given back last that is still alive; dead ones on the way are closed. Empty: none. No
  // allocation.
  Connection take(Clock::time_point now);
  // The same of those that serve `client` alone (null: nobody in particular).
  Connection take_of(const ClientAddresses* client, Clock::time_point now);
  void close_oldest();                                      // that is idle; nothing where none is
  void keep(Connection connection, Clock::time_point now);  // one more request was served on it
  void retire();                      // closes what is idle; later ones are not kept
  void sweep(Clock::time_point now);  // closes what has ended or was idle for too long
  bool retired() const { return retired_; }
  std::size_t idle() const { return idle_.size(); }

  // Null: plaintext, since the cluster has no TLS, or this endpoint takes no mutual TLS and the
  // cluster's is automatic.
  const IdentityPtr identity;
  tls::SessionSlot sessions;
  Clock::time_point last_used{};
  std::size_t open = 0;  // connections, idle ones included

private:
  // Copies: a pool may outlive its cluster by the connections that are out.
  const std::chrono::milliseconds idle_time_, max_age_;  // max_age_ 0: none
  const std::optional<uint32_t> max_requests_;
  bool worn_out(const Place& place, Clock::time_point now) const;
  bool serves(Connection& connection, Clock::time_point now) const;

  std::vector<Connection> idle_;  // newest last
  bool retired_ = false;
};

// What is known of an endpoint whose cluster has a LoadPolicy that chooses.
struct Health {
  uint32_t errors_5xx = 0, gateway_errors = 0, local_failures = 0;  // in a row
  uint32_t ejections = 0;  // of late; what the time of the next is multiplied with
  bool ejected = false;
  Clock::time_point ejected_at{};
  Clock::time_point since{};  // first seen
  uint64_t list = 0;          // the balancer's last that it was in
};

class Endpoint {
public:
  // `in`: index in LoadPolicy::groups.
  // `mesh`: it takes Istio's mutual TLS.
  Endpoint(SocketAddress at, uint32_t share, uint16_t in = 0, bool mesh = false)
      : address(at), weight(share), group(in), mesh_tls(mesh) {}
  Endpoint(const Endpoint&) = delete;
  // REQUIRES: `identity` is null exactly when speaks_tls() says no.
  const std::shared_ptr<Pool>& pool(const mesh::Cluster& cluster, const IdentityPtr& identity);
  Pool* find(const Identity* identity);
  // Whether its connections have TLS of ours.
  bool speaks_tls(const mesh::TlsOrigination& tls) const {
    return tls.mode != mesh::Originate::none && (!tls.automatic || mesh_tls);
  }
  void retire();  // all pools, which it forgets
  void retire(const Identity* identity);
  void sweep(Clock::time_point now);  // pools too that were unused for limits::upstream_unused
  std::size_t idle() const;
  bool unused() const { return active == 0 && pools_.empty(); }

  SocketAddress address;  // of a logical one: where new connections go
  uint32_t weight;
  uint16_t group;
  const bool mesh_tls;
  std::size_t active = 0;          // connections handed out, or being opened
  std::unique_ptr<Health> health;  // null: nobody asks

private:
  std::unordered_map<const Identity*, std::shared_ptr<Pool>> pools_;
};

// What a Connection carries along: made once a connection, so that pooling it allocates nothing.
struct Place {
  // `http`: the connection is a request's while it is out.
  Place(std::shared_ptr<Endpoint> at, std::shared_ptr<Pool> from, std::shared_ptr<Load> of,
        observe::WorkerMetrics& counters, bool http);
  ~Place();
  Place(const Place&) = delete;
  void hand_out();
  void put_away();

  std::shared_ptr<Endpoint> endpoint;
  std::shared_ptr<Pool> pool;
  std::shared_ptr<Load> load;
  observe::WorkerMetrics& metrics;
  const Clock::time_point opened;
  const std::size_t requests;     // of Load::out: 0 or 1
  Boxed<ClientAddresses> client;  // whom alone it serves (Runtime::served_alone); none: anybody
  Clock::time_point idle_since{};
  bool buffers_released = false;
  bool out = true;
};

}  // namespace sallyport::upstream
