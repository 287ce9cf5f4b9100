// The route table of a gateway's HTTP servers: of those that share a port without TLS, or of one
// that ends it. Pure.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/mesh/compile_gateway.h"
#include "agent/mesh/gateway_rules.h"
#include "agent/mesh/gateway_servers.h"

namespace sallyport::mesh {

class GatewayTable {
public:
  GatewayTable(const GatewayParts& parts, const GatewayRules& rules,
               std::vector<istio::Finding>& findings)
      : parts_(parts), rules_(rules), findings_(findings) {}
  // In the order of the servers: routes for one host are merged, those that take everything last.
  void add(const BoundServer& server);
  // A host of a refused Gateway: answered 503 where no good server that was added has it.
  void close(const std::string& host, const istio::Refused& refused);
  // `old` (may be null): its parts are used again where nothing changed.
  std::shared_ptr<const RouteTable> finish(std::string name,
                                           const std::shared_ptr<const RouteTable>& old);

private:
  void add_service(const BoundServer& server, const BoundService& bound);
  void add_redirects(const BoundServer& server);
  VirtualHost& host_of(const std::string& name, const BoundServer& server);

  const GatewayParts& parts_;
  const GatewayRules& rules_;
  std::vector<istio::Finding>& findings_;
  std::map<std::string, VirtualHost> hosts_;
  // Of VirtualServices that were refused: hosts that only they have.
  std::vector<std::pair<std::string, const istio::Refused*>> broken_;
  uint16_t port_ = 0;  // of the first server, as it is written
};

}  // namespace sallyport::mesh
