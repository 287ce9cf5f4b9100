// A queue of the kernel's (NFQUEUE, libnetfilter_queue): packets wait in it for our verdicts.
//
// Threading: one thread's. Needs CAP_NET_ADMIN over the network namespace.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agent/core/error.h"
#include "iptables/descriptor.h"

struct mnl_socket;

namespace sallyport::rules {

struct Queued {
  uint32_t id = 0;    // the kernel's number
  uint32_t mark = 0;  // its mark
};

class NetfilterQueue {
public:
  struct Options {
    uint16_t number = 0;
    bool fail_open = false;  // what finds the queue full passes; else it is dropped
  };
  // Of the calling thread's network namespace. Errors, Fault::internal: no CAP_NET_ADMIN, a module
  // that the kernel lacks, somebody else's reader.
  static Result<NetfilterQueue> open(const Options& options);

  int fd() const;  // readable when packets wait; non-blocking
  // Hands over what waits, from its network header on (valid during the call only), and returns
  // false when there was nothing.
  bool read(const std::function<void(Queued, std::span<const char> packet)>& each);

  enum class Verdict : uint8_t { drop, accept, again };  // again: from the hook's first rule on
  // `mark`: the packet's from now on.
  void give(uint32_t id, Verdict verdict, uint32_t mark);

  // What the kernel dropped because the queue, or our buffer, was full, since the queue is there.
  // Told by a file of /proc that open() opens: only root may, and who reads need not stay that.
  uint64_t dropped() const;

private:
  struct Close {
    void operator()(mnl_socket* socket) const;
  };
  NetfilterQueue() = default;
  std::unique_ptr<mnl_socket, Close> socket_;
  Descriptor counts_;
  uint16_t number_ = 0;
  std::vector<char> room_;  // one message of the kernel's
};

}  // namespace sallyport::rules
