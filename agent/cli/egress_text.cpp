#include "agent/cli/egress_text.h"

#include <algorithm>
#include <ctime>

#include "agent/cli/table.h"
#include "agent/istio/names.h"
#include "agent/observe/log_time.h"

namespace sallyport::cli {
namespace {

using observe::EgressDestination;
using observe::EgressProtocol;
using observe::EgressReport;

Error bad_field(const std::string& where, const std::string& what) {
  return {.context = where + ": " + what};
}

std::optional<EgressProtocol> protocol_named(const std::string& name) {
  for (const auto protocol : {EgressProtocol::http, EgressProtocol::tls, EgressProtocol::tcp,
                              EgressProtocol::quic, EgressProtocol::udp}) {
    if (name == observe::name_of(protocol)) return protocol;
  }
  return {};
}

// "2026-11-23T22:59:49.123Z" to seconds; 0 for what is none.
int64_t unix_us(const std::string& text) {
  std::tm parts{};
  if (strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) return 0;
  return static_cast<int64_t>(timegm(&parts)) * 1'000'000;
}

std::string time_text_of(int64_t us) {
  if (us == 0) return "-";
  char text[observe::LogTime::size_max];
  return {text, observe::LogTime("%Y-%m-%dT%H:%M:%SZ").write(text, us)};
}

Result<uint64_t> count_in(const Json* value, const std::string& where) {
  const std::string text = text_of(value);
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(), ascii::is_digit);
  if (!digits || text.size() > 18) return bad_field(where, "no number");
  return std::stoull(text);
}

Result<EgressDestination> read_egress_destination(const Json* json, const std::string& where) {
  EgressDestination out;
  out.name = text_of(member(json, "name"));
  const bool is_name = out.name.empty() ||
                       (!istio::fqdn_problem(out.name) && out.name == ascii::lower_case(out.name));
  if (!is_name) return bad_field(where + ".name", "no host name in lower case");
  const auto address = IpAddress::parse(text_of(member(json, "address")));
  if (!address) return bad_field(where + ".address", "no address");
  out.address = *address;
  const auto port = count_in(member(json, "port"), where + ".port");
  if (!port) return port.error();
  if (*port == 0 || *port > 65535) return bad_field(where + ".port", "no port");
  out.port = static_cast<uint16_t>(*port);
  const auto protocol = protocol_named(text_of(member(json, "protocol")));
  if (!protocol) return bad_field(where + ".protocol", "none of HTTP, TLS, TCP, QUIC and UDP");
  out.protocol = *protocol;
  const auto passed = count_in(member(json, "passed"), where + ".passed");
  const auto refused = count_in(member(json, "refused"), where + ".refused");
  if (!passed || !refused) return passed ? refused.error() : passed.error();
  out.passed = *passed;
  out.refused = *refused;
  out.by_dns = truth_of(member(json, "nameByDns"));
  out.declared = truth_of(member(json, "declared"));
  out.first_us = unix_us(text_of(member(json, "firstSeen")));
  out.last_us = unix_us(text_of(member(json, "lastSeen")));
  out.processes = texts_of(member(json, "processes"));
  return out;
}

// Processes choose their names: nothing of them reaches a terminal as control characters.
std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

std::string list_of(const std::vector<std::string>& processes) {
  std::string out;
  for (const auto& process : processes) (out += out.empty() ? "" : ",") += printable(process);
  return out.empty() ? "-" : out;
}

std::string verdict_text(const EgressReport& report) {
  const auto& all = report.destinations;
  const auto undeclared = static_cast<std::size_t>(std::count_if(
      all.begin(), all.end(), [](const EgressDestination& one) { return !one.declared; }));
  std::string out = std::to_string(undeclared) + " of " + std::to_string(all.size()) +
                    " destinations since " + time_text_of(report.since_us) +
                    " are in no resource; outboundTrafficPolicy REGISTRY_ONLY " +
                    (report.registry_only ? "refuses them\n" : "would refuse them\n");
  if (report.beyond > 0)
    out += "more was not remembered: " + std::to_string(report.beyond) +
           " connections to destinations that found no room\n";
  const bool unnamed = std::any_of(all.begin(), all.end(), [](const EgressDestination& one) {
    return one.processes.empty() || one.processes.front().starts_with("uid ");
  });
  if (unnamed && !all.empty())
    out +=
        "processes have names where the sidecar may see them: shareProcessNamespace: true and "
        "the application's user, or CAP_SYS_PTRACE\n";
  return out;
}

}  // namespace

Result<EgressReport> read_egress(const Json* document) {
  EgressReport out;
  const Json* const list = member(document, "destinations");
  if (list == nullptr) return bad_field("destinations", "missing: is this from /debug/egressz?");
  out.registry_only = text_of(member(document, "outboundTrafficPolicy")) == "REGISTRY_ONLY";
  out.since_us = unix_us(text_of(member(document, "since")));
  const auto beyond = count_in(member(document, "beyond"), "beyond");
  if (!beyond) return beyond.error();
  out.beyond = *beyond;
  std::size_t index = 0;
  for (const Json* one : elements(list)) {
    auto destination =
        read_egress_destination(one, "destinations[" + std::to_string(index++) + "]");
    if (!destination) return destination.error();
    out.destinations.push_back(std::move(*destination));
  }
  return out;
}

std::string egress_table(const EgressReport& report) {
  Table table(3);
  table.add({"DESTINATION", "PORT", "PROTOCOL", "PASSED", "REFUSED", "LAST SEEN", "PROCESSES",
             "REGISTRY_ONLY"});
  for (const auto& one : report.destinations)
    table.add({one.name.empty() ? one.address.text() : one.name, std::to_string(one.port),
               std::string(observe::name_of(one.protocol)), std::to_string(one.passed),
               std::to_string(one.refused), time_text_of(one.last_us), list_of(one.processes),
               one.declared           ? "declared"
               : report.registry_only ? "refuses"
                                      : "would refuse"});
  return (report.destinations.empty() ? "" : table.text()) + verdict_text(report);
}

}  // namespace sallyport::cli
