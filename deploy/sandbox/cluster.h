// The sandbox's cluster as seen from the network: addresses of pods and Services, who stands behind
// a Service, the names in DNS, and the NAT rules that carry a cluster address to a pod. Pure.
//
// Addresses: from the benchmarking and documentation ranges (RFC 2544, RFC 3849), inside the
// sandbox's own network namespaces, so that any number of sandboxes use the same ones side by side.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "deploy/sandbox/config_view.h"
#include "deploy/sandbox/dns_answer.h"
#include "deploy/sandbox/manifest.h"

namespace sallyport::sandbox {

inline constexpr const char* node_ipv4 = "198.18.0.1";
inline constexpr const char* node_ipv6 = "2001:db8:18::1";
inline constexpr const char* dns_ipv4 = "198.18.0.10";
inline constexpr const char* dns_ipv6 = "2001:db8:18::a";
inline constexpr const char* service_range_ipv4 = "198.19.0.0/16";
inline constexpr const char* service_range_ipv6 = "2001:db8:19::/112";
inline constexpr std::size_t pods_max = 1000;
inline constexpr std::size_t services_max = 60000;

IpAddress pod_ipv4(std::size_t index);  // 0 … pods_max-1
IpAddress pod_ipv6(std::size_t index);
IpAddress service_ipv4(std::size_t index);  // 0 … services_max-1
IpAddress service_ipv6(std::size_t index);

struct Backend {  // a pod, as Services and DNS see it
  const Pod* pod = nullptr;
  IpAddress ipv4, ipv6;
  bool ready = false;
};

// Cluster addresses by "namespace/name": given once, never moved while the sandbox lives.
using ServiceIps = std::map<std::string, std::vector<IpAddress>>;

// Gives addresses to Services that have none yet; headless and ExternalName ones get an empty list
// and none.
void assign(const std::vector<Service>& services, ServiceIps& ips, std::size_t& next);

// The pods behind a Service, in order of start: labels match, same namespace, ready (or
// publishNotReadyAddresses).
std::vector<const Backend*> backends_of(const Service& service, const std::vector<Backend>& pods);

// Names of Services, and the outside names that a sample declares: annotation
// `sandbox.sallyport.io/hosts` of a pod or Service (list, wildcards allowed) and ConfigMaps
// `sandbox-dns` (name → addresses, "servfail", or "silent"). Error: a ConfigMap entry that is
// neither.
Result<DnsZone> dns_zone(const Manifests& manifests, const ServiceIps& ips,
                         const std::vector<Backend>& pods);

// The whole nat and filter tables of the node for iptables-restore (v6: ip6tables-restore).
std::string service_rules(bool v6, const std::vector<Service>& services, const ServiceIps& ips,
                          const std::vector<Backend>& pods);

}  // namespace sallyport::sandbox
