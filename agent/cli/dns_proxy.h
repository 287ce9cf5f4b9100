// Whether and where this sidecar answers the application's DNS questions, by istio-agent's
// environment.
#pragma once
#include <optional>
#include <vector>

#include "agent/cli/agent_settings.h"
#include "agent/proxy/worker.h"
#include "dns/forwarder.h"

namespace sallyport::cli {

struct DnsProxyPlan {
  std::vector<SocketAddress> addresses;
  // A machine may lack a family's loopback address; one that was named must be there.
  bool only_those_there = false;
  dns::ForwarderOptions forwarding;
};

// ISTIO_META_DNS_CAPTURE as in `proxy`, of a sidecar alone; DNS_PROXY_ADDR (localhost:15053) and
// DNS_FORWARD_PARALLEL. nullopt: it answers none. Errors name the variable.
Result<std::optional<DnsProxyPlan>> plan_dns_proxy(const istio::Proxy& proxy,
                                                   const Lookup& environment);

// Of names that the proxy itself looks up, too: asks `servers`, or resolv.conf's. Only the families
// that the pod itself has: an AAAA answer is of no use to an IPv4 pod.
dns::ResolverOptions resolver_options(const istio::Proxy& proxy,
                                      const std::vector<SocketAddress>& servers);

// Has the worker answer as planned, asking the servers of `options`. REQUIRES: it does not run yet.
// Errors: plan_dns_proxy's; an address can't be had.
Result<void> answer_dns(proxy::Worker& worker, const istio::Proxy& proxy, const Lookup& environment,
                        const dns::ResolverOptions& options);

}  // namespace sallyport::cli
