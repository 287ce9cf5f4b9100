// What all clusters' runtimes of one worker use. Threading: its worker's.
#pragma once
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
        random(std::random_device()()) {}

  net::Loop& loop;
  dns::Resolver& resolver;
  observe::WorkerMetrics& metrics;
  Published<certs::Vault>::Reader vault;
  tls::ClientContext tls;
  Random random;
  bool draining = false;
};

}  // namespace sallyport::upstream
