// What every analyzer gets, and the analyzers.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/analyze/codes.h"
#include "agent/analyze/world.h"

namespace sallyport::analyze {

class Checks {
public:
  Checks(const World& all, int64_t now_s) : world(all), now(now_s) {}
  Checks(const Checks&) = delete;

  // `field`: path in the document; its line is looked up. `cure`: more exactly than the code's.
  void add(std::string_view id, const Object& about, std::string field, std::string cause,
           std::string cure = {});
  // A finding whose place is known.
  void add(std::string_view id, const istio::Finding& finding, std::string cause,
           std::string cure = {});
  std::vector<Finding> take() { return std::move(found_); }
  // There is a finding about that resource and field, or one in it, or around it.
  bool has_about(const istio::Finding& finding) const;

  const World& world;
  const int64_t now;  // seconds since 1970

private:
  void keep(Finding finding);

  std::vector<Finding> found_;
  // The fields that there are findings about, by kind, namespace and name.
  std::map<std::array<std::string, 3>, std::set<std::string>> fields_;
};

// One entry of a DestinationRule's tls: of the host, of a port, of a subset.
struct TlsBlock {
  Typed<istio::DestinationRule> rule;
  const istio::ClientTls* tls = nullptr;
  std::string field;   // "spec.trafficPolicy.tls"
  uint16_t port = 0;   // of portLevelSettings; 0: every port
  std::string subset;  // its name; empty: the host's
};
std::vector<TlsBlock> tls_blocks(const std::vector<Typed<istio::DestinationRule>>& rules);

// The tls that holds for a port of a service as clients of `from` see it; null: none. Simplified to
// what holds whatever the client's labels are: rules with a workloadSelector count too.
struct Effective {
  Typed<istio::DestinationRule> rule;
  const istio::ClientTls* tls = nullptr;
};
std::vector<Effective> effective_tls(const World& world, const Host& host,
                                     const istio::ServicePort& port);

// The workloads that a Gateway's selector takes, of any namespace. None where it takes all: nobody
// knows which of them are a gateway's.
std::vector<const Workload*> serving_pods(const World& world, const istio::Gateway& gateway);

const char* name_of(istio::TlsMode mode);          // "SIMPLE"
bool is_originating(const istio::ClientTls* tls);  // SIMPLE or MUTUAL
bool is_http(const istio::ServicePort& port);
bool is_tls(const istio::ServicePort& port);                 // HTTPS, TLS
std::string item(std::string_view list, std::size_t index);  // "list[3]"

void check_schema(Checks& checks);         // what validation says, twice defined resources
void check_services(Checks& checks);       // ServiceEntries and Services among each other
void check_rules(Checks& checks);          // DestinationRules: hosts, subsets, selectors, conflicts
void check_tls_modes(Checks& checks);      // who speaks TLS to whom
void check_mutual_tls(Checks& checks);     // what rules send, and what servers take of it
void check_strict(Checks& checks);         // who meets STRICT without a certificate to show
void check_tls_settings(Checks& checks);   // what a tls block leaves out
void check_credentials(Checks& checks);    // Secrets and certificates
void check_routes(Checks& checks);         // VirtualServices: hosts, destinations
void check_gateways(Checks& checks);       // VirtualServices: the gateways that they name
void check_gateway_rules(Checks& checks);  // VirtualServices: rules that a gateway can't use
void check_gateway_workloads(Checks& checks);    // Gateways: the pods that serve them
void check_gateway_credentials(Checks& checks);  // Gateways: Secrets and certificates
void check_telemetries(Checks& checks);
void check_matches(Checks& checks);  // VirtualServices: rules that are never used
void check_delegates(Checks& checks);
void check_workloads(Checks& checks);
void check_sidecars(Checks& checks);
void check_policies(Checks& checks);       // PeerAuthentications and AuthorizationPolicies
void check_policy_ports(Checks& checks);   // the ports that they name
void check_policy_values(Checks& checks);  // what nothing can ever match
void check_proxy(Checks& checks);  // what compiling for a proxy tells beyond that; the last one

}  // namespace sallyport::analyze
