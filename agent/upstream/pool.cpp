#include "agent/upstream/pool.h"

#include <algorithm>

#include "agent/core/limits.h"
#include "agent/upstream/outlier.h"

namespace sallyport::upstream {
namespace {

// An idle connection must be silent: a FIN or bytes nobody asked for end it. TLS may have records
// of its own to read (session tickets), so readiness alone says nothing.
bool alive(net::Stream& stream) {
  if (stream.seen_end()) return false;
  if (!stream.more_at_hand()) return true;
  char byte;
  return stream.try_read({&byte, 1}).want == net::Want::read && !stream.seen_end();
}

}  // namespace

Load::Load(net::Loop& on) : loop(on) {}
Load::~Load() = default;

Place::Place(std::shared_ptr<Endpoint> at, std::shared_ptr<Pool> from, std::shared_ptr<Load> of,
             observe::WorkerMetrics& counters, bool http)
    : endpoint(std::move(at)),
      pool(std::move(from)),
      load(std::move(of)),
      metrics(counters),
      opened(load->loop.now()),
      requests(http) {
  ++endpoint->active;
  ++pool->open;
  ++load->connections;
  load->out += requests;
  metrics.upstream_cx_active.add();
}

Place::~Place() {
  if (out) {
    --endpoint->active;
    load->out -= requests;
  }
  --pool->open;
  --load->connections;
  load->freed.wake_all(load->loop);
  metrics.upstream_cx_active.sub();
}

void Place::hand_out() {
  out = true;
  ++endpoint->active;
  load->out += requests;
}

void Place::put_away() {
  out = false;
  --endpoint->active;
  load->out -= requests;
  load->freed.wake_all(load->loop);
}

Connection::Connection(Connection&& other) noexcept
    : stream(std::move(other.stream)),
      host(other.host),
      local(other.local),
      reused(other.reused),
      requests(other.requests),
      place_(std::move(other.place_)) {}

Connection& Connection::operator=(Connection&& other) noexcept {
  if (this == &other) return *this;
  const Connection gone(std::move(*this));
  stream = std::move(other.stream);
  host = other.host;
  local = other.local;
  reused = other.reused;
  requests = other.requests;
  place_ = std::move(other.place_);
  return *this;
}

// The stream first: its TLS session goes to the pool's slot, which the place keeps.
Connection::~Connection() {
  if (stream) stream.close();
}

Connection Pool::take(Clock::time_point now) {
  last_used = now;
  while (!idle_.empty()) {
    Connection connection = std::move(idle_.back());
    idle_.pop_back();
    if (serves(connection, now)) return connection;
  }
  return {};
}

Connection Pool::take_of(const ClientAddresses* client, Clock::time_point now) {
  last_used = now;
  for (std::size_t at = idle_.size(); at-- > 0;) {
    const auto& of = idle_[at].place_->client;
    if (client ? !of || *of != *client : bool(of)) continue;
    Connection connection = std::move(idle_[at]);
    idle_.erase(idle_.begin() + std::ptrdiff_t(at));
    if (serves(connection, now)) return connection;
  }
  return {};
}

// False: it is to be closed.
bool Pool::serves(Connection& connection, Clock::time_point now) const {
  if (worn_out(*connection.place_, now) || !alive(connection.stream)) return false;
  connection.reused = true;
  connection.place_->hand_out();
  return true;
}

void Pool::close_oldest() {
  if (!idle_.empty()) idle_.erase(idle_.begin());
}

void Pool::keep(Connection connection, Clock::time_point now) {
  ++connection.requests;
  if (max_requests_.value_or(0) != 0 && connection.requests >= *max_requests_) return;
  if (retired_ || !alive(connection.stream)) return;
  Place& place = *connection.place_;
  if (max_age_.count() != 0 && now - place.opened >= max_age_) return;
  place.put_away();
  place.idle_since = last_used = now;
  place.buffers_released = false;
  if (idle_.size() >= limits::pool_idle_per_key) idle_.erase(idle_.begin());
  idle_.push_back(std::move(connection));
}

bool Pool::worn_out(const Place& place, Clock::time_point now) const {
  return now - place.idle_since >= idle_time_ ||
         (max_age_.count() != 0 && now - place.opened >= max_age_);
}

void Pool::retire() {
  retired_ = true;
  const auto closed = std::exchange(idle_, {});  // They may hold the last references to this pool.
}

void Pool::sweep(Clock::time_point now) {
  std::erase_if(idle_, [&](Connection& connection) {
    Place& place = *connection.place_;
    if (worn_out(place, now) || !alive(connection.stream)) return true;
    if (SSL* ssl = connection.stream.ssl(); ssl && !std::exchange(place.buffers_released, true)) {
      tls::release_buffers(*ssl);
    }
    return false;
  });
}

const std::shared_ptr<Pool>& Endpoint::pool(const mesh::Cluster& cluster,
                                            const IdentityPtr& identity) {
  auto& pool = pools_[identity.get()];
  if (!pool) pool = std::make_shared<Pool>(cluster, identity);
  return pool;
}

Pool* Endpoint::find(const Identity* identity) {
  const auto at = pools_.find(identity);
  return at == pools_.end() ? nullptr : at->second.get();
}

void Endpoint::retire() {
  const auto gone = std::exchange(pools_, {});
  for (const auto& [identity, pool] : gone) pool->retire();
}

void Endpoint::retire(const Identity* identity) {
  const auto at = pools_.find(identity);
  if (at == pools_.end()) return;
  const auto pool = at->second;
  pools_.erase(at);
  pool->retire();
}

void Endpoint::sweep(Clock::time_point now) {
  for (const auto& [identity, pool] : pools_) pool->sweep(now);
  std::erase_if(pools_, [&](const auto& entry) {
    const auto& pool = entry.second;
    return pool.use_count() == 1 && now - pool->last_used >= limits::upstream_unused;
  });
}

std::size_t Endpoint::idle() const {
  std::size_t sum = 0;
  for (const auto& [identity, pool] : pools_) sum += pool->idle();
  return sum;
}

}  // namespace sallyport::upstream
