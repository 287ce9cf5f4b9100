#include "agent/observe/egress.h"

#include <algorithm>
#include <array>
#include <bit>
#include <tuple>

#include "agent/core/ascii.h"
#include "agent/core/limits.h"
#include "agent/istio/names.h"

namespace sallyport::observe {
namespace {

constexpr std::size_t processes_of_one = 8;
using HostBuffer = std::array<char, 255>;

// "API.example.com:443" → "api.example.com", in `buffer`; empty for what is no host name, an
// address included.
std::string_view host_name(std::string_view authority, HostBuffer& buffer) {
  if (authority.starts_with('[')) return {};
  auto host = authority.substr(0, authority.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.empty() || host.size() > buffer.size() || istio::fqdn_problem(host)) return {};
  std::transform(host.begin(), host.end(), buffer.begin(), ascii::lower);
  return {buffer.data(), host.size()};
}

void add_process(std::vector<std::string>& to, const std::string& process) {
  const bool known = std::find(to.begin(), to.end(), process) != to.end();
  if (!known && !process.empty() && to.size() < processes_of_one) to.push_back(process);
}

auto order_of(const EgressDestination& one) {
  return std::tie(one.name, one.by_dns, one.port, one.protocol, one.address);
}

bool is_same(const EgressDestination& one, const EgressDestination& other) {
  return one.name == other.name && one.by_dns == other.by_dns && one.port == other.port &&
         one.protocol == other.protocol && (!one.name.empty() || one.address == other.address);
}

void add_to(EgressDestination& sum, const EgressDestination& other) {
  sum.passed += other.passed;
  sum.refused += other.refused;
  sum.first_us = std::min(sum.first_us, other.first_us);
  sum.last_us = std::max(sum.last_us, other.last_us);
  sum.declared = sum.declared && other.declared;
  for (const auto& process : other.processes) add_process(sum.processes, process);
}

void name_by_dns(EgressDestination& destination,
                 const std::unordered_map<IpAddress, std::string, AddressHash>& names) {
  if (!destination.name.empty() || destination.protocol != EgressProtocol::tcp) return;
  const auto named = names.find(destination.address);
  if (named == names.end()) return;
  destination.name = named->second;
  destination.by_dns = true;
}

}  // namespace

std::string_view name_of(EgressProtocol protocol) {
  static constexpr std::string_view names[] = {"HTTP", "TLS", "TCP", "QUIC", "UDP"};
  return names[static_cast<std::size_t>(protocol)];
}

std::size_t EgressTable::KeyHash::operator()(const Key& key) const noexcept {
  const std::size_t host =
      key.name.empty() ? AddressHash()(key.address) : std::hash<std::string_view>()(key.name);
  return host * 31 + (std::size_t{key.port} << 3 | static_cast<std::size_t>(key.protocol));
}

void EgressTable::record(const Egress& egress, int64_t now_us) {
  HostBuffer buffer;
  const auto name = host_name(egress.name, buffer);
  const auto& address = egress.destination.ip();
  const uint16_t port = egress.destination.port();
  const Key key{name, name.empty() ? address : IpAddress(), port, egress.protocol};
  auto at = by_key_.find(key);
  if (at == by_key_.end()) {
    if (destinations_.size() == limits::learned_destinations) {
      beyond_++;
      return;
    }
    destinations_.push_back(std::make_unique<EgressDestination>(EgressDestination{
        std::string(name), false, address, port, egress.protocol, 0, 0, now_us, now_us}));
    const auto& kept = *destinations_.back();
    at = by_key_
             .emplace(Key{kept.name, key.address, port, egress.protocol}, destinations_.size() - 1)
             .first;
  }
  auto& destination = *destinations_[at->second];
  (egress.refused ? destination.refused : destination.passed)++;
  destination.last_us = now_us;
  // Several processes may talk to one destination: the 1st, 2nd, 4th, 8th ... is asked for its own.
  if (std::has_single_bit(destination.passed + destination.refused))
    ask_(at->second, egress.protocol, egress.source, egress.destination);
}

void EgressTable::give_name(const IpAddress& address, std::string_view name) {
  HostBuffer buffer;
  const auto host = host_name(name, buffer);
  if (host.empty()) return;
  const auto at = names_.find(address);
  if (at != names_.end()) {
    if (at->second != host) at->second = host;
    return;
  }
  if (names_.size() < limits::learned_destinations) names_.emplace(address, host);
}

void EgressTable::owned_by(std::size_t number, const std::string& process) {
  add_process(destinations_[number]->processes, process);
}

EgressReport EgressTable::report() const {
  EgressReport out;
  out.since_us = since_us_;
  out.beyond = beyond_;
  out.names = names_;
  for (const auto& destination : destinations_) out.destinations.push_back(*destination);
  return out;
}

EgressReport merged(std::vector<EgressReport> reports) {
  EgressReport out;
  for (auto& one : reports) {
    out.registry_only = out.registry_only || one.registry_only;
    out.since_us = out.since_us == 0 ? one.since_us : std::min(out.since_us, one.since_us);
    out.beyond += one.beyond;
    out.names.merge(one.names);
    std::move(one.destinations.begin(), one.destinations.end(),
              std::back_inserter(out.destinations));
  }
  auto& all = out.destinations;
  for (auto& destination : all) name_by_dns(destination, out.names);
  std::sort(all.begin(), all.end(),
            [](const auto& one, const auto& other) { return order_of(one) < order_of(other); });
  std::vector<EgressDestination> sums;
  for (auto& destination : all) {
    if (!sums.empty() && is_same(sums.back(), destination))
      add_to(sums.back(), destination);
    else
      sums.push_back(std::move(destination));
  }
  all = std::move(sums);
  return out;
}

}  // namespace sallyport::observe
