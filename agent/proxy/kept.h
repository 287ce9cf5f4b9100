// Connections into the pod whose requests are not read: TCP, WebSocket. They were let in once; when
// modes or policies change they are looked at again, and who would be turned away now is cut off
// drainDuration later, as Envoy does with the connections of a listener that changed. Requests
// need none of this: each is asked for itself.
//
// Threading: the worker's.
#pragma once
#include <boost/intrusive/list.hpp>
#include <chrono>
#include <optional>

#include "agent/mesh/authorization.h"
#include "agent/proxy/client.h"

namespace sallyport::proxy {

class Worker;
class KeptConnections;

// CONNECTION_TERMINATION_DETAILS of one that was cut off.
inline constexpr std::string_view no_longer_let_in = "policy_change";

// One of them, for as long as it lives; what it was let in by may be old already. `client` outlives
// it and stays where it is.
class Kept : public boost::intrusive::list_base_hook<
                 boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
public:
  // The policies (null: none) that let in a request which is not at hand any more: when they change
  // it counts as turned away.
  using JudgedBy = std::optional<mesh::AuthorizationPtr>;
  // `judged_by`: unset: the connection itself is asked for again.
  Kept(KeptConnections& all, Client& client, JudgedBy judged_by);
  Kept(const Kept&) = delete;
  bool cut_off() const { return cut_off_; }

private:
  friend class KeptConnections;
  bool still_let_in(Worker& worker) const;

  Client& client_;
  JudgedBy judged_by_;
  std::optional<std::chrono::steady_clock::time_point> until_;
  bool cut_off_ = false;
};

class KeptConnections {
public:
  // Each tick. Looks at each once when it is new, and after every change of the configuration.
  void look_again(Worker& worker);

private:
  friend class Kept;
  using List = boost::intrusive::list<Kept, boost::intrusive::constant_time_size<false>>;
  void judge(List& some, Worker& worker);
  void cut_off_overdue();

  List fresh_, all_;
  uint64_t seen_version_ = 0;
  bool any_due_ = false;
};

}  // namespace sallyport::proxy
