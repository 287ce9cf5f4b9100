// How a connection to a cluster is opened: names, identity, endpoint, pool, TCP, TLS; in that
// order, so that a missing secret is known before anybody is dialled.
#include <openssl/ssl.h>

#include "agent/core/limits.h"
#include "agent/net/dial.h"
#include "agent/sniff/proxy_protocol.h"
#include "agent/upstream/keepalive.h"
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

// What the server is told of who the connection is for. Where it is for nobody, version 1 has no
// word for that and names the connection itself, as Envoy's.
std::string proxy_header(mesh::ProxyProtocol version, const ClientAddresses* client,
                         const Connection& connection) {
  const bool first = version == mesh::ProxyProtocol::v1;
  if (!client) {
    return first ? sniff::proxy_header_v1(connection.local, connection.host)
                 : sniff::proxy_header_v2_local();
  }
  return first ? sniff::proxy_header_v1(client->source, client->destination)
               : sniff::proxy_header_v2(client->source, client->destination);
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
  std::string why = mesh::why_no_endpoint(*cluster_);
  if (!discovery_) {
    why = need.original_destination.is_set() ? "too many addresses are dialled at once"
                                             : "there is no original destination";
  } else if (!discovery_->endpoints().empty()) {
    why = "no healthy upstream: outlier detection has ejected every endpoint";
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
  const bool by_endpoint = cluster_->tls.automatic;
  auto identity = by_endpoint ? Result<IdentityPtr>(IdentityPtr()) : identity_for(need);
  if (!identity) return identity.error();
  if (need.http && load_->full()) return overflow("as many requests as it may have at a time");
  auto endpoint = discovery_ ? choose(need) : original_destination(need, true);
  if (!endpoint) return no_endpoint(need);
  if (by_endpoint && endpoint->speaks_tls(cluster_->tls)) {
    identity = identity_for(need);
    if (!identity) return identity.error();
  }
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

// Where connections are each of one client, those that are idle now are others': this one would
// wait for them in vain.
bool Runtime::make_room(Pool& pool) {
  if (cluster_->of_clients() && !has_room(pool)) pool.close_oldest();
  return has_room(pool);
}

net::Task<Acquired> Runtime::open(std::shared_ptr<Runtime> self, Need need) {
  if (self->dynamic_) {
    auto opening = open_dynamic(self, need);
    co_return co_await opening;
  }
  const auto load = self->load_;
  const std::size_t most =
      std::min(threshold(self->cluster_->max_pending_requests), limits::pending_requests);
  if (need.http && load->pending >= most) {
    co_return Failure{self->overflow("too many requests wait for a connection"), {}};
  }
  const Pending counted(*load);
  auto opened = co_await wait_and_connect(self, need);
  self->report_opening(need, opened);
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
      if (auto idle = self->take_from(*chosen->pool, need)) co_return std::move(idle);
    }
    if (self->make_room(*chosen->pool)) {
      auto connected = self->connect(std::move(*chosen), need);
      co_return co_await connected;
    }
    if (!need.http) co_return Failure{self->overflow("as many connections as it may have"), {}};
    co_await self->load_->freed.wait();
  }
}

// An idle connection to another address of the name that was asked for.
Connection Runtime::pooled_at(const SocketAddress& address, const Identity* identity,
                              const Need& need) {
  const auto endpoint = discovery_->at(address);
  Pool* const pool = endpoint ? endpoint->find(identity) : nullptr;
  return pool ? take_from(*pool, need) : Connection();
}

net::Task<Result<Runtime::Dialled>> Runtime::dial_any(const Chosen& chosen, const Need& need,
                                                      std::vector<SocketAddress> addresses) {
  using Turn = net::Dialling::Turn;
  net::Dialling dialling(shared_->loop, std::move(addresses), cluster_->connect_timeout,
                         cluster_->source_v4, cluster_->source_v6);
  auto turn = co_await dialling.step();
  for (; turn == Turn::next; turn = co_await dialling.step()) {
    if (!need.http || need.fresh) continue;
    Dialled reused;
    reused.pooled = pooled_at(dialling.next_address(), chosen.pool->identity.get(), need);
    if (!reused.pooled) continue;
    for (const SocketAddress& failed : dialling.failed()) report_failed(failed);
    co_return std::move(reused);
  }
  if (turn == Turn::failed) {
    for (const SocketAddress& failed : dialling.failed()) {
      if (failed != chosen.endpoint->address) report_failed(failed);  // open() reports that one
    }
    if (need.avoid) {
      const auto tried = dialling.tried();
      need.avoid->insert(need.avoid->end(), tried.begin() + 1, tried.end());
    }
    co_return dialling.failure();
  }
  for (const SocketAddress& failed : dialling.failed()) report_failed(failed);
  Dialled dialled;
  dialled.stream = dialling.take();
  dialled.address = dialling.used();
  co_return std::move(dialled);
}

// Whether `other`, of the same name as the chosen endpoint, may take its place: it would be chosen
// itself where that one is ejected. By hash a key stays with its endpoint; the other family's
// addresses are its last resort.
bool Runtime::stands_in(const SocketAddress& other, const Endpoint& chosen,
                        const Need& need) const {
  if (shared_->is_own(other) || listed(need.avoid, other)) return false;
  const auto endpoint = discovery_->at(other);
  if (!policy_ || !endpoint) return true;  // a logical name's others are no endpoints
  if (policy_->hashes() && other.ip().is_v6() == chosen.address.ip().is_v6()) return false;
  return policy_->stands_in(*endpoint, chosen);
}

// TCP to the chosen endpoint, or to another address of its name where that one fails or is late.
net::Task<Result<Runtime::Dialled>> Runtime::dial(const Chosen& chosen, const Need& need) {
  const SocketAddress address = chosen.endpoint->address;
  if (discovery_ && discovery_->by_name()) {
    auto addresses = discovery_->addresses_for(address);
    std::erase_if(addresses, [&](const SocketAddress& one) {
      return one != address && !stands_in(one, *chosen.endpoint, need);
    });
    addresses.resize(std::min(addresses.size(), limits::connect_addresses));
    if (addresses.size() > 1) {
      auto any = dial_any(chosen, need, std::move(addresses));
      co_return co_await any;
    }
  }
  auto stream = co_await net::connect(shared_->loop, address, cluster_->connect_timeout,
                                      source_for(address, need));
  if (!stream) co_return stream.error();
  Dialled dialled;
  dialled.stream = std::move(*stream);
  dialled.address = address;
  co_return std::move(dialled);
}

net::Source Runtime::source_for(const SocketAddress& to, const Need& need) const {
  if (cluster_->client_source_mark != 0 && need.client) {
    const IpAddress& client = need.client->source.ip();
    if (client.is_set() && client.is_v4() == to.ip().is_v4())
      return {client, cluster_->client_source_mark};
  }
  return {to.ip().is_v4() ? cluster_->source_v4 : cluster_->source_v6};
}

// Whose connection it is when another address answered than the one chosen.
Runtime::Chosen Runtime::taken_over(Chosen chosen, const SocketAddress& used) {
  const bool outdated = chosen.pool->retired();
  discovery_->overtaken(chosen.endpoint->address, used);
  auto endpoint = discovery_->at(used);
  // Secrets changed, or DNS did: the connection serves who asked for it, and is not kept.
  if (!endpoint || outdated) return chosen;
  auto pool = endpoint->pool(*cluster_, chosen.pool->identity);
  return {std::move(endpoint), std::move(pool)};
}

std::shared_ptr<Place> Runtime::make_place(const Chosen& chosen, const Need& need) {
  auto place =
      std::make_shared<Place>(chosen.endpoint, chosen.pool, load_, shared_->metrics, need.http);
  if (need.client) {
    if (auto client = served_alone(*need.client)) place->client = std::move(*client);
  }
  return place;
}

net::Task<Acquired> Runtime::connect(Chosen chosen, const Need& need) {
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
  if (shared_->is_own(address)) {
    co_return Failure{Error{Fault::denied, Side::upstream, false,
                            address.text() + " is a port of this proxy itself: a connection there "
                                             "would come back for ever",
                            cluster_->service ? cluster_->service->text() : ""},
                      address};
  }
  Connection connection;
  connection.place_ = make_place(chosen, need);
  metrics.upstream_cx_total.add();
  const auto deadline = shared_->loop.now() + cluster_->connect_timeout;
  auto dialled = co_await dial(chosen, need);
  if (!dialled) {
    metrics.upstream_cx_connect_fail.add();
    Error error = dialled.error();
    error.side = Side::upstream;
    error.retryable = error.fault != Fault::internal;
    co_return Failure{std::move(error), address};
  }
  if (dialled->pooled) {
    discovery_->overtaken(address, dialled->pooled.host);
    co_return std::move(dialled->pooled);
  }
  if (dialled->address != address) {
    chosen = taken_over(std::move(chosen), dialled->address);
    connection.place_ = make_place(chosen, need);
  }
  connection.host = dialled->address;
  connection.stream = std::move(dialled->stream);
  connection.local = connection.stream.local();
  if (cluster_->load && cluster_->load->keepalive && !connection.host.is_unix()) {
    set_keepalive(connection.stream.fd(), *cluster_->load->keepalive);
  }
  if (cluster_->proxy_protocol != mesh::ProxyProtocol::none) {
    if (auto error = co_await name_client(connection, deadline)) {
      metrics.upstream_cx_connect_fail.add();
      co_return Failure{std::move(*error), connection.host};
    }
  }
  if (chosen.pool->identity) {
    if (auto error = co_await handshake(connection, *chosen.pool, deadline)) {
      metrics.upstream_cx_connect_fail.add();
      co_return Failure{std::move(*error), connection.host};
    }
  }
  co_return std::move(connection);
}

// Before the handshake: the header is outside of TLS.
net::Task<std::optional<Error>> Runtime::name_client(Connection& connection,
                                                     Clock::time_point deadline) {
  const auto& client = connection.place_->client;
  const std::string header =
      proxy_header(cluster_->proxy_protocol, client ? &*client : nullptr, connection);
  connection.stream.set_deadline(left_until(deadline, shared_->loop.now()));
  const bool sent = co_await connection.stream.write_all(std::string_view(header));
  if (!sent) {
    Error error = connection.stream.failure(Side::upstream);
    error.retryable = true;
    co_return while_doing("PROXY protocol to " + connection.host.text(), std::move(error));
  }
  connection.stream.set_deadline(std::chrono::milliseconds(0));
  co_return std::nullopt;
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
    // A server that resets in the handshake could not be connected to: UF, as Envoy has it.
    if (error.fault == Fault::reset) error.fault = Fault::tls_handshake;
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
