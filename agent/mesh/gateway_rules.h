// The VirtualServices that bind to gateways of this proxy (istio-api.md 1.4, 2.3, 2.14). Pure.
// Points into the CompileInput, which must outlive it.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/mesh/compile.h"
#include "agent/mesh/delegation.h"
#include "agent/mesh/gateway_servers.h"

namespace sallyport::mesh {

struct BoundService {
  ServiceRules rules;              // as they hold behind this gateway
  std::vector<std::string> hosts;  // lower case, short names expanded
  const istio::VirtualService& service() const { return *rules.service; }
};

class GatewayRules {
public:
  GatewayRules(const CompileInput& input, std::vector<istio::Finding>& findings);

  // Those that name the server's gateway and have a host that may be one of its own, in the order
  // in which istiod merges them: exported to its own namespace alone, to this proxy's by name, to
  // everybody; the oldest first.
  std::vector<const BoundService*> of(const BoundServer& server) const;
  // Hosts of refused ones that name the gateway.
  std::vector<std::pair<std::string, const istio::Refused*>> refused(
      std::string_view gateway_name) const;

private:
  struct Bound {
    std::vector<BoundService> services;
    ByText<std::vector<std::size_t>> by_name;  // hosts that are no wildcards
    std::vector<std::size_t> wildcards;        // services with one
  };
  void add(const istio::VirtualService& service, const Delegation& delegation,
           std::vector<istio::Finding>& findings);

  const CompileInput& input_;
  std::map<std::string, Bound, std::less<>> by_gateway_;
};

// istiod's Names.Intersection: of two hosts that overlap the narrower one. `namespace_name`: of the
// VirtualService that has `hosts`.
std::vector<std::string> common_hosts(const BoundServer& server,
                                      const std::vector<std::string>& hosts,
                                      std::string_view namespace_name);
std::vector<std::string> common_hosts(const BoundServer& server, const BoundService& bound);
// Whether all of `host` is the server's, whoever may bind to it.
bool has_host(const BoundServer& server, std::string_view host);
// Whether a tls or tcp match holds behind this server: there only port and gateway count.
bool holds_behind(const istio::L4Match& match, const istio::VirtualService& service,
                  const BoundServer& server);

}  // namespace sallyport::mesh
