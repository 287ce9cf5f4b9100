// Names to addresses by c-ares on the worker's loop, with a cache that honours TTLs, shares one
// query among all who ask meanwhile, and keeps the last good answer when a refresh fails (Envoy's
// STRICT_DNS does; architecture, "dns"). /etc/hosts is asked first; resolv.conf's servers, search
// domains and ndots are used as c-ares does, and read again when the file changes.
//
// Threading: one a worker, its thread only.
// Limits: limits::dns_cached_names; dns_queries_at_once, the others wait for their turn
// (dns/turns.h); dns_addresses of a name and family; dns_keep_stale.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/core/address.h"
#include "agent/core/error.h"
#include "agent/core/limits.h"
#include "agent/net/loop.h"

namespace sallyport::dns {

struct ResolverOptions {
  std::vector<SocketAddress> servers;                             // empty: those of resolv.conf
  bool want_v4 = true, want_v6 = true;                            // by the pod's own addresses
  std::chrono::milliseconds timeout = limits::dns_query_timeout;  // of one try
  int tries = 2;
  // Empty: /etc/resolv.conf, or none where `servers` are given.
  std::string resolv_conf = {};
  std::chrono::milliseconds keep_stale = limits::dns_keep_stale;
  std::chrono::milliseconds server_retry = limits::dns_server_retry;
  // Told what an operator should know: servers that fail, answers cut short, another resolv.conf.
  // Called on the resolver's thread, at most limits::dns_log_lines times a minute.
  std::function<void(const std::string&)> warn = {};

  bool uses_resolv_conf() const { return servers.empty() || !resolv_conf.empty(); }
  std::string resolv_conf_path() const {
    if (!resolv_conf.empty()) return resolv_conf;
    return uses_resolv_conf() ? "/etc/resolv.conf" : "/dev/null";
  }
};

// Whose name it is. What a client makes up must not cost the configured names anything.
enum class NamedBy : uint8_t { configuration, client };

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
  // server's answer. An IP literal answers itself. A name with a trailing dot is absolute; others
  // are looked for in the search domains, before they are taken as they are when they have fewer
  // dots than ndots. `retry_after`: how soon servers that fail are asked again while an old answer
  // is there (meshConfig.dnsRefreshRate). Destroying the task leaves the query to the others who
  // wait.
  net::Task<Result<Answer>> resolve(
      std::string host, std::chrono::milliseconds retry_after = limits::dns_refresh_on_error,
      NamedBy by = NamedBy::configuration);
  const Counts& counts() const;

private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the tasks that wait
};

}  // namespace sallyport::dns
