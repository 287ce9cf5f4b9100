#include "agent/proxy/captured.h"

#include "agent/core/wall_clock.h"
#include "agent/proxy/tcp_proxy.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

std::optional<Client> captured(net::Stream accepted, Worker& worker) {
  Client client{.stream = std::move(accepted),
                .destination = {},
                .inbox = {},
                .active = ActiveConnection(worker.metrics()),
                .id = worker.log().next_connection_id()};
  const auto destination = net::original_destination(client.stream);
  if (destination) {
    client.destination = *destination;
    return client;
  }
  worker.metrics().loops_refused.add();
  client.destination = client.stream.local();
  log_refusal(worker, {.client = client,
                       .cluster = "BlackHoleCluster",
                       .flags = observe::UH,
                       .failure_reason = destination.error().context,
                       .start_us = wall_clock_us()});
  return std::nullopt;
}

}  // namespace sallyport::proxy
