#include "agent/proxy/inbound.h"

#include "agent/proxy/tcp_proxy.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

net::Task<void> serve_inbound(net::Stream accepted, Worker& worker) {
  worker.metrics().downstream_cx_total.add();
  Client client{.stream = std::move(accepted), .destination = {}, .inbox = {}};
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
  co_await serve_tcp(std::move(client), worker, std::move(plan));
}

}  // namespace sallyport::proxy
