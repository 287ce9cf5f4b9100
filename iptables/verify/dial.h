// One probe on its way, and where it came.
#pragma once
#include <map>
#include <utility>

#include "iptables/verify/flow_observer.h"
#include "iptables/verify/probe_list.h"
#include "iptables/verify/test_link.h"

namespace sallyport::rules {

struct Outcome {
  enum class Kind : uint8_t {
    passed,      // nothing led it elsewhere
    led,         // to `port` of the pod
    unanswered,  // to `port` of the pod, where nobody took it
    lost,        // the kernel told of no such flow: dropped, or not tracked
    not_sent,    // `reason`
  };
  Kind kind = Kind::lost;
  uint16_t port = 0;
  std::string reason;
};

// Listens where captured connections arrive, as long as it lives, unless the agent does: without
// a listener connections would be held, or refused.
class CapturePorts {
public:
  // One in use is the agent's. What else can't be listened at is left out.
  CapturePorts(const Options& options, Family family);

private:
  std::vector<Descriptor> listeners_;
};

// What `probe` needs to be sent. `source_port`: of an inbound one, another for each.
Outcome send_outbound(const Probe& probe, FlowObserver& observer);
Outcome send_inbound(const Probe& probe, const TestLink& link, uint16_t source_port,
                     const Options& options, FlowObserver& observer);

}  // namespace sallyport::rules
