// The endpoints of a cluster: fixed ones, and those that DNS names, kept fresh while the cluster is
// in use. An endpoint whose address is still there after a change stays the same object, with its
// connections.
//
// Threading: its worker's.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/upstream/shared.h"
#include "dns/wait_list.h"

namespace sallyport::upstream {

class Discovery : public std::enable_shared_from_this<Discovery> {
public:
  // REQUIRES: cluster->discovery is neither original_dst nor dynamic_dns.
  Discovery(std::shared_ptr<Shared> shared, mesh::ClusterPtr cluster);
  Discovery(const Discovery&) = delete;
  ~Discovery();

  // Returns when there is something to choose from, or nothing to be had (see problem()). With
  // endpoints at hand it waits only where their addresses are long overdue, and then no longer than
  // the resolver does. Keeps itself alive.
  net::Task<void> prepare();
  void refresh_due();  // asks again for names whose TTL is over; never waits
  const Endpoints& endpoints() const { return endpoints_; }
  uint64_t generation() const { return generation_; }  // another one: endpoints() may differ
  bool by_name() const { return !names_.empty(); }     // DNS names at least one of them
  const std::optional<Error>& problem() const { return problem_; }  // why a name has no addresses

  // Where to connect for an endpoint at `chosen`: it first, then the other addresses of the same
  // name, families taking turns (RFC 8305 section 4); at most limits::connect_addresses.
  std::vector<SocketAddress> addresses_for(const SocketAddress& chosen) const;
  // A connection for `tried` came about at `used`: when that is of the other family, the name's
  // addresses of this one are last choice for limits::slow_family.
  void overtaken(const SocketAddress& tried, const SocketAddress& used);
  std::shared_ptr<Endpoint> at(const SocketAddress& address) const;  // null: no such endpoint now

private:
  struct Name {                  // one configured endpoint that DNS resolves
    std::size_t configured = 0;  // index in cluster->endpoints
    std::vector<IpAddress> addresses;
    std::optional<Error> problem;
    Clock::time_point expires{};
    bool resolving = false;
    bool slow_v6 = false;  // which family is last choice until then
    Clock::time_point slow_until{};

    bool slow(const IpAddress& ip, Clock::time_point now) const {
      return now < slow_until && ip.is_v6() == slow_v6;
    }
  };
  static net::Task<void> resolve(std::weak_ptr<Discovery> weak, std::shared_ptr<Shared> shared,
                                 std::string host, std::size_t name,
                                 std::chrono::milliseconds retry_after);
  void answered(Name& name, Result<dns::Answer> answer);
  bool worth_waiting() const;
  std::vector<IpAddress> usable(const Name& name) const;
  const Name* name_of(const SocketAddress& address) const;
  void rebuild();
  void rebuild_logical();

  std::shared_ptr<Shared> shared_;
  mesh::ClusterPtr cluster_;
  std::vector<Name> names_;
  Endpoints endpoints_;
  uint64_t generation_ = 0;
  std::optional<Error> problem_;
  dns::WaitList changed_;
};

}  // namespace sallyport::upstream
