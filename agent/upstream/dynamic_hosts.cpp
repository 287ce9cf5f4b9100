#include "agent/upstream/dynamic_hosts.h"

#include <algorithm>

#include "agent/core/limits.h"
#include "agent/upstream/runtime.h"

namespace sallyport::upstream {

DynamicHosts::DynamicHosts(std::shared_ptr<Shared> shared, const mesh::Cluster& cluster,
                           std::shared_ptr<Load> load)
    : shared_(std::move(shared)), cluster_(cluster), load_(std::move(load)) {}

DynamicHosts::~DynamicHosts() = default;

// The dialled port, unless the resource gives another for the servers (targetPort).
DynamicHosts::Key DynamicHosts::key_of(const Need& need) const {
  uint16_t port = cluster_.original_dst_port;
  if (port == 0) port = need.original_destination.port();
  return {need.authority, port != 0 ? port : cluster_.port};
}

std::shared_ptr<Runtime> DynamicHosts::known(const Need& need) const {
  const auto at = hosts_.find(key_of(need));
  return at == hosts_.end() ? nullptr : at->second.runtime;
}

Result<std::shared_ptr<Runtime>> DynamicHosts::runtime_for(const Need& need) {
  const auto refuse = [this](Fault fault, std::string_view why) {
    return Error{fault, Side::upstream, false, cluster_.name + ": " + std::string(why),
                 cluster_.service ? cluster_.service->text() : ""};
  };
  if (need.authority.empty()) {
    return refuse(Fault::unresolved,
                  "DYNAMIC_DNS asks for the host that the client names, and it named none "
                  "(no Host, no SNI)");
  }
  if (auto runtime = known(need)) return runtime;
  if (hosts_.size() >= limits::dynamic_hosts && !make_room()) {
    return refuse(Fault::overflow, "as many hosts as it may have are in use");
  }
  const Key key = key_of(need);
  auto cluster = std::make_shared<mesh::Cluster>(cluster_);
  cluster->discovery = mesh::Discovery::logical_dns;
  cluster->endpoints = {mesh::Endpoint{.host = std::string(key.host), .port = key.port}};
  if (cluster->load) {  // there is nothing to choose from
    cluster->load->hash.reset();
    cluster->load->outlier.reset();
    cluster->load->warmup.reset();
    cluster->load->groups.clear();
  }
  auto runtime = std::make_shared<Runtime>(shared_, cluster, load_);
  const std::string_view host = cluster->endpoints.front().host;
  hosts_.emplace(Key{host, key.port}, Host{cluster, runtime});
  return runtime;
}

bool DynamicHosts::make_room() {
  auto oldest = hosts_.end();
  for (auto at = hosts_.begin(); at != hosts_.end(); ++at) {
    if (at->second.runtime->in_use()) continue;
    if (oldest == hosts_.end() ||
        at->second.runtime->last_used() < oldest->second.runtime->last_used()) {
      oldest = at;
    }
  }
  if (oldest == hosts_.end()) return false;
  hosts_.erase(oldest);
  return true;
}

bool DynamicHosts::sweep() {
  for (auto at = hosts_.begin(); at != hosts_.end();) {
    at = at->second.runtime->sweep() ? std::next(at) : hosts_.erase(at);
  }
  return !hosts_.empty();
}

net::Task<Acquired> Runtime::open_dynamic(std::shared_ptr<Runtime> self, Need need) {
  self->last_used_ = self->shared_->loop.now();
  auto host = self->dynamic_->runtime_for(need);
  if (!host) co_return Failure{host.error(), {}};
  auto opening = open(std::move(*host), need);
  auto opened = co_await opening;
  // It has an endpoint as soon as its name has an address.
  if (!opened && opened.error().error.fault == Fault::no_endpoint) {
    Failure failure = opened.error();
    failure.error.fault = Fault::unresolved;
    co_return std::move(failure);
  }
  co_return std::move(opened);
}

}  // namespace sallyport::upstream
