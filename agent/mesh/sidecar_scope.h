// Which Sidecar resource is this proxy's, and what it lets the proxy see (istio-api.md 1.6;
// istio/istio:pilot/pkg/model/sidecar.go). Pure. Points into the CompileInput, which must outlive
// it.
//
// A refused Sidecar with no good version leaves the services of the mesh seen, as Istio does, and
// closes what no service declares: what it would have said of that is not known, and REGISTRY_ONLY
// must not be opened by a typo.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "agent/mesh/compile.h"

namespace sallyport::mesh {

// The oldest of the proxy's namespace whose workloadSelector selects it, else the oldest there
// without one, else the oldest without one in the root namespace. Null: none, everything is seen;
// so it is on a gateway.
const istio::Sidecar* chosen_sidecar(const CompileInput& input);

class SidecarScope {
public:
  explicit SidecarScope(const CompileInput& input);

  const istio::Sidecar* sidecar() const { return sidecar_; }
  // Whether a service's port is imported: by the egress listener of that port, else by the one for
  // the rest. `host`: lower case, may be a wildcard.
  bool sees_service(std::string_view host, std::string_view namespace_name, uint16_t port) const;
  // Whether any egress listener imports a VirtualService with this host.
  bool sees_rules_of(std::string_view host, std::string_view namespace_name) const;
  bool sees_all() const { return sees_all_; }

  // outboundTrafficPolicy: the Sidecar's, else the mesh's.
  bool allow_any() const { return allow_any_; }
  const istio::Refused* refused() const { return refused_; }  // why it is closed; null: it is not

private:
  struct Host {
    std::string namespace_name, name;  // either may be `*`
    bool excluded = false;
  };
  struct EgressListener {
    uint16_t port = 0;  // 0: for the rest
    std::vector<Host> hosts;
  };
  static bool imports(const EgressListener& listener, std::string_view host,
                      std::string_view namespace_name, bool either_way);

  const istio::Sidecar* sidecar_ = nullptr;
  const istio::Refused* refused_ = nullptr;
  std::vector<EgressListener> listeners_;
  bool sees_all_ = true;  // no Sidecar, or one without egress
  bool allow_any_ = true;
};

}  // namespace sallyport::mesh
