#include "agent/mesh/proxy_views.h"

#include <set>

#include "agent/core/limits.h"
#include "agent/istio/labels.h"

namespace sallyport::mesh {
namespace {

const istio::Labels* selector_in(const std::optional<istio::Labels>& selector) {
  return selector ? &*selector : nullptr;
}

// Of the workloads that it is for; null: all.
const istio::Labels* selector_of(const istio::Resource& resource) {
  if (const auto* rule = std::get_if<istio::DestinationRule>(&resource))
    return selector_in(rule->workload_selector);
  if (const auto* sidecar = std::get_if<istio::Sidecar>(&resource))
    return selector_in(sidecar->workload_selector);
  if (const auto* policy = std::get_if<istio::PeerAuthentication>(&resource))
    return selector_in(policy->selector);
  if (const auto* policy = std::get_if<istio::AuthorizationPolicy>(&resource))
    return selector_in(policy->selector);
  if (const auto* telemetry = std::get_if<istio::Telemetry>(&resource))
    return selector_in(telemetry->selector);
  return nullptr;
}

// Whether proxies of its namespace may read it otherwise than others do.
bool concerns_proxies(const istio::Resource& resource) {
  return selector_of(resource) || std::holds_alternative<istio::DestinationRule>(resource) ||
         std::holds_alternative<istio::ServiceEntry>(resource) ||
         std::holds_alternative<istio::VirtualService>(resource) ||
         std::holds_alternative<istio::PeerAuthentication>(resource) ||
         std::holds_alternative<istio::AuthorizationPolicy>(resource) ||
         std::holds_alternative<istio::Sidecar>(resource) ||
         std::holds_alternative<istio::Telemetry>(resource);
}

// Views by namespace and labels, each once.
class ProxyViews {
public:
  explicit ProxyViews(istio::Proxy::Type type) : type_(type) {}
  void add(const std::string& namespace_name, const istio::Labels& labels, std::string name = {}) {
    if (out_.size() >= limits::validated_proxies) return;
    if (!known_.emplace(namespace_name, labels).second) return;
    istio::Proxy proxy;
    proxy.type = type_;
    proxy.name = std::move(name);
    proxy.namespace_name = namespace_name;
    proxy.labels = labels;
    out_.push_back(std::move(proxy));
  }
  std::vector<istio::Proxy> take() { return std::move(out_); }

private:
  istio::Proxy::Type type_;
  std::set<std::pair<std::string, istio::Labels>> known_;
  std::vector<istio::Proxy> out_;
};

}  // namespace

std::vector<istio::Proxy> sidecar_views(const Resources& resources) {
  ProxyViews out(istio::Proxy::Type::sidecar);
  for (const auto& resource : resources) {
    if (!concerns_proxies(*resource)) continue;
    const auto& space = istio::metadata_of(*resource).namespace_name();
    out.add(space, {});
    if (const auto* selector = selector_of(*resource)) out.add(space, *selector);
  }
  return out.take();
}

std::vector<istio::Proxy> router_views(const Resources& resources,
                                       const std::vector<PodLabels>& pods) {
  ProxyViews out(istio::Proxy::Type::router);
  std::set<istio::Labels> taken;  // selectors that pods are known for
  for (const auto& resource : resources) {
    const auto* gateway = std::get_if<istio::Gateway>(resource.get());
    if (!gateway || taken.contains(gateway->selector)) continue;
    for (const auto& pod : pods) {
      // Every pod of the cluster has the labels of an empty selector, and few are a gateway's.
      if (gateway->selector.empty() || !istio::selects(gateway->selector, pod.labels)) continue;
      taken.insert(gateway->selector);
      out.add(pod.namespace_name, pod.labels, pod.name);
    }
    if (!taken.contains(gateway->selector))
      out.add(gateway->metadata.namespace_name(), gateway->selector);
  }
  return out.take();
}

}  // namespace sallyport::mesh
