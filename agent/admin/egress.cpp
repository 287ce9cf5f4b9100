#include "agent/admin/egress.h"

#include "agent/admin/json.h"
#include "agent/mesh/decide.h"
#include "agent/mesh/decide_udp.h"
#include "agent/observe/log_time.h"

namespace sallyport::admin {
namespace {

using observe::EgressDestination;
using observe::EgressProtocol;

bool is_outside(const mesh::Snapshot& snapshot, const mesh::ClusterPtr& cluster) {
  return cluster == snapshot.passthrough || cluster == snapshot.black_hole;
}

bool is_declared_http(const mesh::Snapshot& snapshot, const EgressDestination& one) {
  const std::string authority = one.name.empty() ? one.address.text() : one.name;
  const mesh::RequestFacts facts{.authority = authority, .path = "/", .method = "GET"};
  const auto plan = mesh::decide_request(snapshot, one.port, {one.address, one.port}, facts);
  if (!plan.route) return true;  // of a host with routes, none of which is this path's
  if (!plan.cluster) return plan.route->from != nullptr;
  return !is_outside(snapshot, *plan.cluster);
}

bool is_declared_tcp(const mesh::Snapshot& snapshot, const EgressDestination& one) {
  const SocketAddress to(one.address, one.port);
  const bool tls = one.protocol == EgressProtocol::tls;
  const sniff::Preface preface{.protocol = tls ? sniff::Protocol::tls : sniff::Protocol::opaque,
                               .sni = tls ? one.name : std::string()};
  const auto plan =
      mesh::decide_connection(snapshot, mesh::find_listener(snapshot, to), to, preface);
  return !is_outside(snapshot, plan.cluster);
}

bool is_declared_udp(const mesh::Snapshot& snapshot, const EgressDestination& one) {
  using Kind = mesh::UdpFlow::Kind;
  if (!snapshot.udp) return false;  // --udp-policy is off
  const bool quic = one.protocol == EgressProtocol::quic;
  const auto plan = mesh::decide_udp(snapshot, {.destination = {one.address, one.port},
                                                .kind = quic ? Kind::quic : Kind::other,
                                                .sni = one.name});
  return !plan.cluster || !is_outside(snapshot, plan.cluster);
}

bool is_declared(const mesh::Snapshot& snapshot, const EgressDestination& one) {
  switch (one.protocol) {
    case EgressProtocol::http:
      return is_declared_http(snapshot, one);
    case EgressProtocol::tls:
    case EgressProtocol::tcp:
      return is_declared_tcp(snapshot, one);
    case EgressProtocol::quic:
    case EgressProtocol::udp:
      return is_declared_udp(snapshot, one);
  }
  return false;
}

std::string time_text(int64_t unix_us) {
  char text[observe::LogTime::size_max];
  return {text, observe::LogTime().write(text, unix_us)};
}

void write_destination(JsonWriter& out, const EgressDestination& one) {
  out.object([&] {
    out.field("name", one.name);
    if (one.by_dns) out.field("nameByDns", true);
    out.field("address", one.address.text());
    out.field("port", one.port);
    out.field("protocol", observe::name_of(one.protocol));
    out.field("passed", one.passed);
    out.field("refused", one.refused);
    out.field("declared", one.declared);
    out.field("firstSeen", time_text(one.first_us));
    out.field("lastSeen", time_text(one.last_us));
    out.array("processes", [&] {
      for (const auto& process : one.processes) out.value(process);
    });
  });
}

}  // namespace

void judge(const mesh::Snapshot& snapshot, observe::EgressReport& report) {
  report.registry_only = mesh::registry_only(snapshot);
  for (auto& one : report.destinations) one.declared = is_declared(snapshot, one);
}

std::string egress_json(const observe::EgressReport& report) {
  JsonWriter out;
  out.object([&] {
    out.field("outboundTrafficPolicy", report.registry_only ? "REGISTRY_ONLY" : "ALLOW_ANY");
    out.field("since", time_text(report.since_us));
    out.field("beyond", report.beyond);
    out.array("destinations", [&] {
      for (const auto& one : report.destinations) write_destination(out, one);
    });
  });
  return out.take();
}

}  // namespace sallyport::admin
