// The endpoints of a cluster: fixed ones, and those that DNS names, kept fresh while the cluster is
// in use. An endpoint whose address is still there after a change stays the same object, with its
// connections. An endpoint of a family that is slow to connect is last choice for a while.
//
// Threading: its worker's.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/upstream/shared.h"
#include "dns/wait_list.h"

namespace sallyport::upstream {

class Discovery : public std::enable_shared_from_this<Discovery> {
public:
  // REQUIRES: cluster->discovery is neither original_dst nor dynamic_dns.
  // `by`: whose name its only endpoint's is.
  Discovery(std::shared_ptr<Shared> shared, mesh::ClusterPtr cluster,
            dns::NamedBy by = dns::NamedBy::configuration);
  Discovery(const Discovery&) = delete;
  ~Discovery();

  // Returns when there is something to choose from, or nothing to be had (see problem()). With
  // endpoints at hand it waits only where their addresses are long overdue, and then no longer than
  // the resolver does. Keeps itself alive.
  net::Task<void> prepare();
  void refresh_due();  // asks again for names whose TTL is over; never waits
  const Endpoints& endpoints() const { return endpoints_; }
  const Endpoints& last_choice() const { return last_choice_; }  // where none of those will do
  bool offers(const Endpoint& endpoint) const;                   // among endpoints()
  uint64_t generation() const { return generation_; }            // another one: endpoints() differs
  bool by_name() const { return !names_.empty(); }               // DNS names at least one of them
  const Error* problem() const;  // why a name has no new addresses; null: all have

  // Where to connect for an endpoint at `chosen`: it first, then the other addresses of the same
  // name, families taking turns (RFC 8305 section 4), a slow one last.
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
    Clock::time_point good_until{};  // without an answer its addresses are kept no longer
    bool resolving = false;
    bool slow_v6 = false;  // which family is last choice until then
    Clock::time_point slow_until{};

    bool slow(const IpAddress& ip, Clock::time_point now) const {
      return now < slow_until && ip.is_v6() == slow_v6;
    }
  };
  struct Known {
    std::shared_ptr<Endpoint> endpoint;
    std::optional<std::size_t> name;  // index in names_; unset: a fixed address
    bool slow = false;                // last choice
    bool listed = false;              // while the lists are being made
  };
  using ByAddress = std::unordered_map<SocketAddress, Known, AddressHash>;
  static net::Task<void> resolve(std::weak_ptr<Discovery> weak, std::shared_ptr<Shared> shared,
                                 std::string host, std::size_t name,
                                 std::chrono::milliseconds retry_after, dns::NamedBy by);
  void answered(Name& name, Result<dns::Answer> answer);
  bool worth_waiting() const;
  bool any_fast(const Name& name) const;
  const Name* name_of(const SocketAddress& address) const;
  void rebuild();
  void rebuild_logical();
  void list(const std::vector<Known*>& in_order, ByAddress& by_address);

  std::shared_ptr<Shared> shared_;
  mesh::ClusterPtr cluster_;
  const dns::NamedBy by_;
  std::vector<Name> names_;
  ByAddress by_address_;  // not of a logical one, whose endpoint's address changes
  Endpoints endpoints_, last_choice_;
  uint64_t generation_ = 0;
  dns::WaitList changed_;
};

}  // namespace sallyport::upstream
