// How a connection to a cluster is opened: names, identity, endpoint, pool, TCP, TLS; in that
// order, so that a missing secret is known before anybody is dialled.
#include <openssl/ssl.h>

#include "agent/core/limits.h"
#include "agent/upstream/runtime.h"

namespace sallyport::upstream {
namespace {

std::chrono::milliseconds left_until(Clock::time_point deadline, Clock::time_point now) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now);
  return std::max(left, std::chrono::milliseconds(1));
}

// Istio takes 0 for unset.
std::size_t threshold(std::optional<uint32_t> configured) {
  return configured.value_or(0) != 0 ? *configured : UINT32_MAX;
}

// Counts a request as pending for as long as it lives.
struct Pending {
  explicit Pending(Load& of) : load(of) { ++load.pending; }
  ~Pending() { --load.pending; }
  Pending(const Pending&) = delete;
  Load& load;
};

}  // namespace

Error Runtime::no_endpoint(const Need& need) const {
  std::string why = "no endpoint is configured";
  if (!discovery_) {
    why = need.original_destination.is_set() ? "too many addresses are dialled at once"
                                             : "there is no original destination";
  } else if (discovery_->problem()) {
    why = discovery_->problem()->context;
  }
  const Fault fault =
      !discovery_ && need.original_destination.is_set() ? Fault::overflow : Fault::no_endpoint;
  return Error{fault, Side::upstream, false, cluster_->name + ": " + why,
               cluster_->service ? cluster_->service->text() : ""};
}

// REQUIRES: prepare() has been waited for.
Result<Runtime::Chosen> Runtime::place_for(const Need& need) {
  auto identity = identity_for(need.authority);
  if (!identity) return identity.error();
  auto endpoint = discovery_ ? choose(need) : original_destination(need, true);
  if (!endpoint) return no_endpoint(need);
  auto pool = endpoint->pool(*cluster_, *identity);
  return Chosen{std::move(endpoint), std::move(pool)};
}

Error Runtime::overflow(std::string_view limit) const {
  return Error{Fault::overflow, Side::upstream, false, cluster_->name + ": " + std::string(limit),
               cluster_->rule ? cluster_->rule->text() : ""};
}

// As Envoy's: a pool without any connection may have one whatever the cluster's limit says, or idle
// connections to other endpoints could starve it.
bool Runtime::has_room(const Pool& pool) const {
  return load_->connections < threshold(cluster_->max_connections) || pool.open == 0;
}

net::Task<Acquired> Runtime::open(std::shared_ptr<Runtime> self, Need need) {
  const auto load = self->load_;
  const std::size_t most =
      std::min(threshold(self->cluster_->max_pending_requests), limits::pending_requests);
  if (need.http && load->pending >= most) {
    co_return Failure{self->overflow("too many requests wait for a connection"), {}};
  }
  const Pending counted(*load);
  auto opened = co_await wait_and_connect(self, need);
  if (!opened && opened.error().host.is_set() && need.avoid) {
    need.avoid->push_back(opened.error().host);
  }
  co_return std::move(opened);
}

net::Task<Acquired> Runtime::wait_and_connect(std::shared_ptr<Runtime> self, Need need) {
  const auto discovery = self->discovery_;
  for (;;) {
    if (discovery) co_await discovery->prepare();
    self->last_used_ = self->shared_->loop.now();
    auto chosen = self->place_for(need);
    if (!chosen) co_return Failure{chosen.error(), {}};
    if (need.http && !need.fresh) {
      if (auto idle = chosen->pool->take(self->last_used_)) {
        self->shared_->metrics.upstream_cx_reused.add();
        co_return std::move(idle);
      }
    }
    if (self->has_room(*chosen->pool)) co_return co_await self->connect(std::move(*chosen));
    if (!need.http) co_return Failure{self->overflow("as many connections as it may have"), {}};
    co_await self->load_->freed.wait();
  }
}

net::Task<Acquired> Runtime::connect(Chosen chosen) {
  auto& metrics = shared_->metrics;
  const SocketAddress address = chosen.endpoint->address;
  if (metrics.upstream_cx_active.get() >= limits::connections_per_worker) {
    co_return Failure{Error{Fault::overflow,
                            Side::upstream,
                            false,
                            "this worker has as many upstream connections as it may",
                            {}},
                      address};
  }
  Connection connection;
  connection.host = address;
  connection.place_ = std::make_shared<Place>(chosen.endpoint, chosen.pool, load_, metrics);
  metrics.upstream_cx_total.add();
  const auto deadline = shared_->loop.now() + cluster_->connect_timeout;
  const IpAddress source = address.ip().is_v4() ? cluster_->source_v4 : cluster_->source_v6;
  auto stream = co_await net::connect(shared_->loop, address, cluster_->connect_timeout, source);
  if (!stream) {
    metrics.upstream_cx_connect_fail.add();
    Error error = stream.error();
    error.side = Side::upstream;
    error.retryable = error.fault != Fault::internal;
    co_return Failure{std::move(error), address};
  }
  connection.stream = std::move(*stream);
  connection.local = connection.stream.local();
  if (chosen.pool->identity) {
    if (auto error = co_await handshake(connection, *chosen.pool, deadline)) {
      metrics.upstream_cx_connect_fail.add();
      co_return Failure{std::move(*error), address};
    }
  }
  co_return std::move(connection);
}

net::Task<std::optional<Error>> Runtime::handshake(Connection& connection, Pool& pool,
                                                   Clock::time_point deadline) {
  net::Stream& stream = connection.stream;
  auto& metrics = shared_->metrics;
  auto ssl = shared_->tls.open(*pool.identity, &pool.sessions);
  if (!ssl) co_return no_tls(connection.host, *pool.identity, ssl.error());
  stream.start_tls(std::move(*ssl));
  stream.set_deadline(left_until(deadline, shared_->loop.now()));
  const int done = co_await stream.handshake();
  if (done < 0) {
    Error error = stream.failure(Side::upstream);
    error.retryable = true;
    metrics.tls_failures.add();
    if (error.fault == Fault::tls_verify) metrics.tls_verify_failures.add();
    co_return no_tls(connection.host, *pool.identity, std::move(error));
  }
  stream.set_deadline(std::chrono::milliseconds(0));
  metrics.tls_handshakes.add();
  if (SSL_session_reused(stream.ssl())) metrics.tls_resumed.add();
  co_return std::nullopt;
}

// "TLS to 10.0.0.7:443 (SNI api.example.com): certificate has expired", because of the rule.
Error Runtime::no_tls(SocketAddress address, const Identity& identity, Error cause) const {
  std::string what = "TLS to " + address.text();
  if (!identity.sni.empty()) what += " (SNI " + identity.sni + ")";
  cause = while_doing(what, std::move(cause));
  cause.side = Side::upstream;
  if (cause.resource.empty() && cluster_->tls.rule) cause.resource = cluster_->tls.rule->text();
  return cause;
}

}  // namespace sallyport::upstream
