#include "agent/istio/kind_names.h"

#include <algorithm>
#include <iterator>

namespace sallyport::istio {
namespace {

struct KnownKind {
  std::string_view kind, group;  // Kubernetes' core group is ""
};
constexpr KnownKind known_kinds[] = {{"ServiceEntry", "networking.istio.io"},
                                     {"DestinationRule", "networking.istio.io"},
                                     {"VirtualService", "networking.istio.io"},
                                     {"Gateway", "networking.istio.io"},
                                     {"WorkloadEntry", "networking.istio.io"},
                                     {"PeerAuthentication", "security.istio.io"},
                                     {"AuthorizationPolicy", "security.istio.io"},
                                     {"Sidecar", "networking.istio.io"},
                                     {"Telemetry", "telemetry.istio.io"},
                                     {"WorkloadGroup", "networking.istio.io"},
                                     {"EndpointSlice", "discovery.k8s.io"},
                                     {"Pod", ""},
                                     {"Service", ""},
                                     {"Secret", ""},
                                     {"ConfigMap", ""}};

bool known_version(std::string_view group, std::string_view version) {
  if (group.empty() || group == "discovery.k8s.io") return version == "v1";
  if (group == "telemetry.istio.io") return version == "v1" || version == "v1alpha1";
  if (group == "security.istio.io") return version == "v1" || version == "v1beta1";
  return version == "v1" || version == "v1beta1" || version == "v1alpha3";
}

}  // namespace

bool is_known_kind(std::string_view kind) {
  return std::any_of(std::begin(known_kinds), std::end(known_kinds),
                     [&](const KnownKind& known) { return known.kind == kind; });
}

bool is_of_istio(std::string_view kind) {
  return std::any_of(std::begin(known_kinds), std::end(known_kinds), [&](const KnownKind& known) {
    return known.kind == kind && known.group.ends_with(".istio.io");
  });
}

bool protects(std::string_view kind) {
  return kind == "ServiceEntry" || kind == "DestinationRule" || kind == "VirtualService" ||
         kind == "PeerAuthentication" || kind == "AuthorizationPolicy" || kind == "Sidecar" ||
         kind == "Gateway";
}

Standing standing_of(std::string_view api_version, std::string_view kind) {
  const std::size_t slash = api_version.find('/');
  const bool core = slash == std::string_view::npos;
  const std::string_view group = core ? std::string_view() : api_version.substr(0, slash);
  const std::string_view version = core ? api_version : api_version.substr(slash + 1);
  for (const KnownKind& known : known_kinds) {
    if (known.kind != kind || known.group != group) continue;
    return known_version(group, version) ? Standing::read : Standing::bad_version;
  }
  const bool of_istio = group.ends_with(".istio.io") || group == "gateway.networking.k8s.io";
  return of_istio ? Standing::unsupported : Standing::foreign;
}

}  // namespace sallyport::istio
