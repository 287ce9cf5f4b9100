// What meshConfig.trustDomain and trustDomainAliases make of the principals that a policy names
// (istio/istio:pilot/pkg/security/trustdomain): those of one mesh stand for each other. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::mesh {

class TrustDomains {
public:
  // The mesh's own first.
  explicit TrustDomains(std::vector<std::string> domains) : domains_(std::move(domains)) {}

  // "td1/ns/foo/sa/bar" once for each domain, where td1 is one of them or "cluster.local" (which
  // stands for the mesh's own); another domain's, and what has no trust domain, stays as it is.
  std::vector<std::string> of_principals(const std::vector<std::string>& principals) const;
  // One of them becomes all of them.
  std::vector<std::string> of_domains(const std::vector<std::string>& values) const;

private:
  void add_principal(const std::string& principal, std::vector<std::string>& out) const;

  std::vector<std::string> domains_;
};

}  // namespace sallyport::mesh
