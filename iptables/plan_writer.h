// What the parts of a plan share: the facts of a family, and the text of one table. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "iptables/options.h"

namespace sallyport::rules {

// What differs between IPv4 and IPv6.
struct FamilyFacts {
  Family family;
  std::string loopback;        // traffic of the application to itself, never captured
  std::string inbound_source;  // where the inbound side's connections to the application come from
  std::string any;             // the unspecified address
};

// The rules of one table, as iptables-restore reads them.
class TableWriter {
public:
  void chain(std::string_view name) { chains_.emplace_back(name); }
  void rule(std::string_view chain, std::string_view specification) {
    (((rules_ += "-A ") += chain) += ' ') += specification;
    rules_ += '\n';
  }
  // Nothing for a table without rules.
  std::string text(std::string_view table) const;

private:
  std::vector<std::string> chains_;
  std::string rules_;
};

struct PlanInput {
  const CheckedOptions& checked;
  const FamilyFacts& facts;
  const Options& options() const { return checked.options; }
  bool concerns(const IpAddress& address) const {
    return address.is_v4() == (facts.family == Family::v4);
  }
  bool tproxy() const { return checked.options.interception == Interception::tproxy; }
  bool captures_inbound() const { return checked.all_inbound || !checked.inbound_ports.empty(); }
  // Whether port 53 of anybody of this family leads to the DNS proxy.
  bool captures_dns() const;
  // Whether -i asks for loopback (of either family, as in Istio).
  bool captures_loopback() const;
};

// "-p tcp -m tcp --dport 80"
std::string port_match(std::string_view protocol, uint16_t port);
// `specification` of a rule in a chain that is not ours, `verdict` its "-j ...": such rules carry
// our name, since nothing else tells them from other people's.
std::string marked(std::string_view specification, std::string_view verdict);

// "-d 10.0.0.0/8 "; an empty string for a whole family: iptables-save leaves that match out, and
// verify compares with what it prints.
std::string destination(const Cidr& cidr);

// Lets those go from `chain` whose group is not captured. Returns the chain that goes on for the
// others: `chain`, or `groups_chain`, made here.
std::string_view write_owner_groups(const PlanInput& in, TableWriter& to, std::string_view chain,
                                    std::string_view groups_chain);

// The DNS proxy's part of nat and raw.
void write_dns_nat(const PlanInput& in, TableWriter& nat);
void write_dns_raw(const PlanInput& in, TableWriter& raw);
// The mangle table: TPROXY, and invalid packets.
void write_mangle(const PlanInput& in, TableWriter& mangle);
// The filter table: SYNs that wait for the agent, and UDP.
void write_filter(const PlanInput& in, TableWriter& filter);

}  // namespace sallyport::rules
