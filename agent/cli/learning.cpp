#include "agent/cli/learning.h"

#include <netinet/in.h>

#include "agent/cli/ask_workers.h"

namespace sallyport::cli {

void Learning::begin(proxy::Worker& worker) {
  using observe::EgressProtocol;
  worker.learn([this, &worker](std::size_t number, EgressProtocol protocol,
                               const SocketAddress& source, const SocketAddress& destination) {
    const bool udp = protocol == EgressProtocol::quic || protocol == EgressProtocol::udp;
    names_.ask(
        {static_cast<uint8_t>(udp ? IPPROTO_UDP : IPPROTO_TCP), source, destination},
        [&worker, number](const std::string& process) {
          worker.post([&worker, number, process] { worker.egress()->owned_by(number, process); });
        });
  });
}

void Learning::collect(std::function<void(observe::EgressReport)> done) {
  ask_workers<observe::EgressReport>(
      io_, workers_, [](proxy::Worker& worker) { return worker.egress()->report(); },
      [done = std::move(done)](std::vector<observe::EgressReport> reports) {
        done(observe::merged(std::move(reports)));
      });
}

}  // namespace sallyport::cli
