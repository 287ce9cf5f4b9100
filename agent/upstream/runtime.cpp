#include "agent/upstream/runtime.h"

#include <algorithm>

#include "agent/core/limits.h"

namespace sallyport::upstream {

template <class F>
void Runtime::each_endpoint(F job) const {
  if (discovery_) {
    for (const auto& endpoint : discovery_->endpoints()) job(*endpoint);
  }
  for (const auto& [address, endpoint] : dialled_) job(*endpoint);
}

Runtime::Runtime(std::shared_ptr<Shared> shared, mesh::ClusterPtr cluster)
    : shared_(std::move(shared)),
      cluster_(std::move(cluster)),
      load_(std::make_shared<Load>(shared_->loop)),
      balancer_(cluster_->balancing, shared_->random),
      last_used_(shared_->loop.now()) {
  if (cluster_->discovery != mesh::Discovery::original_dst) {
    discovery_ = std::make_shared<Discovery>(shared_, cluster_);
  }
}

Runtime::~Runtime() {
  each_endpoint([](Endpoint& endpoint) { endpoint.retire(); });
}

Connection Runtime::take_idle(const Need& need) {
  if (!need.http || need.fresh) return {};
  const auto now = last_used_ = shared_->loop.now();
  follow_secrets();
  const Identity* identity = nullptr;
  if (cluster_->tls.mode != mesh::Originate::none) {
    const IdentityPtr* known = known_identity(need.authority);
    if (!known) return {};
    identity = known->get();
  }
  auto endpoint = discovery_ ? choose(need) : original_destination(need, false);
  if (!endpoint) return {};
  Pool* const pool = endpoint->find(identity);
  Connection connection = pool ? pool->take(now) : Connection();
  if (connection) {
    shared_->metrics.upstream_cx_reused.add();
  } else if (discovery_) {
    next_ = std::move(endpoint);
  }
  return connection;
}

// A changed certificate, CA or CRL ends what was made with the old one (architecture: pool and
// session keys).
void Runtime::follow_secrets() {
  if (cluster_->tls.mode == mesh::Originate::none) return;
  static const auto none = std::make_shared<const certs::Vault>();
  const auto& published = shared_->vault.get();
  const auto& newest = published ? published : none;
  if (newest == vault_) return;
  vault_ = newest;
  problem_.reset();
  const SecretIds ids = secret_ids(*cluster_, *vault_);
  if (std::exchange(secrets_, ids) == ids) return;
  identities_.clear();
  each_endpoint([](Endpoint& endpoint) { endpoint.retire(); });
}

const IdentityPtr* Runtime::known_identity(std::string_view authority) {
  const auto at = identities_.find(identity_key(*cluster_, authority));
  if (at == identities_.end()) return nullptr;
  at->second.last_used = shared_->loop.now();
  return &at->second.identity;
}

Result<IdentityPtr> Runtime::identity_for(std::string_view authority) {
  if (cluster_->tls.mode == mesh::Originate::none) return IdentityPtr();
  follow_secrets();
  if (const IdentityPtr* known = known_identity(authority)) return *known;
  auto made = make_identity(*cluster_, authority, *vault_);
  problem_.reset();
  if (!made) {
    problem_ = made.error();
    return made;
  }
  make_room_for_identity();
  identities_.emplace(identity_key(*cluster_, authority), Named{*made, shared_->loop.now()});
  return made;
}

void Runtime::forget_unused_identities() {
  const auto limit = shared_->loop.now() - limits::upstream_unused;
  std::erase_if(identities_, [&](const auto& entry) {
    if (entry.second.last_used >= limit) return false;
    retire(entry.second.identity.get());
    return true;
  });
}

void Runtime::make_room_for_identity() {
  if (identities_.size() < limits::tls_identities_per_cluster) return;
  const auto oldest = std::min_element(
      identities_.begin(), identities_.end(),
      [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; });
  retire(oldest->second.identity.get());
  identities_.erase(oldest);
}

void Runtime::retire(const Identity* identity) {
  each_endpoint([identity](Endpoint& endpoint) { endpoint.retire(identity); });
}

std::shared_ptr<Endpoint> Runtime::choose(const Need& need) {
  const auto& endpoints = discovery_->endpoints();
  if (auto next = std::exchange(next_, nullptr)) {
    const bool there = std::find(endpoints.begin(), endpoints.end(), next) != endpoints.end();
    const bool avoided = need.avoid && std::find(need.avoid->begin(), need.avoid->end(),
                                                 next->address) != need.avoid->end();
    if (there && !avoided) return next;
  }
  return balancer_.pick(endpoints, need.avoid);
}

std::shared_ptr<Endpoint> Runtime::original_destination(const Need& need, bool make) {
  SocketAddress to = need.original_destination;
  if (cluster_->original_dst_port != 0) to = {to.ip(), cluster_->original_dst_port};
  if (const auto at = dialled_.find(to); at != dialled_.end()) return at->second;
  if (!make || !to.is_set() || dialled_.size() >= limits::original_dst_endpoints) return nullptr;
  return dialled_.emplace(to, std::make_shared<Endpoint>(to, 1)).first->second;
}

void Runtime::close_idle() {
  each_endpoint([](Endpoint& endpoint) { endpoint.retire(); });
}

bool Runtime::sweep() {
  const auto now = shared_->loop.now();
  follow_secrets();
  forget_unused_identities();
  bool in_use = false;
  each_endpoint([&](Endpoint& endpoint) {
    endpoint.sweep(now);
    in_use |= endpoint.active != 0 || endpoint.idle() != 0;
  });
  std::erase_if(dialled_, [](const auto& entry) { return entry.second->unused(); });
  // Nobody but us knows the cluster any more: its resources are gone, or have become another
  // cluster.
  if (cluster_.use_count() == (discovery_ ? 2 : 1)) return false;
  if (discovery_ && now - last_used_ < limits::dns_keep_fresh) discovery_->refresh_due();
  return in_use || now - last_used_ < limits::upstream_unused;
}

Upstreams::ClusterInfo Runtime::describe() const {
  Upstreams::ClusterInfo out{cluster_->name, {}, {}};
  each_endpoint([&out](const Endpoint& endpoint) {
    out.endpoints.push_back({endpoint.address, "healthy", endpoint.active, endpoint.idle()});
  });
  if (cluster_->refused) {
    out.problem = cluster_->refused->context;
  } else if (problem_) {
    out.problem = problem_->context;
  } else if (discovery_ && discovery_->problem()) {
    out.problem = discovery_->problem()->context;
  }
  return out;
}

}  // namespace sallyport::upstream
