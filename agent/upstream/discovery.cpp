#include "agent/upstream/discovery.h"

#include <algorithm>

#include "agent/core/limits.h"

namespace sallyport::upstream {
namespace {

bool same_addresses(std::vector<IpAddress> a, std::vector<IpAddress> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

}  // namespace

Discovery::Discovery(std::shared_ptr<Shared> shared, mesh::ClusterPtr cluster, dns::NamedBy by)
    : shared_(std::move(shared)), cluster_(std::move(cluster)), by_(by) {
  for (std::size_t i = 0; i < cluster_->endpoints.size(); ++i) {
    if (cluster_->endpoints[i].by_name()) names_.push_back({i});
  }
  rebuild();
}

Discovery::~Discovery() {
  for (const auto* some : {&endpoints_, &last_choice_}) {
    for (const auto& endpoint : *some) endpoint->retire();
  }
}

const Error* Discovery::problem() const {
  const Error* out = nullptr;
  for (const Name& name : names_) {
    if (name.problem) out = &*name.problem;
  }
  return out;
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
                                cluster_->dns_refresh_rate, by_));
  }
}

net::Task<void> Discovery::resolve(std::weak_ptr<Discovery> weak, std::shared_ptr<Shared> shared,
                                   std::string host, std::size_t name,
                                   std::chrono::milliseconds retry_after, dns::NamedBy by) {
  auto answer = co_await shared->resolver.resolve(std::move(host), retry_after, by);
  if (const auto self = weak.lock()) self->answered(self->names_[name], std::move(answer));
}

void Discovery::answered(Name& name, Result<dns::Answer> answer) {
  const auto now = shared_->loop.now();
  name.resolving = false;
  std::vector<IpAddress> next;
  if (answer) {
    name.problem.reset();
    next = std::move(answer->addresses);
    name.expires = now + answer->ttl;
    if (!answer->stale) name.good_until = name.expires + limits::dns_keep_stale;
  } else {
    // The resolver keeps what is worth keeping, unless it had to forget the name.
    const Fault fault = answer.error().fault;
    const bool unasked = fault == Fault::overflow || fault == Fault::timed_out;
    if (unasked && now < name.good_until) next = name.addresses;
    name.problem = answer.error();
    name.expires = now + limits::dns_negative_ttl;
  }
  // Servers turn the order of their answers: only a logical name's first address matters.
  const bool same = same_addresses(name.addresses, next);
  name.addresses = std::move(next);
  if (!same || cluster_->discovery == mesh::Discovery::logical_dns) rebuild();
  changed_.wake_all(shared_->loop);
}

bool Discovery::any_fast(const Name& name) const {
  const auto now = shared_->loop.now();
  return std::any_of(name.addresses.begin(), name.addresses.end(),
                     [&](const IpAddress& ip) { return !name.slow(ip, now); });
}

const Discovery::Name* Discovery::name_of(const SocketAddress& address) const {
  if (cluster_->discovery != mesh::Discovery::logical_dns) {
    const auto at = by_address_.find(address);
    return at == by_address_.end() || !at->second.name ? nullptr : &names_[*at->second.name];
  }
  if (names_.empty() || cluster_->endpoints[names_[0].configured].port != address.port()) {
    return nullptr;
  }
  const auto& all = names_[0].addresses;
  return std::find(all.begin(), all.end(), address.ip()) == all.end() ? nullptr : &names_[0];
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
  if (cluster_->discovery == mesh::Discovery::logical_dns) {
    const bool there = !endpoints_.empty() && endpoints_.front()->address == address;
    return there ? endpoints_.front() : nullptr;
  }
  const auto found = by_address_.find(address);
  return found == by_address_.end() ? nullptr : found->second.endpoint;
}

bool Discovery::offers(const Endpoint& endpoint) const {
  if (cluster_->discovery == mesh::Discovery::logical_dns) {
    return !endpoints_.empty() && endpoints_.front().get() == &endpoint;
  }
  const auto found = by_address_.find(endpoint.address);
  return found != by_address_.end() && found->second.endpoint.get() == &endpoint &&
         !found->second.slow;
}

void Discovery::rebuild() {
  if (cluster_->discovery == mesh::Discovery::logical_dns) return rebuild_logical();
  const auto now = shared_->loop.now();
  ByAddress next;
  std::vector<Known*> in_order;
  const auto add = [&](SocketAddress address, const mesh::Endpoint& as,
                       std::optional<std::size_t> name, bool slow) {
    const auto [at, first] = next.try_emplace(address);
    if (!first) return;
    const auto known = by_address_.find(address);
    at->second = {known != by_address_.end()
                      ? known->second.endpoint
                      : std::make_shared<Endpoint>(address, as.weight, as.group, as.mesh_tls),
                  name, slow};
    in_order.push_back(&at->second);
  };
  for (const mesh::Endpoint& configured : cluster_->endpoints) {
    if (!configured.by_name()) add(configured.address(), configured, {}, false);
  }
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const Name& name = names_[i];
    const mesh::Endpoint& configured = cluster_->endpoints[name.configured];
    const bool fast = any_fast(name);
    for (const IpAddress& ip : name.addresses) {
      add({ip, configured.port}, configured, i, fast && name.slow(ip, now));
    }
  }
  list(in_order, next);
  for (const auto& [address, known] : by_address_) {
    if (!next.contains(address)) known.endpoint->retire();
  }
  by_address_ = std::move(next);
}

// Who stays keeps its place: a set that is the same in another order is the same list.
void Discovery::list(const std::vector<Known*>& in_order, ByAddress& by_address) {
  Endpoints next;
  last_choice_.clear();
  for (const auto& endpoint : endpoints_) {
    const auto at = by_address.find(endpoint->address);
    if (at == by_address.end() || at->second.slow) continue;
    at->second.listed = true;
    next.push_back(endpoint);
  }
  for (const Known* known : in_order) {
    if (!known->listed) (known->slow ? last_choice_ : next).push_back(known->endpoint);
  }
  if (next == endpoints_) return;
  endpoints_ = std::move(next);
  ++generation_;
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
      const Name& name = names_.front();
      const auto now = shared_->loop.now();
      const auto fast = std::find_if(name.addresses.begin(), name.addresses.end(),
                                     [&](const IpAddress& one) { return !name.slow(one, now); });
      ip = fast == name.addresses.end() ? name.addresses.front() : *fast;
    }
  }
  if (first && ip.is_set() && !endpoints_.empty()) {
    endpoints_.front()->address = {ip, first->port};
    return;
  }
  if (endpoints_.empty() && !(first && ip.is_set())) return;
  ++generation_;
  for (const auto& endpoint : endpoints_) endpoint->retire();
  endpoints_.clear();
  if (first && ip.is_set()) {
    endpoints_.push_back(std::make_shared<Endpoint>(SocketAddress(ip, first->port), first->weight,
                                                    first->group, first->mesh_tls));
  }
}

}  // namespace sallyport::upstream
