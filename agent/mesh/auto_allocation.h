// Addresses of their own for hosts that name none, so that a name which only the mesh knows can be
// dialled and leads back to its service (istio-api.md 2.17; istio/istio:pilot/pkg/serviceregistry/
// serviceentry/auto_allocation.go, whose addresses these are). Pure.
//
// A host's follow from its namespace and name. Other hosts move them seldom: one whose hash is the
// same, and one that comes to stand where an address would end in 255, which moves all behind it on
// by one.
#pragma once
#include <string_view>
#include <vector>

#include "agent/core/address.h"
#include "agent/mesh/compile.h"
#include "agent/mesh/host_table.h"

namespace sallyport::mesh {

struct AllocatedAddresses {
  IpAddress v4, v6;  // of 240.240.0.0/16 and 2001:2::/48
};

// Whether the pod has an address of the family; where none of its addresses is known, it has both.
bool has_family(const istio::Proxy& proxy, bool v4);

class AutoAllocation {
public:
  // Of the ServiceEntries of all namespaces, in their order, that a proxy sees or not. `findings`
  // is told once of all that are too many (65,024 hosts have addresses).
  AutoAllocation(const Resources& resources, std::vector<istio::Finding>& findings);

  // Of one host (lower case) of `entry`, in the families that `proxy` has (both where its addresses
  // are not known): those that its status names (Istio's controller writes them), else its own.
  // Empty: it is to have none.
  std::vector<IpAddress> of(const istio::ServiceEntry& entry, std::string_view host,
                            const istio::Proxy& proxy) const;

private:
  ByText<AllocatedAddresses> by_key_;  // "namespace/host"
};

}  // namespace sallyport::mesh
