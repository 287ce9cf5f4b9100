#include "agent/upstream/runtime.h"

#include <algorithm>

#include "agent/core/limits.h"

namespace sallyport::upstream {

template <class F>
void Runtime::each_endpoint(F job) const {
  if (discovery_) {
    for (const auto& endpoint : discovery_->endpoints()) job(*endpoint);
    for (const auto& endpoint : discovery_->last_choice()) job(*endpoint);
  }
  for (const auto& [address, endpoint] : dialled_) job(*endpoint);
  if (dynamic_) dynamic_->each([&job](const Runtime& host) { host.each_endpoint(job); });
}

Runtime::Runtime(std::shared_ptr<Shared> shared, mesh::ClusterPtr cluster,
                 std::shared_ptr<Load> load)
    : shared_(std::move(shared)),
      cluster_(std::move(cluster)),
      load_(load ? load : std::make_shared<Load>(shared_->loop)),
      balancer_(cluster_->balancing, shared_->random),
      last_used_(shared_->loop.now()) {
  if (cluster_->discovery == mesh::Discovery::dynamic_dns) {
    dynamic_ = std::make_unique<DynamicHosts>(shared_, *cluster_, load_);
  } else if (cluster_->discovery != mesh::Discovery::original_dst) {
    const auto by = load ? dns::NamedBy::client : dns::NamedBy::configuration;
    discovery_ = std::make_shared<Discovery>(shared_, cluster_, by);
  }
  set_policy();
}

void Runtime::set_policy() {
  if (!cluster_->load) return;
  const mesh::LoadPolicy& policy = *cluster_->load;
  if (policy.max_requests != 0) load_->max_requests = policy.max_requests;
  // The dialled address is not chosen: nothing is ejected there, as with Envoy.
  if (!discovery_ || !policy.chooses()) return;
  if (policy.outlier) {
    load_->outlier = std::make_unique<OutlierDetector>(*policy.outlier, shared_->metrics);
  }
  policy_ = std::make_unique<PolicyBalancer>(*cluster_, load_->outlier.get(), shared_->random);
}

Runtime::~Runtime() {
  each_endpoint([](Endpoint& endpoint) { endpoint.retire(); });
}

Connection Runtime::take_idle(const Need& need) {
  if (!need.http || need.fresh || load_->full()) return {};
  last_used_ = shared_->loop.now();
  if (dynamic_) {
    const auto host = dynamic_->known(need);
    return host ? host->take_idle(need) : Connection();
  }
  follow_secrets();
  const bool tls = cluster_->tls.mode != mesh::Originate::none;
  const IdentityPtr* known = tls ? known_identity(need) : nullptr;
  if (tls && !known && !cluster_->tls.automatic) return {};
  auto endpoint = discovery_ ? choose(need) : original_destination(need, false);
  if (!endpoint) return {};
  const bool secured = endpoint->speaks_tls(cluster_->tls);
  Pool* const pool = secured && !known ? nullptr : endpoint->find(secured ? known->get() : nullptr);
  Connection connection = pool ? take_from(*pool, need) : Connection();
  if (!connection && discovery_) next_ = std::move(endpoint);
  return connection;
}

// Who alone may go on its connections: one connection of a client's, where a header names it to the
// server; whoever has a client's address, where the server sees nothing else of it.
std::optional<ClientAddresses> Runtime::served_alone(const ClientAddresses& client) const {
  if (cluster_->proxy_protocol != mesh::ProxyProtocol::none) return client;
  if (cluster_->client_source_mark != 0) {
    return ClientAddresses{SocketAddress(client.source.ip(), 0), {}};
  }
  return std::nullopt;
}

// One that the request may go on.
Connection Runtime::take_from(Pool& pool, const Need& need) {
  const auto now = shared_->loop.now();
  Connection connection;
  if (cluster_->of_clients()) {
    const auto client = need.client ? served_alone(*need.client) : std::nullopt;
    connection = pool.take_of(client ? &*client : nullptr, now);
  } else {
    connection = pool.take(now);
  }
  if (connection) shared_->metrics.upstream_cx_reused.add();
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

const IdentityPtr* Runtime::known_identity(const Need& need) {
  const auto at = identities_.find(identity_key(*cluster_, need.authority, need.http));
  if (at == identities_.end()) return nullptr;
  at->second.last_used = shared_->loop.now();
  return &at->second.identity;
}

Result<IdentityPtr> Runtime::identity_for(const Need& need) {
  if (cluster_->tls.mode == mesh::Originate::none) return IdentityPtr();
  follow_secrets();
  if (const IdentityPtr* known = known_identity(need)) return *known;
  auto made = make_identity(*cluster_, need.authority, *vault_, need.http);
  problem_.reset();
  if (!made) {
    problem_ = made.error();
    return made;
  }
  make_room_for_identity();
  identities_.emplace(identity_key(*cluster_, need.authority, need.http),
                      Named{*made, shared_->loop.now()});
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
    if (discovery_->offers(*next) && is_next(*next, need)) return next;
  }
  std::shared_ptr<Endpoint> chosen;
  if (policy_) {
    const auto now = shared_->loop.now();
    policy_->follow(endpoints, discovery_->generation(), now);
    chosen = policy_->pick(need.hash, need.avoid, now);
  } else {
    chosen = balancer_.pick(endpoints, need.avoid);
  }
  const bool tried = chosen && !(policy_ && policy_->hashes()) && listed(need.avoid, *chosen);
  if (chosen && !tried) return chosen;
  auto last = last_choice(need);
  return last ? last : chosen;
}

// One of a slow family's, where the others were tried or are ejected.
std::shared_ptr<Endpoint> Runtime::last_choice(const Need& need) {
  Endpoints good;
  for (const auto& endpoint : discovery_->last_choice()) {
    if (!listed(need.avoid, *endpoint) && healthy(*endpoint)) good.push_back(endpoint);
  }
  return good.empty() ? nullptr : good[shared_->random.below(good.size())];
}

bool Runtime::is_next(const Endpoint& next, const Need& need) const {
  return !listed(need.avoid, next) && (!policy_ || policy_->interchangeable(next));
}

// Of opaque bytes that they have a connection is all that is ever known; a request's answer is
// reported by who reads it.
void Runtime::report_opening(const Need& need, const Acquired& opened) {
  if (!load_->outlier || (opened && need.http)) return;
  if (!opened && opened.error().error.side != Side::upstream) return;
  if (!opened && opened.error().error.fault == Fault::overflow) return;
  if (!opened) return report_failed(opened.error().host);
  const auto endpoint = discovery_->at(opened->host);
  if (endpoint && endpoint->health) load_->outlier->connected(*endpoint);
}

// Istio takes a maxRetries of 0 for unset.
bool Runtime::begin_retry(RetrySlot& slot) {
  std::size_t most = cluster_->max_retries.value_or(0);
  if (cluster_->load && cluster_->load->retry_budget) {
    const auto& budget = *cluster_->load->retry_budget;
    const double share = budget.percent / 100 * double(load_->out + load_->pending);
    most = std::max<std::size_t>(static_cast<std::size_t>(share), budget.min_retry_concurrency);
  } else if (most == 0) {
    return true;
  }
  if (load_->retries >= most) {
    shared_->metrics.upstream_rq_retry_overflow.add();
    return false;
  }
  slot = RetrySlot(load_);
  return true;
}

RetrySlot::RetrySlot(std::shared_ptr<Load> of) : load_(std::move(of)) { ++load_->retries; }

RetrySlot::~RetrySlot() {
  if (load_) --load_->retries;
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

// An address that could not be reached.
void Runtime::report_failed(const SocketAddress& address) {
  const auto endpoint = load_->outlier ? discovery_->at(address) : nullptr;
  if (endpoint && endpoint->health) load_->outlier->failed(*endpoint, shared_->loop.now());
}

bool Runtime::in_use() const {
  bool used = false;
  each_endpoint(
      [&used](const Endpoint& endpoint) { used |= endpoint.active != 0 || endpoint.idle() != 0; });
  return used;
}

bool Runtime::sweep() {
  const auto now = shared_->loop.now();
  if (dynamic_) {
    const bool hosts_left = dynamic_->sweep();
    return cluster_.use_count() > 1 && (hosts_left || now - last_used_ < limits::upstream_unused);
  }
  follow_secrets();
  forget_unused_identities();
  bool in_use = false;
  each_endpoint([&](Endpoint& endpoint) {
    endpoint.sweep(now);
    in_use |= endpoint.active != 0 || endpoint.idle() != 0;
  });
  if (policy_) policy_->follow(discovery_->endpoints(), discovery_->generation(), now);
  std::erase_if(dialled_, [](const auto& entry) { return entry.second->unused(); });
  // Nobody but us knows the cluster any more: its resources are gone, or have become another
  // cluster.
  if (cluster_.use_count() == (discovery_ ? 2 : 1)) return false;
  if (discovery_ && now - last_used_ < limits::dns_keep_fresh) discovery_->refresh_due();
  return in_use || now - last_used_ < limits::upstream_unused;
}

Upstreams::ClusterInfo Runtime::describe() const {
  Upstreams::ClusterInfo out{cluster_->name, {}, {}};
  each_endpoint([&](const Endpoint& endpoint) {
    const bool ejected = endpoint.health && endpoint.health->ejected;
    out.endpoints.push_back({endpoint.address, ejected ? "/failed_outlier_check" : "healthy",
                             endpoint.active, endpoint.idle()});
    if (!cluster_->load || endpoint.group >= cluster_->load->groups.size()) return;
    const auto& group = cluster_->load->groups[endpoint.group];
    out.endpoints.back().priority = group.priority;
    out.endpoints.back().locality = group.locality;
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
