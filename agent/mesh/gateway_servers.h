// The servers of all Gateways that this proxy serves, merged by the port that they are bound to, as
// istiod merges them (istio-api.md 1.5, 2.3; istio/istio:pilot/pkg/model/gateway.go). Pure. Points
// into the CompileInput, which must outlive it.
//
// Where istiod goes by the order of the documents we don't: a plaintext HTTP server and TLS servers
// share a port whichever comes first (istio-api.md 7).
#pragma once
#include <string>
#include <vector>

#include "agent/mesh/compile.h"

namespace sallyport::mesh {

struct BoundServer {
  const istio::Gateway* gateway = nullptr;
  const istio::GatewayServer* server = nullptr;
  std::string gateway_name;              // "NAMESPACE/NAME"
  std::vector<istio::ServerHost> hosts;  // `.` is the Gateway's namespace by now
  uint16_t port = 0;                     // that is bound

  const ResourceRefPtr& ref() const { return gateway->metadata.ref; }
  // "https.443.https-webapp.coolstore-gateway.default", "http.8080"; bytes get a name of that form.
  std::string route_name() const;
};

// What one address and port serve.
struct ServerGroup {
  std::string bind;  // an IP address, or "unix://" and a path; empty: every address
  uint16_t port = 0;
  SocketAddress unix_socket;       // that `bind` is
  std::vector<BoundServer> plain;  // HTTP ones that are merged, or a single TCP one
  std::vector<BoundServer> tls;    // no host twice
};

class GatewayServers {
public:
  GatewayServers(const CompileInput& input, std::vector<istio::Finding>& findings);

  const std::vector<ServerGroup>& groups() const { return groups_; }
  // Refused Gateways that are, or may be, for this proxy.
  const std::vector<const istio::Refused*>& refused() const { return refused_; }
  // Where a server's port is bound: the targetPort of this proxy's Service, else the same.
  uint16_t bound_port(uint16_t number) const;

private:
  void add(const istio::Gateway& gateway);
  void add(BoundServer server);
  void add_plain(ServerGroup& group, BoundServer server);
  void add_tls(ServerGroup& group, BoundServer server);
  ServerGroup& group_of(const BoundServer& server);
  void skip(const BoundServer& server, std::string why);

  std::vector<istio::Finding>& findings_;
  std::vector<std::pair<uint16_t, uint16_t>> targets_;  // service's port, targetPort
  std::vector<ServerGroup> groups_;
  // Of each group's tls: who has a host.
  std::vector<ByText<std::pair<const istio::Gateway*, const istio::GatewayServer*>>> taken_;
  std::vector<const istio::Refused*> refused_;
};

// Whether a VirtualService of that namespace may bind to the host.
bool admits(const istio::ServerHost& host, std::string_view namespace_name);

}  // namespace sallyport::mesh
