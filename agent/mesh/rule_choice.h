// Which DestinationRule applies to a service, for this proxy (istio-api.md 2.2, 1.3, 7): the
// client's namespace, then the service's, then the root namespace; the first with any matching host
// wins; in it the most specific host, then a rule whose workloadSelector selects this proxy before
// one without.
//
// A refused DestinationRule takes part: where it would be asked, nobody knows what it wanted, so
// the service is closed.
#pragma once
#include <string>
#include <vector>

#include "agent/mesh/compile.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {

struct SubsetChoice {
  const istio::Subset* subset = nullptr;
  const istio::DestinationRule* rule = nullptr;  // that it stands in
};
struct RuleChoice {
  const istio::DestinationRule* rule = nullptr;  // whose trafficPolicy counts; null: none applies
  std::vector<SubsetChoice> subsets;             // of all rules that merge; the first of a name
  const istio::Refused* broken = nullptr;        // set: closed, whatever `rule` says
};

// What a rule says for one port. An entry of portLevelSettings replaces all: a field absent there
// is a default, not inherited. A subset's policy replaces block by block what its host's says.
struct PortRules {
  const istio::LoadBalancer* load_balancer = nullptr;
  const istio::ConnectionPool* connection_pool = nullptr;
  const istio::OutlierDetection* outlier_detection = nullptr;
  // Of the host or the subset, never of a port: an entry for the port drops the host's.
  const istio::RetryBudget* retry_budget = nullptr;
  std::optional<istio::ProxyProtocol> proxy_protocol;
  const istio::ClientTls* tls = nullptr;
  const istio::DestinationRule* tls_rule = nullptr;  // where `tls` stands
};
PortRules rules_for_port(const istio::DestinationRule* rule, const SubsetChoice* subset,
                         uint16_t service_port);

class RuleIndex {
public:
  explicit RuleIndex(const CompileInput& input);  // `input` must outlive it
  RuleChoice choose(const KnownService& service);
  // Rules of this proxy that were never among the candidates for a service: after all choose()
  // calls.
  std::vector<const istio::DestinationRule*> unused() const;
  // Refused rules that closed no service, and that this proxy's namespaces would ask.
  std::vector<const istio::Refused*> unused_broken() const;

private:
  struct Rule {
    const istio::DestinationRule* rule = nullptr;  // one of the two
    const istio::Refused* broken = nullptr;
    bool asked = false;
  };
  using Candidates = std::vector<uint32_t>;  // of rules_, oldest first
  using Scope = HostTable<Candidates>;

  void add(Scope& scope, std::string_view host);  // the last of rules_
  void add_rule(const istio::DestinationRule& rule);
  void add_broken(const istio::Refused& refused);
  const Candidates* candidates_for(const KnownService& service) const;
  bool selects(const istio::DestinationRule& rule) const;

  const CompileInput& input_;
  std::vector<Rule> rules_;
  Scope own_;               // of the client's namespace
  ByText<Scope> exported_;  // by namespace: those exported to the client's
};

}  // namespace sallyport::mesh
