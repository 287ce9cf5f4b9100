#include "agent/proxy/inbound.h"

#include "agent/proxy/clock.h"
#include "agent/proxy/tcp_proxy.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

net::Task<void> serve_inbound(net::Stream accepted, Worker& worker) {
  Client client{.stream = std::move(accepted),
                .destination = {},
                .inbox = {},
                .active = ActiveConnection(worker.metrics())};
  const auto destination = net::original_destination(client.stream);
  if (!destination) {
    worker.metrics().loops_refused.add();
    client.destination = client.stream.local();
    log_refusal(worker, {.client = client,
                         .cluster = "BlackHoleCluster",
                         .flags = observe::UH,
                         .failure_reason = destination.error().context,
                         .start_us = wall_clock_us()});
    co_return;
  }
  client.destination = *destination;
  TcpPlan plan{.cluster = worker.snapshot()->inbound_passthrough, .sni = {}, .upstream = {}};
  worker.loop().spawn(serve_tcp(std::move(client), worker, std::move(plan)));
}

}  // namespace sallyport::proxy
