#include "agent/upstream/upstreams.h"

#include <unordered_map>

#include "agent/upstream/runtime.h"

namespace sallyport::upstream {
namespace {

constexpr int ticks_a_sweep = 4;  // a second

}  // namespace

void throw_exception_from_error(const Failure& failure, const boost::source_location& where) {
  sallyport::throw_exception_from_error(failure.error, where);
}

struct Upstreams::State {
  explicit State(const Parts& parts) : shared(std::make_shared<Shared>(parts)) {}

  const std::shared_ptr<Runtime>& runtime_of(const mesh::ClusterPtr& cluster) {
    auto& runtime = runtimes[cluster.get()];
    if (!runtime) runtime = std::make_shared<Runtime>(shared, cluster);
    return runtime;
  }
  void on_tick() {
    count_dns();
    if (++ticks % ticks_a_sweep != 0) return;
    std::erase_if(runtimes, [](const auto& entry) { return !entry.second->sweep(); });
  }
  void count_dns() {
    const dns::Counts& now = shared->resolver.counts();
    shared->metrics.dns_queries.add(now.queries - counted.queries);
    shared->metrics.dns_failures.add(now.failures - counted.failures);
    counted = now;
  }

  std::shared_ptr<Shared> shared;
  // By address: a changed cluster is another object, and a runtime keeps its own alive.
  std::unordered_map<const mesh::Cluster*, std::shared_ptr<Runtime>> runtimes;
  dns::Counts counted;
  int ticks = 0;
  std::shared_ptr<void> tick;
};

Upstreams::Upstreams(Parts parts) : state_(std::make_unique<State>(parts)) {
  state_->tick = parts.loop.each_tick([state = state_.get()] { state->on_tick(); });
}

Upstreams::~Upstreams() {
  drain();
  state_->tick.reset();
  state_->runtimes.clear();
}

Connection Upstreams::take_idle(const mesh::Cluster& cluster, const Need& need) {
  const auto at = state_->runtimes.find(&cluster);
  if (at == state_->runtimes.end()) return {};
  return at->second->take_idle(need);
}

net::Task<Acquired> Upstreams::acquire(mesh::ClusterPtr cluster, Need need) {
  if (cluster->refused) co_return Failure{*cluster->refused, {}};
  auto runtime = state_->runtime_of(cluster);
  co_return co_await Runtime::open(std::move(runtime), need);
}

void Upstreams::give_back(Connection connection) {
  if (!connection || !connection.place_ || state_->shared->draining) return;
  const auto pool = connection.place_->pool;
  pool->keep(std::move(connection), state_->shared->loop.now());
}

void Upstreams::report(const Connection& connection, int status) {
  if (!connection.place_) return;
  const Place& place = *connection.place_;
  // An endpoint that came after the last choice is not watched yet.
  if (!place.load->outlier || !place.endpoint->health) return;
  const auto now = state_->shared->loop.now();
  if (status == 0) return place.load->outlier->failed(*place.endpoint, now);
  place.load->outlier->answered(*place.endpoint, status, now);
}

bool Upstreams::begin_retry(const mesh::Cluster& cluster, RetrySlot& slot) {
  const auto at = state_->runtimes.find(&cluster);
  return at == state_->runtimes.end() || at->second->begin_retry(slot);
}

void Upstreams::drain() {
  state_->shared->draining = true;
  for (const auto& [cluster, runtime] : state_->runtimes) runtime->close_idle();
}

std::vector<Upstreams::ClusterInfo> Upstreams::describe() const {
  std::vector<ClusterInfo> out;
  for (const auto& [cluster, runtime] : state_->runtimes) out.push_back(runtime->describe());
  return out;
}

}  // namespace sallyport::upstream
