// Names to addresses by c-ares on the worker's loop, with a cache that honours TTLs, shares one
// query among all who ask meanwhile, and keeps the last good answer when a refresh fails (Envoy's
// STRICT_DNS does; architecture, "dns"). /etc/hosts is asked first.
//
// Threading: one a worker, its thread only.
// Limits: limits::dns_cached_names, dns_queries at a time, dns_addresses of a name and family.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/core/address.h"
#include "agent/core/error.h"
#include "agent/core/limits.h"
#include "agent/net/loop.h"

namespace sallyport::dns {

struct ResolverOptions {
  std::vector<SocketAddress> servers;                             // empty: /etc/resolv.conf
  bool want_v4 = true, want_v6 = true;                            // by the pod's own addresses
  std::chrono::milliseconds timeout = limits::dns_query_timeout;  // of one try
  int tries = 2;
};

struct Answer {
  std::vector<IpAddress> addresses;  // IPv4 and IPv6 as asked for; order as answered, v4 first
  std::chrono::seconds ttl{0};       // the smallest
  bool stale = false;                // the last good one, kept since a refresh failed or is late
};

struct Counts {
  uint64_t queries = 0;   // of one name and family
  uint64_t failures = 0;  // names that got no answer, or "no such name"
};

class Resolver {
public:
  Resolver(net::Loop& loop, ResolverOptions options);
  ~Resolver();  // whoever waits is resumed with an error first
  Resolver(const Resolver&) = delete;

  // From the cache while the TTL holds, else by a query; with an old answer at hand the query is
  // waited for no longer than limits::dns_client_wait. Errors: Fault::no_endpoint (NXDOMAIN, no
  // data, a server's failure), Fault::timed_out, Fault::overflow; the text names the host and the
  // server's answer. An IP literal answers itself. Search domains are not applied: hosts in
  // resources are full names. Destroying the task leaves the query to the others who wait.
  net::Task<Result<Answer>> resolve(std::string host);
  const Counts& counts() const;

private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the tasks that wait
};

}  // namespace sallyport::dns
