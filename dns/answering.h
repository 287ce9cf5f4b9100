// What a client's message is answered with: the mesh's names, then what is kept of the servers'
// answers, then the servers. No sockets of its own.
//
// Threading: its worker's.
#pragma once
#include <random>
#include <span>
#include <string>

#include "agent/core/published.h"
#include "agent/mesh/snapshot.h"
#include "agent/observe/egress.h"
#include "agent/observe/metrics.h"
#include "dns/answer_cache.h"
#include "dns/forwarder.h"
#include "dns/question.h"

namespace sallyport::dns {

class Answering {
public:
  // `egress` is told of the addresses that servers give; may be null.
  Answering(net::Loop& loop, const Published<mesh::Snapshot>& snapshots,
            observe::WorkerMetrics& metrics, observe::EgressTable* egress, ForwarderOptions options)
      : loop_(loop),
        snapshots_(snapshots),
        metrics_(metrics),
        egress_(egress),
        forwarder_(loop, std::move(options)) {}
  Answering(const Answering&) = delete;

  enum class Step : uint8_t { ignore, answered, ask_servers };
  struct AtOnce {
    Step step;
    std::size_t size = 0;  // answered: bytes written
  };
  // Without waiting and without allocation. `question` is set with ask_servers. REQUIRES: room for
  // limits::dns_proxy_datagram bytes in `into`; an answer that needs more than there is is cut.
  AtOnce at_once(std::span<const char> message, bool tcp, Question& question, std::span<char> into);

  // By the servers: the message to send, no longer than the client takes. SERVFAIL where none
  // answers.
  net::Task<std::string> by_servers(std::string message, Question question, bool tcp);

private:
  std::size_t of_mesh(std::span<const char> message, const Question& question, std::size_t limit,
                      std::span<char> into);
  std::size_t kept(std::span<const char> message, const Question& question, std::size_t limit,
                   std::span<char> into);
  void count(std::chrono::steady_clock::duration taken);

  net::Loop& loop_;
  Published<mesh::Snapshot>::Reader snapshots_;
  observe::WorkerMetrics& metrics_;
  observe::EgressTable* const egress_;
  Forwarder forwarder_;
  AnswerCache cache_;
  uint64_t servers_ = 0;                            // the forwarder's version that they are of
  std::minstd_rand order_{std::random_device()()};  // which of several addresses comes first
};

}  // namespace sallyport::dns
