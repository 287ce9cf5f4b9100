// ServiceEntries for what was learned. Names and addresses are host names and addresses (they were
// read as such), so that none needs quoting.
#include <algorithm>
#include <map>

#include "agent/cli/egress_text.h"
#include "agent/core/ascii.h"
#include "agent/core/xxhash.h"

namespace sallyport::cli {
namespace {

using observe::EgressDestination;
using observe::EgressProtocol;

struct EntryPort {
  std::string protocol;
  uint64_t count = 0;
  std::string beside;  // protocols that were seen less often there
};

struct Entry {
  const EgressDestination* destination;  // whose host it is
  std::map<uint16_t, EntryPort> ports;
};

bool is_udp(const EgressDestination& one) {
  return one.protocol == EgressProtocol::quic || one.protocol == EgressProtocol::udp;
}

// TLS without SNI has nothing that a TLS port's host could be matched with.
std::string port_protocol(const EgressDestination& one) {
  if (is_udp(one)) return "UDP";
  if (one.protocol == EgressProtocol::tls && one.name.empty()) return "TCP";
  return std::string(observe::name_of(one.protocol));
}

// A port of one host has one protocol: that which is spoken most.
void add_port(Entry& entry, const EgressDestination& one) {
  EntryPort port{port_protocol(one), one.passed + one.refused, ""};
  const auto [at, is_new] = entry.ports.try_emplace(one.port, port);
  auto& present = at->second;
  if (is_new) return;
  if (present.protocol == port.protocol) {
    present.count += port.count;
    return;
  }
  if (port.count > present.count) std::swap(present, port);
  present.beside += port.beside.empty() ? port.protocol : port.beside + ", " + port.protocol;
}

std::string dashed(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == ':' || c == '.'; }, '-');
  return text;
}

// Kubernetes takes 253 characters of a lower case RFC 1123 subdomain.
std::string resource_name(const EgressDestination& one) {
  constexpr std::size_t longest = 253;
  std::string name =
      "egress-" + (one.name.empty() ? "ip-" + dashed(one.address.text()) + "-ip" : one.name);
  const std::string suffix = is_udp(one) ? "-udp" : "";
  if (name.size() + suffix.size() > longest) {
    const std::string hash = std::to_string(xxhash64(name));
    name = "egress-" + hash;
  }
  return name + suffix;
}

std::string lower(std::string_view protocol) { return ascii::lower_case(protocol); }

std::string entry_text(const Entry& entry) {
  const auto& one = *entry.destination;
  const bool named = !one.name.empty();
  std::string out =
      "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: " +
      resource_name(one) + "\nspec:\n  hosts:\n  - " +
      (named ? one.name : "ip-" + dashed(one.address.text()) + "-ip.egress.internal") + "\n";
  if (!named) out += "  addresses:\n  - \"" + one.address.text() + "\"\n";
  out += "  exportTo:\n  - \".\"\n  location: MESH_EXTERNAL\n  resolution: " +
         std::string(named ? "DNS" : "NONE") + "\n  ports:\n";
  for (const auto& [number, port] : entry.ports) {
    const std::string text = std::to_string(number);
    if (!port.beside.empty())
      out += "  # " + port.beside + " was seen on this port, too; it can have one protocol only\n";
    out += "  - number: " + text + "\n    name: " + lower(port.protocol) + "-" + text +
           "\n    protocol: " + port.protocol + "\n";
  }
  return out;
}

std::string as_comments(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find('\n', at);
    out += "# " + text.substr(at, end - at) + "\n";
    at = end == std::string::npos ? text.size() : end + 1;
  }
  return out;
}

}  // namespace

std::string egress_yaml(const observe::EgressReport& report) {
  std::map<std::string, Entry> entries;
  for (const auto& one : report.destinations) {
    if (one.declared) continue;
    add_port(entries.try_emplace(resource_name(one), Entry{&one, {}}).first->second, one);
  }
  std::string out = as_comments(egress_table(report));
  for (const auto& [name, entry] : entries) out += entry_text(entry);
  return out;
}

}  // namespace sallyport::cli
