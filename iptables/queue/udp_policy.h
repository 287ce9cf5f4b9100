// What --udp-policy does (not in Istio, where UDP passes by): a flow's first datagrams wait in a
// queue until mesh::decide_udp has answered; the answer is kept in conntrack, where the rules find
// it (iptables/plan_udp.cpp), so that later ones never come here.
//
//   log      what would be refused passes, and is logged so
//   enforce  it is answered with ICMP "port unreachable": clients fall back to TCP at once
//
// Each flow has a line in the access log.
//
// Threading: made by the main thread before the loop runs, on its thread then; destroyed behind the
// loop's run.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/core/published.h"
#include "agent/mesh/snapshot.h"
#include "agent/net/loop.h"
#include "agent/observe/access_log.h"
#include "agent/observe/egress.h"
#include "agent/observe/metrics.h"
#include "iptables/queue/netfilter_queue.h"
#include "iptables/queue/refused_flows.h"

namespace sallyport::rules {

class UdpPolicy {
public:
  // The kernel's side, which takes CAP_NET_ADMIN (and root, for one count): opened first, by
  // whoever goes on as another user.
  struct Kernel {
    istio::UdpPolicy mode;
    NetfilterQueue queue;
    RefusedFlows refused;
  };
  // Of the calling thread's network namespace. `mode`: not off. Errors as NetfilterQueue::open's.
  static Result<Kernel> open(istio::UdpPolicy mode);

  struct Sources {  // outlive the policy
    net::Loop& loop;
    const Published<mesh::Snapshot>& snapshots;
    observe::WorkerMetrics& metrics;
    observe::AccessLog::Writer& log;
    observe::EgressTable* egress;  // told of flows that no resource names; may be null
    std::function<void(const std::string&)> warn;
  };
  UdpPolicy(Sources sources, Kernel kernel);
  ~UdpPolicy();
  UdpPolicy(const UdpPolicy&) = delete;

private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::rules
