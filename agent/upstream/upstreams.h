// A worker's view of the clusters: endpoints (resolved), balancing, idle connections, TLS sessions,
// and the connector that joins them. One runtime a cluster and worker, made when first asked for
// and dropped after it was unused for a while.
//
// Threading: one a worker, its thread only. Ownership: owns idle connections; a Connection is owned
// by who acquired it
//            and may outlive this, but neither the loop nor the metrics.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/published.h"
#include "agent/mesh/cluster.h"
#include "agent/net/stream.h"
#include "agent/observe/metrics.h"
#include "certs/vault.h"
#include "dns/resolver.h"

namespace sallyport::upstream {

struct Load;   // a cluster's connections and requests; upstream/pool.h
struct Place;  // a connection's pool and its endpoint's active count; upstream/pool.h

// The client's connection, as a PROXY protocol header names it; of TPROXY's the source alone,
// without a port.
struct ClientAddresses {
  SocketAddress source, destination;
  bool operator==(const ClientAddresses&) const = default;
};

// What a request or connection brings along for choosing and opening.
struct Need {
  std::string_view authority;          // Host without port after routing: SNI and name to verify
                                       // (auto_sni); may be empty
  SocketAddress original_destination;  // for Discovery::original_dst
  bool http = true;                    // pooled connections may serve it
  bool fresh = false;                  // no pooled one (the last was closed under us)
  // Endpoints tried before: not again while others are left. acquire() adds the one that it could
  // not reach.
  std::vector<SocketAddress>* avoid = nullptr;
  // Of the request, for a cluster with consistent hashing (mesh/request_hash.h); unset: any
  // endpoint.
  std::optional<uint64_t> hash = {};
  // For a cluster of_clients(): whom its connections are opened for. They serve nobody else.
  // Null: nobody, as where a request is mirrored.
  const ClientAddresses* client = nullptr;
};

class Connection {
public:
  Connection() = default;
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();  // closes it, unless it was given back
  explicit operator bool() const { return bool(stream); }
  net::Stream stream;
  SocketAddress host;     // UPSTREAM_HOST
  SocketAddress local;    // UPSTREAM_LOCAL_ADDRESS
  bool reused = false;    // came from the pool
  uint32_t requests = 0;  // served on it so far; give_back() counts

private:
  friend class Upstreams;
  friend class Runtime;
  friend class Pool;
  std::shared_ptr<Place> place_;  // null: not from Upstreams
};

struct Failure {
  Error error;
  SocketAddress host;  // the endpoint that was tried; unset when none was
};
using Acquired = boost::system::result<Connection, Failure>;
[[noreturn]] void throw_exception_from_error(const Failure& failure, const boost::source_location&);

// One of the retries that a cluster may have under way; free again when this is destroyed.
class RetrySlot {
public:
  RetrySlot() = default;
  RetrySlot(RetrySlot&&) noexcept = default;
  RetrySlot& operator=(RetrySlot&& other) noexcept {
    load_.swap(other.load_);
    return *this;
  }
  ~RetrySlot();
  explicit operator bool() const { return load_ != nullptr; }

private:
  friend class Runtime;
  explicit RetrySlot(std::shared_ptr<Load> of);
  std::shared_ptr<Load> load_;
};

// Where the proxy itself takes captured connections: nobody is sent there.
struct OwnPorts {
  std::vector<IpAddress> addresses;  // the pod's; loopback goes without saying
  std::vector<uint16_t> ports;
};

class Upstreams {
public:
  struct Parts {
    net::Loop& loop;
    dns::Resolver& resolver;
    const Published<certs::Vault>& vault;
    observe::WorkerMetrics& metrics;
    OwnPorts own = {};
  };
  explicit Upstreams(Parts parts);
  ~Upstreams();
  Upstreams(const Upstreams&) = delete;

  // A pooled connection if there is one: no suspension, no allocation. Empty when a new one has to
  // be opened.
  Connection take_idle(const mesh::Cluster& cluster, const Need& need);
  // A pooled or new one: endpoint by the balancing policy, connect, TLS as the cluster says.
  // `cluster` and what `need` views must outlive the task. Fail closed: a cluster with TLS is never
  // reached in plaintext. Errors: the cluster's own refusal; no_endpoint (none configured, DNS gave
  // none); missing_secret (names the rule and the secret's problem); refused, timed_out,
  // tls_handshake, tls_verify, reset (retryable); overflow.
  net::Task<Acquired> acquire(mesh::ClusterPtr cluster, Need need);
  // Back into the pool: after a complete exchange on a connection that may be kept. Closed instead
  // when its cluster, endpoint or secret is no longer what it was, or when it has served
  // max_requests_per_connection. REQUIRES: no unread bytes.
  void give_back(Connection connection);
  // For outlier detection: what became of a request on the connection. `status` 0: no answer came,
  // or none that could be read. Failures to connect are known here. Does nothing where the cluster
  // detects no outliers.
  void report(const Connection& connection, int status);
  // Before a request is sent again: false when the cluster has as many retries under way as it may
  // (maxRetries, retryBudget). `slot`, which is kept until the request is over, stays empty where
  // there is no limit.
  bool begin_retry(const mesh::Cluster& cluster, RetrySlot& slot);
  void drain();  // closes all idle connections; later ones are not kept

  struct EndpointInfo {
    SocketAddress address;
    std::string state;
    std::size_t active = 0, idle = 0;
    uint32_t priority = 0;
    std::string locality = {};
  };
  struct ClusterInfo {
    std::string name;
    std::vector<EndpointInfo> endpoints;
    std::string problem;
  };
  std::vector<ClusterInfo> describe() const;  // for /clusters

private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::upstream
