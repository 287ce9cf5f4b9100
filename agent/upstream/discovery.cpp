#include "agent/upstream/discovery.h"

#include <algorithm>

#include "agent/core/limits.h"

namespace sallyport::upstream {

Discovery::Discovery(std::shared_ptr<Shared> shared, mesh::ClusterPtr cluster)
    : shared_(std::move(shared)), cluster_(std::move(cluster)) {
  for (std::size_t i = 0; i < cluster_->endpoints.size(); ++i) {
    if (!cluster_->endpoints[i].ip.is_set()) names_.push_back({i});
  }
  rebuild();
}

Discovery::~Discovery() {
  for (const auto& endpoint : endpoints_) endpoint->retire();
}

bool Discovery::worth_waiting() const {
  const auto now = shared_->loop.now();
  for (const Name& name : names_) {
    if (!name.resolving) continue;
    if (endpoints_.empty()) return true;
    // A name that never had an answer holds up nobody while others have one.
    if (!name.addresses.empty() && now - name.expires > limits::dns_overdue) return true;
  }
  return false;
}

net::Task<void> Discovery::prepare() {
  if (names_.empty()) co_return;
  const auto self = shared_from_this();
  refresh_due();
  while (worth_waiting()) co_await changed_.wait();
}

void Discovery::refresh_due() {
  const auto now = shared_->loop.now();
  for (std::size_t i = 0; i < names_.size(); ++i) {
    Name& name = names_[i];
    if (name.slow_until != Clock::time_point() && now >= name.slow_until) {
      name.slow_until = {};
      rebuild();
    }
    if (name.resolving || now < name.expires) continue;
    name.resolving = true;
    shared_->loop.spawn(resolve(weak_from_this(), shared_,
                                cluster_->endpoints[name.configured].host, i,
                                cluster_->dns_refresh_rate));
  }
}

net::Task<void> Discovery::resolve(std::weak_ptr<Discovery> weak, std::shared_ptr<Shared> shared,
                                   std::string host, std::size_t name,
                                   std::chrono::milliseconds retry_after) {
  auto answer = co_await shared->resolver.resolve(std::move(host), retry_after);
  if (const auto self = weak.lock()) self->answered(self->names_[name], std::move(answer));
}

void Discovery::answered(Name& name, Result<dns::Answer> answer) {
  const auto now = shared_->loop.now();
  name.resolving = false;
  if (answer) {
    name.problem.reset();
    name.addresses = std::move(answer->addresses);
    name.expires = now + answer->ttl;
  } else {
    // The resolver keeps what is worth keeping; an error means that there are no addresses.
    name.problem = answer.error();
    name.addresses.clear();
    name.expires = now + limits::dns_negative_ttl;
  }
  rebuild();
  changed_.wake_all(shared_->loop);
}

// All but those of the slow family, where others are left.
std::vector<IpAddress> Discovery::usable(const Name& name) const {
  const auto now = shared_->loop.now();
  std::vector<IpAddress> out;
  for (const IpAddress& ip : name.addresses) {
    if (!name.slow(ip, now)) out.push_back(ip);
  }
  return out.empty() ? name.addresses : out;
}

const Discovery::Name* Discovery::name_of(const SocketAddress& address) const {
  const auto found = std::find_if(names_.begin(), names_.end(), [&](const Name& name) {
    return cluster_->endpoints[name.configured].port == address.port() &&
           std::find(name.addresses.begin(), name.addresses.end(), address.ip()) !=
               name.addresses.end();
  });
  return found == names_.end() ? nullptr : &*found;
}

std::vector<SocketAddress> Discovery::addresses_for(const SocketAddress& chosen) const {
  std::vector<SocketAddress> out{chosen};
  const Name* const name = name_of(chosen);
  if (!name || name->addresses.size() == 1) return out;
  const auto now = shared_->loop.now();
  const auto& all = name->addresses;
  const auto start =
      static_cast<std::size_t>(std::find(all.begin(), all.end(), chosen.ip()) - all.begin());
  // From the chosen one on, so that not always the same address takes over.
  std::vector<SocketAddress> other_family, same_family, slow;
  for (std::size_t i = 1; i < all.size(); ++i) {
    const IpAddress& ip = all[(start + i) % all.size()];
    auto& group = name->slow(ip, now)                 ? slow
                  : ip.is_v6() == chosen.ip().is_v6() ? same_family
                                                      : other_family;
    group.emplace_back(ip, chosen.port());
  }
  for (std::size_t i = 0; i < std::max(other_family.size(), same_family.size()); ++i) {
    if (i < other_family.size()) out.push_back(other_family[i]);
    if (i < same_family.size()) out.push_back(same_family[i]);
  }
  out.insert(out.end(), slow.begin(), slow.end());
  out.resize(std::min(out.size(), limits::connect_addresses));
  return out;
}

void Discovery::overtaken(const SocketAddress& tried, const SocketAddress& used) {
  if (tried.ip().is_v6() == used.ip().is_v6()) return;
  const Name* const found = name_of(used);
  if (!found) return;
  Name& name = names_[static_cast<std::size_t>(found - names_.data())];
  name.slow_v6 = tried.ip().is_v6();
  name.slow_until = shared_->loop.now() + limits::slow_family;
  rebuild();
}

std::shared_ptr<Endpoint> Discovery::at(const SocketAddress& address) const {
  const auto found = std::find_if(endpoints_.begin(), endpoints_.end(), [&](const auto& endpoint) {
    return endpoint->address == address;
  });
  return found == endpoints_.end() ? nullptr : *found;
}

void Discovery::rebuild() {
  ++generation_;
  problem_.reset();
  for (const Name& name : names_) {
    if (name.problem) problem_ = name.problem;
  }
  if (cluster_->discovery == mesh::Discovery::logical_dns) return rebuild_logical();
  Endpoints next;
  const auto add = [&](SocketAddress address, const mesh::Endpoint& as) {
    const auto same = [&](const auto& endpoint) { return endpoint->address == address; };
    if (std::any_of(next.begin(), next.end(), same)) return;
    const auto known = std::find_if(endpoints_.begin(), endpoints_.end(), same);
    next.push_back(known != endpoints_.end()
                       ? *known
                       : std::make_shared<Endpoint>(address, as.weight, as.group));
  };
  for (const mesh::Endpoint& configured : cluster_->endpoints) {
    if (configured.ip.is_set()) add({configured.ip, configured.port}, configured);
  }
  for (const Name& name : names_) {
    const mesh::Endpoint& configured = cluster_->endpoints[name.configured];
    for (const IpAddress& ip : usable(name)) add({ip, configured.port}, configured);
  }
  const Endpoints before = std::exchange(endpoints_, std::move(next));
  for (const auto& endpoint : before) {
    if (std::find(endpoints_.begin(), endpoints_.end(), endpoint) == endpoints_.end()) {
      endpoint->retire();
    }
  }
}

// One endpoint whose address follows DNS: new connections go to the first address, old ones are
// kept.
void Discovery::rebuild_logical() {
  const mesh::Endpoint* first = nullptr;
  IpAddress ip;
  if (!cluster_->endpoints.empty()) {
    first = &cluster_->endpoints.front();
    ip = first->ip;
    if (!names_.empty() && names_.front().configured == 0 && !names_.front().addresses.empty()) {
      ip = usable(names_.front()).front();
    }
  }
  if (!first || !ip.is_set()) {
    for (const auto& endpoint : endpoints_) endpoint->retire();
    endpoints_.clear();
  } else if (endpoints_.empty()) {
    endpoints_.push_back(std::make_shared<Endpoint>(SocketAddress(ip, first->port), first->weight));
  } else {
    endpoints_.front()->address = {ip, first->port};
  }
}

}  // namespace sallyport::upstream
