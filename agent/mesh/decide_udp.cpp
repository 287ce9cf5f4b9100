#include "agent/mesh/decide_udp.h"

#include <algorithm>

#include "agent/mesh/decide.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {
namespace {

void add_udp_port(UdpTable& table, const KnownService& service, uint16_t port) {
  const auto& from = service.metadata->ref;
  for (const auto* addresses : {&service.addresses, &service.pods})
    for (const auto& ip : *addresses) table.by_address.try_emplace({ip, port}, from);
  for (const auto& block : service.blocks) table.blocks.push_back({block, port, from});
  add_host(table.by_host[port], service.host, from);
  if (!service.entry) return;
  for (const auto& endpoint : service.entry->endpoints) {
    const auto ip = IpAddress::parse(endpoint.address);
    if (ip) table.by_address.try_emplace({*ip, port}, from);
  }
}

// By its own address, or by the name that a QUIC client says.
ResourceRefPtr declared_by(const UdpTable& declared, const UdpFlow& flow) {
  if (const auto at = declared.by_address.find(flow.destination); at != declared.by_address.end())
    return at->second;
  for (const auto& one : declared.blocks) {
    if (one.port == flow.destination.port() && one.block.contains(flow.destination.ip()))
      return one.from;
  }
  const auto hosts = declared.by_host.find(flow.destination.port());
  if (hosts == declared.by_host.end() || flow.sni.empty()) return nullptr;
  const auto* const found = hosts->second.find(flow.sni);
  return found ? *found : nullptr;
}

// Where the sidecar would dial this very address for this name, too.
bool leads_there(const Cluster& cluster, const SocketAddress& destination) {
  if (cluster.discovery == Discovery::original_dst) return true;
  return std::any_of(cluster.endpoints.begin(), cluster.endpoints.end(), [&](const auto& one) {
    return !one.by_name() && one.address() == destination;
  });
}

UdpPlan refuse_udp(std::string_view why, ClusterPtr cluster, ResourceRefPtr from = nullptr) {
  return {false, why, std::move(from), std::move(cluster)};
}

// As TLS over TCP with the same name to the same address would be.
UdpPlan decide_quic(const Snapshot& snapshot, const UdpFlow& flow) {
  const sniff::Preface preface{.protocol = sniff::Protocol::tls, .sni = std::string(flow.sni)};
  const auto plan = decide_connection(snapshot, find_listener(snapshot, flow.destination),
                                      flow.destination, preface);
  if (!plan.cluster)  // not of TLS
    return refuse_udp("its requests are routed by the sidecar", snapshot.black_hole);
  const Cluster& cluster = *plan.cluster;
  if (plan.action == Action::refuse)
    return refuse_udp("by TCP it would be refused, too", plan.cluster, cluster.service);
  if (cluster.tls.mode != Originate::none)
    return refuse_udp("a rule has the sidecar speak TLS there, which HTTP/3 would pass by",
                      plan.cluster, cluster.tls.rule ? cluster.tls.rule : cluster.service);
  if (registry_only(snapshot) && !leads_there(cluster, flow.destination))
    return refuse_udp("the sidecar would choose where this name leads", plan.cluster,
                      cluster.service);
  return {true, "as TLS by TCP", cluster.service, plan.cluster};
}

// A host could be meant that a rule speaks of: which, nobody can tell.
UdpPlan decide_unread(const Snapshot& snapshot) {
  if (registry_only(snapshot))
    return refuse_udp("a QUIC ClientHello that can't be read", snapshot.black_hole);
  const auto has_rule = [&](const auto& named) {
    const ClusterPtr& cluster = named.second;
    return cluster != snapshot.black_hole && (cluster->refused || cluster->tls.of_rule());
  };
  const bool ruled = std::any_of(snapshot.clusters.begin(), snapshot.clusters.end(), has_rule);
  if (ruled)
    return refuse_udp("a QUIC ClientHello that can't be read may name a host with a rule",
                      snapshot.black_hole);
  return {true, "no rule speaks of any host", nullptr, snapshot.passthrough};
}

}  // namespace

UdpTable compile_udp(const std::vector<KnownService>& services) {
  UdpTable table;
  for (const auto& service : services) {
    if (service.only_routed_to) continue;
    for (const auto& port : service.ports)
      if (port.port->protocol == "UDP") add_udp_port(table, service, port.port->number);
  }
  return table;
}

UdpPlan decide_udp(const Snapshot& snapshot, const UdpFlow& flow) {
  if (auto from = declared_by(*snapshot.udp, flow))
    return {true, "a declared UDP port", from, nullptr};
  if (flow.kind == UdpFlow::Kind::quic) return decide_quic(snapshot, flow);
  if (flow.kind == UdpFlow::Kind::unread) return decide_unread(snapshot);
  if (registry_only(snapshot))
    return refuse_udp("nothing declares this UDP address and port", snapshot.black_hole);
  return {true, "the mesh allows any destination", nullptr, snapshot.passthrough};
}

}  // namespace sallyport::mesh
