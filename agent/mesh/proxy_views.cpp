#include "agent/mesh/proxy_views.h"

namespace sallyport::mesh {
namespace {

const istio::Labels* selector_in(const std::optional<istio::Labels>& selector) {
  return selector ? &*selector : nullptr;
}

}  // namespace

bool concerns_proxies(const istio::Resource& resource) {
  return selector_of(resource) || std::holds_alternative<istio::DestinationRule>(resource) ||
         std::holds_alternative<istio::ServiceEntry>(resource) ||
         std::holds_alternative<istio::VirtualService>(resource) ||
         std::holds_alternative<istio::PeerAuthentication>(resource) ||
         std::holds_alternative<istio::AuthorizationPolicy>(resource) ||
         std::holds_alternative<istio::Sidecar>(resource) ||
         std::holds_alternative<istio::Telemetry>(resource);
}

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

}  // namespace sallyport::mesh
