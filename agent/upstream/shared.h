// What all clusters' runtimes of one worker use. Threading: its worker's.
#pragma once
#include <algorithm>
#include <random>

#include "agent/upstream/balancer.h"
#include "agent/upstream/upstreams.h"
#include "tls/client.h"

namespace sallyport::upstream {

struct Shared {
  explicit Shared(const Upstreams::Parts& given)
      : loop(given.loop),
        resolver(given.resolver),
        metrics(given.metrics),
        vault(given.vault),
        own(given.own),
        random(std::random_device()()) {}

  bool is_own(const SocketAddress& to) const {
    const auto has = [](const auto& list, const auto& one) {
      return std::find(list.begin(), list.end(), one) != list.end();
    };
    const auto& ip = to.ip();
    return has(own.ports, to.port()) &&
           (ip.is_loopback() || ip.is_unspecified() || has(own.addresses, ip));
  }

  net::Loop& loop;
  dns::Resolver& resolver;
  observe::WorkerMetrics& metrics;
  Published<certs::Vault>::Reader vault;
  OwnPorts own;
  tls::ClientContext tls;
  Random random;
  bool draining = false;
};

}  // namespace sallyport::upstream
