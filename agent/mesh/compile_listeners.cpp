#include "agent/mesh/compile_listeners.h"

#include <algorithm>

#include "agent/mesh/host_names.h"
#include "agent/mesh/reuse.h"

namespace sallyport::mesh {
namespace {

// The names besides its host under which HTTP requests reach a service (2.1).
std::vector<std::string> other_names(const KnownService& service, const istio::Proxy& proxy) {
  std::vector<std::string> out;
  if (service.service) {
    const auto name = lower(service.metadata->name());
    const auto& space = service.metadata->namespace_name();
    if (space == proxy.namespace_name) out.push_back(name);
    out.push_back(name + "." + space);
    out.push_back(name + "." + space + ".svc");
    if (service.headless()) out.push_back("*." + service.host);
  }
  for (const auto& ip : service.addresses) out.push_back(ip.text());
  return out;
}

VirtualHost one_route(std::string name, Route route, ResourceRefPtr from) {
  VirtualHost out;
  out.name = std::move(name);
  out.routes.push_back(std::move(route));
  out.from = std::move(from);
  return out;
}

bool guards(const ClusterPtr& cluster) {
  if (!cluster) return false;
  return cluster->refused || (cluster->tls.mode != Originate::none && !cluster->tls.automatic);
}

bool guards(const RouteTable& table) {
  const auto guarded = [](const auto& entry) {
    const auto& routes = entry.second->routes;
    return std::any_of(routes.begin(), routes.end(), [](const Route& route) {
      return guards(route.cluster) ||
             std::any_of(route.split.begin(), route.split.end(),
                         [](const WeightedCluster& to) { return guards(to.cluster); });
    });
  };
  return std::any_of(table.hosts.exact.begin(), table.hosts.exact.end(), guarded) ||
         std::any_of(table.hosts.suffix.begin(), table.hosts.suffix.end(), guarded);
}

template <class Map, class Key>
typename Map::mapped_type find_or_null(const Map& map, const Key& key) {
  const auto at = map.find(key);
  return at == map.end() ? nullptr : at->second;
}

}  // namespace

ListenerBuilder::ListenerBuilder(const Sources& sources, std::vector<istio::Finding>& findings)
    : input_(sources.input),
      previous_(sources.previous),
      virtual_services_(sources.virtual_services),
      routes_(sources.routes),
      scope_(sources.scope),
      findings_(findings) {}

ListenerBuilder::Draft& ListenerBuilder::port_draft(uint16_t port) {
  const auto [at, made] = ports_.try_emplace(port);
  if (made) {
    at->second.listener.name = "0.0.0.0_" + std::to_string(port);
    at->second.table.name = std::to_string(port);
    const auto old = previous_ ? find_or_null(previous_->by_port, port) : nullptr;
    if (old && old->http) at->second.table.hosts.exact.reserve(old->http->hosts.exact.size());
  }
  return at->second;
}

ListenerBuilder::Draft& ListenerBuilder::address_draft(const IpAddress& ip, uint16_t port) {
  const auto [at, made] = addresses_.try_emplace(SocketAddress(ip, port));
  if (made) at->second.listener.name = ip.text() + "_" + std::to_string(port);
  return at->second;
}

CidrRoute& ListenerBuilder::cidr_route(Draft& draft, const Cidr& block) {
  auto& all = draft.listener.by_cidr;
  const auto at =
      std::find_if(all.begin(), all.end(), [&](const auto& route) { return route.block == block; });
  if (at != all.end()) return *at;
  all.push_back({block, {}, {}});
  return all.back();
}

// By its VirtualService, where one has rules for this port.
std::vector<Route> ListenerBuilder::routes_of(const KnownService& service, uint16_t port,
                                              const ClusterPtr& cluster) {
  if (const auto* known = virtual_services_.find(service.host); known && !known->closed) {
    auto routes = routes_.compile(*known, port, &findings_);
    if (!routes.empty()) return routes;
  }
  std::vector<Route> routes;
  routes.push_back(routes_.plain(cluster));
  return routes;
}

ListenerBuilder::HostPtr ListenerBuilder::old_host(const KnownService& service,
                                                   uint16_t port) const {
  if (!previous_) return nullptr;
  auto listener = find_or_null(previous_->by_port, port);
  if (!listener && !service.addresses.empty()) {
    listener = find_or_null(previous_->by_address, SocketAddress(service.addresses.front(), port));
  }
  const auto* found =
      listener && listener->http ? listener->http->hosts.find(service.host) : nullptr;
  return found ? *found : nullptr;
}

ListenerBuilder::HostPtr ListenerBuilder::virtual_host(const KnownService& service,
                                                       const KnownPort& port,
                                                       const ClusterPtr& cluster) {
  auto old = old_host(service, port.port->number);
  // Of last time's, where only its plain route to the same cluster is in it.
  if (old && input_.changes && old->from == service.metadata->ref && old->routes.size() == 1 &&
      old->routes.front().cluster == cluster && !old->routes.front().from &&
      !virtual_services_.find(service.host)) {
    return old;
  }
  VirtualHost next;
  next.name = service.host + ":" + std::to_string(port.port->number);
  next.routes = routes_of(service, port.port->number, cluster);
  next.from = service.metadata->ref;
  return reuse(std::move(next), old);
}

void ListenerBuilder::add_routes(Draft& draft, const KnownService& service,
                                 const HostPtr& virtual_host) {
  draft.has_routes = true;
  draft.only_tcp = false;
  add_host(draft.table.hosts, service.host, virtual_host);
  for (auto& name : other_names(service, input_.proxy)) {
    names_.push_back({&draft, std::move(name), virtual_host});
  }
}

void ListenerBuilder::add_detected(const KnownService& service, const KnownPort& port,
                                   const TcpRoute& route) {
  const auto number = port.port->number;
  const auto host = virtual_host(service, port, route.cluster);
  for (const auto* addresses : {&service.addresses, &service.pods}) {
    for (const auto& ip : *addresses) {
      auto& draft = address_draft(ip, number);
      draft.table.name = service.host + ":" + std::to_string(number);
      add_routes(draft, service, host);
      set_tcp(draft, service, port, route);
    }
  }
  if (!service.addresses.empty() && service.blocks.empty()) {
    guests_.push_back({&service, number, host});
    return;
  }
  auto& draft = port_draft(number);
  add_routes(draft, service, host);
  for (const auto& block : service.blocks) {
    auto& cidr = cidr_route(draft, block);
    if (!cidr.tcp) cidr.tcp = route;
  }
  if (!service.blocks.empty()) return;
  add_host(draft.listener.by_sni, service.host, route);
  if (service.entry) set_tcp(draft, service, port, route);
}

// Where no rule of requests would be passed by: neither of a VirtualService, nor of TLS by Host.
void ListenerBuilder::add_http2(const KnownService& service, const KnownPort& port,
                                const TcpRoute& route) {
  const bool in_mesh = service.service || service.entry->location == istio::Location::mesh_internal;
  if (!in_mesh || route.cluster->refused || route.cluster->tls.of_rule()) return;
  for (const auto& ip : service.addresses) http2_.try_emplace({ip, port.port->number}, route);
}

void ListenerBuilder::add(const KnownService& service, const KnownPort& port,
                          const ClusterPtr& own) {
  served_.insert(service.host);
  const auto* rules = virtual_services_.find(service.host);
  const ClusterPtr& cluster = rules && rules->closed ? rules->closed : own;
  const TcpRoute route{"", cluster};
  switch (port.kind) {
    case PortKind::http: {
      auto& draft = port_draft(port.port->number);
      draft.listener.declared_http = true;
      if (!rules) add_http2(service, port, route);
      return add_routes(draft, service, virtual_host(service, port, cluster));
    }
    case PortKind::tls:
      return add_tls(service, port, route);
    case PortKind::tcp:
      return add_tcp(service, port, route);
    case PortKind::detect:
      return add_detected(service, port, route);
    case PortKind::other:
      return;
  }
}

void ListenerBuilder::close_host(const std::string& host, const ClusterPtr& closed) {
  Route route;
  route.name = "default";
  route.cluster = closed;
  route.retry.attempts = route.retry.on = 0;
  const auto& from = closed->rule ? closed->rule : closed->service;
  closed_.emplace_back(
      host, std::make_shared<const VirtualHost>(one_route(host, std::move(route), from)));
}

void ListenerBuilder::close_hosts(Draft& draft) const {
  for (const auto& [host, virtual_host] : closed_) {
    if (draft.has_routes) add_host(draft.table.hosts, host, virtual_host);
    add_host(draft.listener.by_sni, host, TcpRoute{"", virtual_host->routes.front().cluster});
  }
}

std::shared_ptr<const RouteTable> ListenerBuilder::seal_table(Draft& draft,
                                                              const Listener* old) const {
  draft.table.fallback = fallback_;
  draft.table.guarded = guards(draft.table);
  return reuse(std::move(draft.table), old ? old->http : nullptr);
}

std::shared_ptr<const Listener> ListenerBuilder::seal(
    Draft& draft, const std::shared_ptr<const Listener>& old) const {
  // Where only addresses tell TCP services apart, no bytes are read: no host can be closed there.
  draft.listener.declared_tcp = draft.only_tcp;
  if (!draft.only_tcp) close_hosts(draft);
  if (draft.has_routes) draft.listener.http = seal_table(draft, old.get());
  std::stable_sort(
      draft.listener.by_cidr.begin(), draft.listener.by_cidr.end(),
      [](const auto& a, const auto& b) { return a.block.prefix() > b.block.prefix(); });
  return reuse(std::move(draft.listener), old);
}

// A VirtualService for a name that no service has works on every HTTP port (measured).
void ListenerBuilder::add_unserved_hosts() {
  for (const auto& [host, known] : virtual_services_.names()) {
    if (served_.contains(host)) continue;
    for (auto& [port, draft] : ports_) {
      if (!draft.has_routes) continue;
      VirtualHost next;
      next.name = host + ":" + std::to_string(port);
      next.routes = routes_.compile(*known, port, nullptr);
      next.from = known->service->metadata.ref;
      if (next.routes.empty()) continue;
      const auto listener = previous_ ? find_or_null(previous_->by_port, port) : nullptr;
      const auto* found = listener && listener->http ? listener->http->hosts.find(host) : nullptr;
      add_host(draft.table.hosts, host, reuse(std::move(next), found ? *found : nullptr));
    }
  }
}

void ListenerBuilder::make_fallback(const Snapshot& next) {
  const bool allow = scope_.allow_any();
  Route route;
  route.name = allow ? "allow_any" : "block_all";
  route.retry.attempts = route.retry.on = 0;
  if (allow) route.cluster = next.passthrough;
  if (!allow) route.direct_status = 502;
  fallback_ = reuse(one_route(route.name, route, nullptr),
                    previous_ ? previous_->unlisted->fallback : nullptr);
}

void ListenerBuilder::finish_unlisted(Snapshot& next) {
  const bool allow = scope_.allow_any();
  Draft draft;
  draft.listener.name = draft.table.name = "virtualOutbound";
  draft.has_routes = true;
  // Under REGISTRY_ONLY all of it is refused anyway. Without closed hosts there is nothing to read
  // the bytes for, as with Istio's passthrough.
  const bool reads = allow && !closed_.empty();
  if (!closed_.empty()) close_hosts(draft);
  if (!reads) draft.listener.by_sni = {};
  draft.table.fallback = fallback_;
  draft.table.guarded = guards(draft.table);
  next.unlisted = reuse(std::move(draft.table), previous_ ? previous_->unlisted : nullptr);
  if (reads) draft.listener.http = next.unlisted;
  next.catch_all = reuse(std::move(draft.listener), previous_ ? previous_->catch_all : nullptr);
}

void ListenerBuilder::finish(Snapshot& next) {
  const bool allow = scope_.allow_any();
  next.unmatched = {"", allow ? next.passthrough : next.black_hole};
  make_fallback(next);
  for (const auto& guest : guests_) {
    const auto at = ports_.find(guest.port);
    if (at != ports_.end() && at->second.has_routes)
      add_routes(at->second, *guest.service, guest.virtual_host);
  }
  add_unserved_hosts();
  for (auto& name : names_) add_host(name.draft->table.hosts, name.host, name.virtual_host);
  for (auto& [port, draft] : ports_) {
    next.by_port[port] = seal(draft, previous_ ? find_or_null(previous_->by_port, port) : nullptr);
  }
  for (auto& [address, draft] : addresses_) {
    next.by_address[address] =
        seal(draft, previous_ ? find_or_null(previous_->by_address, address) : nullptr);
  }
  next.http2 = std::move(http2_);
  finish_unlisted(next);
}

}  // namespace sallyport::mesh
