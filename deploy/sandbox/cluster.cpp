#include "deploy/sandbox/cluster.h"

#include <algorithm>
#include <sstream>

namespace sallyport::sandbox {
namespace {

constexpr const char* hosts_annotation = "sandbox.sallyport.io/hosts";
constexpr uint32_t outside_ttl_seconds = 30;

IpAddress v6_of(const char* network, std::size_t index) {
  char text[64];
  std::snprintf(text, sizeof text, "%s%zx", network, index);
  return *IpAddress::parse(text);
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::vector<std::string> words_of(std::string text) {
  std::replace(text.begin(), text.end(), ',', ' ');
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

void declare(DnsZone& zone, const ObjectMeta& meta, const std::vector<IpAddress>& addresses) {
  const auto hosts = meta.annotations.find(hosts_annotation);
  if (hosts == meta.annotations.end()) return;
  for (const std::string& host : words_of(hosts->second)) {
    DnsName& name = zone[lower(host)];
    name.ttl_seconds = outside_ttl_seconds;
    name.addresses.insert(name.addresses.end(), addresses.begin(), addresses.end());
  }
}

Result<DnsName> declared_name(const std::string& host, const std::string& value) {
  DnsName name{.ttl_seconds = outside_ttl_seconds};
  for (const std::string& word : words_of(value)) {
    if (word == "servfail") {
      name.behaviour = DnsName::Behaviour::server_fails;
    } else if (word == "silent") {
      name.behaviour = DnsName::Behaviour::silent;
    } else if (const auto ip = IpAddress::parse(word)) {
      name.addresses.push_back(*ip);
    } else {
      return Error{
          Fault::protocol,
          Side::local,
          false,
          "ConfigMap sandbox-dns: " + host + ": " + word + " is no address, servfail or silent",
          {}};
    }
  }
  return name;
}

DnsName service_name(const Service& service, const ServiceIps& ips,
                     const std::vector<Backend>& pods) {
  DnsName name;
  name.alias = lower(service.external_name);
  if (!name.alias.empty()) return name;
  if (const auto given = ips.find(service.meta.key()); given != ips.end())
    name.addresses = given->second;
  if (!service.headless) return name;
  for (const Backend* backend : backends_of(service, pods)) {
    if (service.ipv4) name.addresses.push_back(backend->ipv4);
    if (service.ipv6) name.addresses.push_back(backend->ipv6);
  }
  return name;
}

// The number of a target port in one pod; 0 when the pod has no port of that name.
uint16_t target_port(const ServicePort& port, const Pod& pod) {
  if (!port.target.empty() && port.target.find_first_not_of("0123456789") == std::string::npos) {
    return static_cast<uint16_t>(std::stoul(port.target));
  }
  for (const Container& container : pod.containers) {
    for (const ContainerPort& each : container.ports) {
      if (each.name == port.target && each.tcp == port.tcp) return each.number;
    }
  }
  return 0;
}

void add_port_rules(std::string& nat, std::string& filter, const IpAddress& ip,
                    const ServicePort& port, const std::vector<const Backend*>& backends) {
  std::vector<SocketAddress> targets;
  for (const Backend* backend : backends) {
    const uint16_t number = target_port(port, *backend->pod);
    if (number) targets.emplace_back(ip.is_v4() ? backend->ipv4 : backend->ipv6, number);
  }
  const std::string match = " -d " + ip.text() + " -p " + (port.tcp ? "tcp" : "udp") + " --dport " +
                            std::to_string(port.port);
  if (targets.empty()) filter += "-A FORWARD" + match + " -j REJECT\n";
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const std::size_t left = targets.size() - i;
    nat += "-A PREROUTING" + match;
    if (left > 1) {
      nat += " -m statistic --mode random --probability " +
             std::to_string(1.0 / static_cast<double>(left));
    }
    nat += " -j DNAT --to-destination " + targets[i].text() + "\n";
  }
}

}  // namespace

IpAddress pod_ipv4(std::size_t index) {
  return IpAddress::v4(0xC6120100U + static_cast<uint32_t>(index));
}
IpAddress pod_ipv6(std::size_t index) { return v6_of("2001:db8:18::1:", index + 1); }
IpAddress service_ipv4(std::size_t index) {
  return IpAddress::v4(0xC6130001U + static_cast<uint32_t>(index));
}
IpAddress service_ipv6(std::size_t index) { return v6_of("2001:db8:19::", index + 1); }

void assign(const std::vector<Service>& services, ServiceIps& ips, std::size_t& next) {
  for (const Service& service : services) {
    if (!service.external_name.empty() || ips.count(service.meta.key())) continue;
    std::vector<IpAddress>& given = ips[service.meta.key()];
    if (service.headless || next >= services_max) continue;
    if (service.ipv4) given.push_back(service_ipv4(next));
    if (service.ipv6) given.push_back(service_ipv6(next));
    ++next;
  }
}

std::vector<const Backend*> backends_of(const Service& service, const std::vector<Backend>& pods) {
  std::vector<const Backend*> backends;
  for (const Backend& backend : pods) {
    const ObjectMeta& meta = backend.pod->meta;
    const bool selected =
        !service.selector.empty() && meta.namespace_name == service.meta.namespace_name &&
        std::all_of(service.selector.begin(), service.selector.end(), [&](const auto& label) {
          const auto own = meta.labels.find(label.first);
          return own != meta.labels.end() && own->second == label.second;
        });
    if (selected && (backend.ready || service.publish_not_ready)) backends.push_back(&backend);
  }
  return backends;
}

Result<DnsZone> dns_zone(const Manifests& manifests, const ServiceIps& ips,
                         const std::vector<Backend>& pods) {
  DnsZone zone;
  for (const Service& service : manifests.services) {
    const DnsName name = service_name(service, ips, pods);
    zone[lower(service.meta.name + "." + service.meta.namespace_name + ".svc.cluster.local")] =
        name;
    declare(zone, service.meta, name.addresses);
  }
  for (const Backend& backend : pods)
    declare(zone, backend.pod->meta, {backend.ipv4, backend.ipv6});
  for (const DataObject& map : manifests.config_maps) {
    if (map.meta.name != "sandbox-dns") continue;
    for (const auto& [host, value] : map.data) {
      auto name = declared_name(host, value);
      if (!name) return name.error();
      zone[lower(host)] = *name;
    }
  }
  return zone;
}

std::string service_rules(bool v6, const std::vector<Service>& services, const ServiceIps& ips,
                          const std::vector<Backend>& pods) {
  std::string nat, filter;
  for (const Service& service : services) {
    const auto given = ips.find(service.meta.key());
    if (given == ips.end()) continue;
    const auto backends = backends_of(service, pods);
    for (const IpAddress& ip : given->second) {
      if (ip.is_v6() != v6) continue;
      for (const ServicePort& port : service.ports) add_port_rules(nat, filter, ip, port, backends);
    }
  }
  // A pod that reaches itself through a Service must not see its own address as the peer's.
  for (const Backend& backend : pods) {
    const std::string ip = (v6 ? backend.ipv6 : backend.ipv4).text();
    nat += "-A POSTROUTING -s " + ip + " -d " + ip + " -j MASQUERADE\n";
  }
  return "*filter\n:FORWARD ACCEPT [0:0]\n" + filter + "COMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\n" +
         ":POSTROUTING ACCEPT [0:0]\n" + nat + "COMMIT\n";
}

}  // namespace sallyport::sandbox
