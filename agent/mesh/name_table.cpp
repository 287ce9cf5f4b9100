#include "agent/mesh/name_table.h"

#include <algorithm>

#include "agent/mesh/auto_allocation.h"
#include "agent/mesh/known_services.h"
#include "agent/mesh/service_workloads.h"

namespace sallyport::mesh {
namespace {

void add_address(NameTable::Host& host, const IpAddress& ip) {
  auto& list = ip.is_v4() ? host.v4 : host.v6;
  if (std::find(list.begin(), list.end(), ip) == list.end()) list.push_back(ip);
}

bool has_address(const NameTable::Host& host) { return !host.v4.empty() || !host.v6.empty(); }

NameTable::Host host_of(const KnownService& service) {
  NameTable::Host host;
  if (!service.service) return host;
  host.kubernetes = true;
  host.short_name = service.metadata->name();
  host.namespace_name = service.metadata->namespace_name();
  return host;
}

// It has no address, and its clients dial who serves it: a headless Service, and a ServiceEntry
// whose resolution is NONE. One without ports is nobody's for Istio.
bool is_its_endpoints(const KnownService& service) {
  if (service.service) return service.headless() && !service.service->ports.empty();
  const auto& entry = *service.entry;
  return entry.resolution == istio::Resolution::none && entry.addresses.empty() &&
         !entry.ports.empty();
}

class NameCompiler {
public:
  NameCompiler(const CompileInput& input, ServiceWorkloads& workloads)
      : input_(input), workloads_(workloads) {}
  void add(const KnownService& service);
  NameTable::Hosts take() { return std::move(hosts_); }

private:
  void add_endpoints(const KnownService& service, NameTable::Host& host);
  void merge(const std::string& name, NameTable::Host host);

  const CompileInput& input_;
  ServiceWorkloads& workloads_;
  NameTable::Hosts hosts_;
  std::vector<istio::Finding> told_elsewhere_;
};

// Those of a StatefulSet have names of their own, in the place of the service's first label.
void NameCompiler::add_endpoints(const KnownService& service, NameTable::Host& host) {
  const bool unready_too = service.service && service.service->publish_not_ready;
  const auto dot = service.host.find('.');
  for (const auto& one : workloads_.of(service, told_elsewhere_).workloads) {
    const auto ip = IpAddress::parse(one.entry.address);
    if (!ip || (!one.ready && !unready_too)) continue;
    add_address(host, *ip);
    if (one.subdomain.empty() || dot == service.host.npos) continue;
    NameTable::Host pod;
    pod.kubernetes = host.kubernetes;
    pod.short_name = std::string(one.host_name) + "." + std::string(one.subdomain);
    pod.namespace_name = service.metadata->namespace_name();
    add_address(pod, *ip);
    const std::string name = pod.short_name + service.host.substr(dot);
    merge(name, std::move(pod));
  }
  workloads_.forget();
}

void NameCompiler::add(const KnownService& service) {
  if (service.only_routed_to) return;
  NameTable::Host host = host_of(service);
  // Of a ServiceEntry's own addresses both families lead here, whatever the pod has.
  for (const auto& ip : service.addresses)
    if (!service.service || has_family(input_.proxy, ip.is_v4())) add_address(host, ip);
  if (is_its_endpoints(service)) add_endpoints(service, host);
  merge(service.host, std::move(host));
}

// A Service beats ServiceEntries of its host; of those each adds its addresses.
void NameCompiler::merge(const std::string& name, NameTable::Host host) {
  if (!has_address(host)) return;
  const auto [at, made] = hosts_.try_emplace(name, host);
  if (made) return;
  auto& known = at->second;
  if (known.kubernetes && !host.kubernetes) return;
  if (host.kubernetes && !known.kubernetes) {
    known = std::move(host);
    return;
  }
  for (const auto* list : {&host.v4, &host.v6})
    for (const auto& ip : *list) add_address(known, ip);
}

void put_text(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out.append(",\"").append(name).append("\":\"").append(value).append("\"");
}

}  // namespace

NameTable::NameTable(Hosts hosts, std::string_view namespace_name, std::string_view service_domain)
    : hosts_(std::move(hosts)) {
  by_name_.reserve(2 * hosts_.size());
  for (const auto& [name, host] : hosts_) {
    by_name_.insert_or_assign(name, &host);
    has_wildcards_ |= name.starts_with("*.");
  }
  const auto first = service_domain.substr(0, service_domain.find('.'));
  for (const auto& [name, host] : hosts_) {
    if (!host.kubernetes || !name.ends_with(service_domain)) continue;
    const std::string in_namespace = host.short_name + "." + host.namespace_name;
    by_name_.try_emplace(in_namespace, &host);
    by_name_.try_emplace(in_namespace + "." + std::string(first), &host);
    if (host.namespace_name == namespace_name) by_name_.try_emplace(host.short_name, &host);
  }
}

const NameTable::Host* NameTable::find(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : at->second;
}

NameTablePtr compile_names(const CompileInput& input, const std::vector<KnownService>& services,
                           ServiceWorkloads& workloads, const NameTablePtr& old) {
  NameCompiler names(input, workloads);
  for (const auto& service : services) names.add(service);
  auto hosts = names.take();
  if (old && old->hosts() == hosts) return old;
  return std::make_shared<const NameTable>(std::move(hosts), input.proxy.namespace_name,
                                           "svc." + input.mesh.cluster_domain);
}

namespace {

// A name of a host, or a host's with the search domain behind it: that one is an alias, so that the
// client's resolver need not go through its whole list.
std::optional<NameAnswer> find_exactly(const NameTable& table, std::string_view name,
                                       std::string_view search_domain) {
  const NameTable::Host* const host = table.find(name);
  const bool expanded = !search_domain.empty() && name.size() > search_domain.size() + 1 &&
                        name.ends_with(search_domain) &&
                        name[name.size() - search_domain.size() - 1] == '.';
  if (expanded) {
    const auto shorter = name.substr(0, name.size() - search_domain.size() - 1);
    const auto* const of_shorter = table.find(shorter);
    if (of_shorter && of_shorter != host && !shorter.ends_with(search_domain))
      return NameAnswer{shorter, of_shorter->v4, of_shorter->v6};
  }
  if (!host) return std::nullopt;
  return NameAnswer{{}, host->v4, host->v6};
}

}  // namespace

std::optional<NameAnswer> find_name(const NameTable& table, std::string_view name,
                                    std::string_view search_domain, NameRoom& room) {
  if (name.size() + 2 > room.size()) return std::nullopt;
  if (auto found = find_exactly(table, name, search_domain)) return found;
  if (!table.has_wildcards()) return std::nullopt;
  // "*.b.c" for "a.b.c", then "*.c".
  for (auto dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1)) {
    const auto rest = name.substr(dot);
    room[0] = '*';
    std::copy(rest.begin(), rest.end(), room.begin() + 1);
    if (auto found = find_exactly(table, {room.data(), rest.size() + 1}, search_domain))
      return found;
  }
  return std::nullopt;
}

std::string names_as_json(const NameTable& table) {
  std::string out = "{\"table\":{";
  for (const auto& [name, host] : table.hosts()) {
    if (out.back() != '{') out += ',';
    out.append("\"").append(name).append("\":{\"ips\":[");
    for (const auto* list : {&host.v4, &host.v6}) {
      for (const auto& ip : *list)
        out.append(out.back() == '[' ? "\"" : ",\"").append(ip.text()).append("\"");
    }
    out += "]";
    put_text(out, "registry", host.kubernetes ? "Kubernetes" : "External");
    put_text(out, "shortname", host.short_name);
    put_text(out, "namespace", host.namespace_name);
    out += "}";
  }
  return out + "}}";
}

}  // namespace sallyport::mesh
