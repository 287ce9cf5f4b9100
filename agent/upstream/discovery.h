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
  // REQUIRES: cluster->discovery is not original_dst.
  Discovery(std::shared_ptr<Shared> shared, mesh::ClusterPtr cluster);
  Discovery(const Discovery&) = delete;
  ~Discovery();

  // Returns when there is something to choose from, or nothing to be had (see problem()). With
  // endpoints at hand it waits only where their addresses are long overdue, and then no longer than
  // the resolver does. Keeps itself alive.
  net::Task<void> prepare();
  void refresh_due();  // asks again for names whose TTL is over; never waits
  const Endpoints& endpoints() const { return endpoints_; }
  const std::optional<Error>& problem() const { return problem_; }  // why a name has no addresses

private:
  struct Name {                  // one configured endpoint that DNS resolves
    std::size_t configured = 0;  // index in cluster->endpoints
    std::vector<IpAddress> addresses;
    std::optional<Error> problem;
    Clock::time_point expires{};
    bool resolving = false;
  };
  static net::Task<void> resolve(std::weak_ptr<Discovery> weak, std::shared_ptr<Shared> shared,
                                 std::string host, std::size_t name);
  void answered(Name& name, Result<dns::Answer> answer);
  bool worth_waiting() const;
  void rebuild();
  void rebuild_logical();

  std::shared_ptr<Shared> shared_;
  mesh::ClusterPtr cluster_;
  std::vector<Name> names_;
  Endpoints endpoints_;
  std::optional<Error> problem_;
  dns::WaitList changed_;
};

}  // namespace sallyport::upstream
