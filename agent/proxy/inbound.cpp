#include "agent/proxy/inbound.h"

#include "agent/proxy/captured.h"
#include "agent/proxy/tcp_proxy.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

net::Task<void> serve_inbound(net::Stream accepted, Worker& worker) {
  auto client = captured(std::move(accepted), worker);
  if (!client) co_return;
  client->inbound = true;
  TcpPlan plan;
  plan.cluster = worker.snapshot()->inbound_passthrough;
  worker.loop().spawn(serve_tcp(std::move(*client), worker, std::move(plan)));
}

}  // namespace sallyport::proxy
