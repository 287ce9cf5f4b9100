// One cluster on one worker: its endpoints, its pools, its TLS identities, and how a connection to
// it is opened.
//
// Threading: its worker's. Ownership: held by Upstreams and by the tasks that open connections.
// Limits: limits::tls_identities_per_cluster, original_dst_endpoints.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>

#include "agent/mesh/snapshot.h"
#include "agent/upstream/discovery.h"
#include "agent/upstream/dynamic_hosts.h"
#include "agent/upstream/policy_balancer.h"

namespace sallyport::upstream {

class Runtime {
public:
  // `load`: shared with the DYNAMIC_DNS cluster that this one is a host of; null: its own.
  Runtime(std::shared_ptr<Shared> shared, mesh::ClusterPtr cluster,
          std::shared_ptr<Load> load = nullptr);
  ~Runtime();
  Runtime(const Runtime&) = delete;

  Connection take_idle(const Need& need);
  // `self` keeps the runtime for as long as the task lives.
  static net::Task<Acquired> open(std::shared_ptr<Runtime> self, Need need);
  // See Upstreams::begin_retry.
  bool begin_retry(RetrySlot& slot);
  void close_idle();
  // Once a second: secrets, idle connections, names whose TTL is over. False when the runtime may
  // go.
  bool sweep();
  Upstreams::ClusterInfo describe() const;
  bool in_use() const;  // has connections
  Clock::time_point last_used() const { return last_used_; }

private:
  struct Chosen {
    std::shared_ptr<Endpoint> endpoint;
    std::shared_ptr<Pool> pool;
  };
  struct Named {
    IdentityPtr identity;
    Clock::time_point last_used;
  };
  void set_policy();
  void follow_secrets();
  const IdentityPtr* known_identity(const Need& need);
  Result<IdentityPtr> identity_for(const Need& need);
  void forget_unused_identities();
  void make_room_for_identity();
  void retire(const Identity* identity);
  std::shared_ptr<Endpoint> choose(const Need& need);
  std::shared_ptr<Endpoint> original_destination(const Need& need,
                                                 bool make);  // null: unset, too many
  void report_opening(const Need& need, const Acquired& opened);
  bool is_next(const Endpoint& next, const Need& need) const;
  std::shared_ptr<Endpoint> last_choice(const Need& need);
  Error no_endpoint(const Need& need) const;
  Result<Chosen> place_for(const Need& need);
  bool has_room(const Pool& pool) const;
  bool make_room(Pool& pool);
  std::optional<ClientAddresses> served_alone(const ClientAddresses& client) const;
  Connection take_from(Pool& pool, const Need& need);
  Error overflow(std::string_view limit) const;
  static net::Task<Acquired> open_dynamic(std::shared_ptr<Runtime> self, Need need);
  static net::Task<Acquired> wait_and_connect(std::shared_ptr<Runtime> self, Need need);
  struct Dialled {
    net::Stream stream;
    SocketAddress address;
    Connection pooled;  // instead of a stream
  };
  std::shared_ptr<Place> make_place(const Chosen& chosen, const Need& need);
  net::Task<Acquired> connect(Chosen chosen, const Need& need);
  net::Task<Result<Dialled>> dial(const Chosen& chosen, const Need& need);
  net::Source source_for(const SocketAddress& to, const Need& need) const;
  net::Task<Result<Dialled>> dial_any(const Chosen& chosen, const Need& need,
                                      std::vector<SocketAddress> addresses);
  bool stands_in(const SocketAddress& other, const Endpoint& chosen, const Need& need) const;
  void report_failed(const SocketAddress& address);
  Connection pooled_at(const SocketAddress& address, const Identity* identity, const Need& need);
  Chosen taken_over(Chosen chosen, const SocketAddress& used);
  net::Task<std::optional<Error>> name_client(Connection& connection, Clock::time_point deadline);
  net::Task<std::optional<Error>> handshake(Connection& connection, Pool& pool,
                                            Clock::time_point deadline);
  Error no_tls(SocketAddress address, const Identity& identity, Error cause) const;
  template <class F>
  void each_endpoint(F job) const;

  std::shared_ptr<Shared> shared_;
  mesh::ClusterPtr cluster_;
  std::shared_ptr<Load> load_;
  std::shared_ptr<Discovery> discovery_;   // null for original_dst and dynamic_dns
  std::unique_ptr<DynamicHosts> dynamic_;  // null but for dynamic_dns
  std::unordered_map<SocketAddress, std::shared_ptr<Endpoint>, AddressHash>
      dialled_;  // original_dst
  Balancer balancer_;
  std::unique_ptr<PolicyBalancer> policy_;  // in its place; null: a plain cluster
  // Chosen by take_idle() without finding a connection: the next to open one goes there, so that
  // the turn is not lost.
  std::shared_ptr<Endpoint> next_;
  std::unordered_map<std::string, Named, mesh::TextHash, std::equal_to<>> identities_;
  std::shared_ptr<const certs::Vault> vault_;  // which identities_ and secrets_ came from
  SecretIds secrets_;
  std::optional<Error> problem_;  // of the newest identity
  Clock::time_point last_used_{};
};

}  // namespace sallyport::upstream
