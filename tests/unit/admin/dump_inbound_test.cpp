// The listener of 15006 in /config_dump: a port's mode and protocol as filter chains.
#include <gtest/gtest.h>

#include "agent/admin/config_dump.h"
#include "agent/admin/json.h"

namespace sallyport::admin {
namespace {

using istio::MutualTls;
using mesh::PortKind;

mesh::InboundPortPtr port(uint16_t number, MutualTls mode, PortKind kind) {
  auto cluster = std::make_shared<mesh::Cluster>();
  cluster->name = "inbound|" + std::to_string(number) + "||";
  auto host = std::make_shared<mesh::VirtualHost>();
  host->name = "inbound|http|" + std::to_string(number);
  auto table = std::make_shared<mesh::RouteTable>();
  table->fallback = host;
  auto out = std::make_shared<mesh::InboundPort>();
  out->name = "0.0.0.0_" + std::to_string(number);
  out->port = number;
  out->kind = kind;
  out->mutual_tls.mode = mode;
  out->mutual_tls.from = std::make_shared<ResourceRef>(
      ResourceRef{"PeerAuthentication", "default", "mode", "rules.yaml", 12});
  out->cluster = cluster;
  out->http = table;
  return out;
}

int count(const std::string& text, std::string_view part) {
  int found = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) found++;
  return found;
}

std::string dumped(MutualTls mode, PortKind kind) {
  mesh::Snapshot snapshot;
  snapshot.inbound.by_port[8080] = port(8080, mode, kind);
  JsonWriter json;
  json.object([&] { dump_inbound(json, snapshot); });
  return json.take();
}

struct Case {
  MutualTls mode;
  PortKind kind;
  int terminating, tls, plain, http;  // filter chains
};
const Case cases[] = {
    {MutualTls::strict, PortKind::http, 1, 1, 0, 1},
    {MutualTls::strict, PortKind::tcp, 1, 1, 0, 0},
    {MutualTls::strict, PortKind::detect, 2, 2, 0, 1},
    {MutualTls::permissive, PortKind::http, 1, 1, 1, 2},
    {MutualTls::permissive, PortKind::tls, 1, 2, 1, 0},
    {MutualTls::permissive, PortKind::detect, 2, 3, 2, 2},
    {MutualTls::disable, PortKind::http, 0, 0, 0, 1},
    {MutualTls::disable, PortKind::detect, 0, 0, 1, 1},
};

TEST(DumpInbound, AModeAndAProtocolAreIstiosFilterChains) {
  for (const auto& [mode, kind, terminating, tls, plain, http] : cases) {
    const auto text = dumped(mode, kind);
    const auto name = "mode " + std::to_string(int(mode)) + " kind " + std::to_string(int(kind));
    EXPECT_EQ(count(text, "DownstreamTlsContext"), terminating) << name << text;
    EXPECT_EQ(count(text, "\"transport_protocol\": \"tls\""), tls) << name << text;
    EXPECT_EQ(count(text, "\"transport_protocol\": \"raw_buffer\""), plain) << name << text;
    EXPECT_EQ(count(text, "HttpConnectionManager"), http) << name << text;
    EXPECT_GT(count(text, "\"destination_port\": 8080"), 0) << name;
  }
}

TEST(DumpInbound, APolicyIsOfItsOwnGroup) {
  EXPECT_NE(dumped(MutualTls::strict, PortKind::http)
                .find("/apis/security.istio.io/v1/namespaces/default/peer-authentication/mode"),
            std::string::npos);
}

TEST(DumpInbound, AClosedPortHasNoChain) {
  mesh::Snapshot snapshot;
  auto closed =
      std::make_shared<mesh::InboundPort>(*port(8080, MutualTls::permissive, PortKind::http));
  closed->mutual_tls.refused.emplace();
  snapshot.inbound.by_port[8080] = closed;
  JsonWriter json;
  json.object([&] { dump_inbound(json, snapshot); });
  EXPECT_EQ(json.take().find("destination_port"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::admin
