#include "agent/mesh/auto_allocation.h"

#include <algorithm>
#include <unordered_set>

#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {
namespace {

constexpr uint32_t slot_count = 256 * 254, second_prime = 65'011;
// Near the end few slots are free, and a step that shares a factor with their number may come by
// none of them.
constexpr uint32_t probes_max = 1 << 20;

// FNV-1a, 32 bits (Go's fnv.New32a).
uint32_t hash_of(std::string_view key) {
  uint32_t hash = 2'166'136'261u;
  for (const char c : key) hash = (hash ^ static_cast<uint8_t>(c)) * 16'777'619u;
  return hash;
}

std::string key_of(const istio::ServiceEntry& entry, std::string_view host) {
  return entry.metadata.namespace_name() + "/" + std::string(host);
}

// What its status names of `host`; unset: nothing of that family.
AllocatedAddresses from_status(const istio::ServiceEntry& entry, std::string_view host) {
  AllocatedAddresses out;
  for (const auto& [of, ip] : entry.status_addresses)
    if (of == host) (ip.is_v4() ? out.v4 : out.v6) = ip;
  return out;
}

bool is_given(const AllocatedAddresses& addresses) {
  return addresses.v4.is_set() || addresses.v6.is_set();
}

// The two last octets of an IPv4 address. Numbers count on from one to the next without those whose
// last octet would be 255, or 0.
struct Octets {
  explicit Octets(uint32_t number) : third(number / 255), fourth(number % 255) {}
  uint32_t third, fourth;
};

IpAddress v4_of(const Octets& octets) {
  return IpAddress::v4(240u << 24 | 240u << 16 | octets.third << 8 | octets.fourth);
}

// "2001:2::<group>:<last>"
IpAddress v6_of(uint32_t group, uint32_t last) {
  in6_addr bytes{};
  bytes.s6_addr[0] = 0x20;
  bytes.s6_addr[1] = 0x01;
  bytes.s6_addr[3] = 0x02;
  bytes.s6_addr[12] = static_cast<uint8_t>(group >> 8);
  bytes.s6_addr[13] = static_cast<uint8_t>(group);
  bytes.s6_addr[14] = static_cast<uint8_t>(last >> 8);
  bytes.s6_addr[15] = static_cast<uint8_t>(last);
  return IpAddress::v6(bytes);
}

// As Istio writes them beside each other: in hexadecimal digits, with no zero between.
uint32_t beside(const Octets& octets) {
  return octets.third << (octets.fourth < 0x10 ? 4 : 8) | octets.fourth;
}

class Allocator {
public:
  void reserve(const istio::ServiceEntry& entry);  // of all, before the first add()
  void add(const istio::ServiceEntry& entry);
  ByText<AllocatedAddresses> take();
  void report(std::vector<istio::Finding>& findings) const;

private:
  static constexpr uint32_t number_end = 256 * 255;

  bool put(const std::string& key);
  void choose_v4(uint32_t number, AllocatedAddresses& out);
  void choose_v6(uint32_t number, AllocatedAddresses& out);

  std::vector<std::string> keys_;
  std::vector<uint32_t> slots_;                      // a key's index + 1; 0: it is free
  std::unordered_set<IpAddress, AddressHash> used_;  // until take(): those that are reserved
  std::size_t reserved_ = 0;                         // IPv4 addresses of ours among them
  uint32_t spare_ = number_end;  // those from here on were tried for hosts whose own are used
  const istio::ServiceEntry* short_of_ = nullptr;  // the first that got none for a host of it
  std::string short_host_;
  std::size_t short_count_ = 0;
};

// An address that a status or an author names is its host's alone.
void Allocator::reserve(const istio::ServiceEntry& entry) {
  static const Cidr ours = *Cidr::parse("240.240.0.0/16");
  const auto take = [this](const IpAddress& ip) {
    reserved_ += used_.insert(ip).second && ours.contains(ip);
  };
  for (const auto& [host, ip] : entry.status_addresses) take(ip);
  for (const auto& text : entry.addresses)
    if (const auto ip = IpAddress::parse(text)) take(*ip);
}

void Allocator::add(const istio::ServiceEntry& entry) {
  for (const auto& host : entry.hosts) {
    if (is_wildcard(host) || is_given(from_status(entry, host))) continue;
    if (put(key_of(entry, host))) continue;
    if (short_count_++ > 0) continue;
    short_of_ = &entry;
    short_host_ = host;
  }
}

// Double hashing; in 32 bits, so that it overflows as Istio's does. A key that is told twice takes
// two slots, as there. False: no slot is free.
bool Allocator::put(const std::string& key) {
  if (keys_.size() + reserved_ >= slot_count) return false;
  slots_.resize(slot_count);
  const uint32_t hash = hash_of(key);
  const uint32_t step = second_prime - hash % second_prime;
  uint32_t slot = hash % slot_count;
  for (uint32_t i = 1; slots_[slot] != 0; i++) {
    if (i == probes_max) return false;
    slot = (hash + i * step) % (slot_count - 1);
  }
  keys_.push_back(key);
  slots_[slot] = static_cast<uint32_t>(keys_.size());
  return true;
}

// Of its own number, else of the highest that is free: put() has seen to it that one is.
void Allocator::choose_v4(uint32_t number, AllocatedAddresses& out) {
  out.v4 = v4_of(Octets(number));
  while (!used_.insert(out.v4).second) {
    if (--spare_ % 255 == 0) spare_--;
    out.v4 = v4_of(Octets(spare_));
  }
}

// Not Istio's where that is another's: its text of 1 and 0x23 is that of 0x12 and 3, and an address
// leads to one host.
void Allocator::choose_v6(uint32_t number, AllocatedAddresses& out) {
  const Octets octets(number);
  out.v6 = v6_of(0xf0f0, beside(octets));
  for (uint32_t group = 0xf0f1; !used_.insert(out.v6).second; group++)
    out.v6 = v6_of(group, octets.third << 8 | octets.fourth);
}

ByText<AllocatedAddresses> Allocator::take() {
  ByText<AllocatedAddresses> out;
  out.reserve(keys_.size());
  uint32_t skipped = 0;
  for (uint32_t slot = 0; slot < slots_.size(); slot++) {
    if (slots_[slot] == 0) continue;
    if ((slot + 1 + skipped) % 255 == 0) skipped++;
    auto& key = keys_[slots_[slot] - 1];
    if (out.contains(key)) continue;  // told twice: it has those of its first slot
    const uint32_t number = slot + 1 + skipped;
    AllocatedAddresses addresses;
    choose_v4(number, addresses);
    choose_v6(number, addresses);
    out.emplace(std::move(key), addresses);
  }
  return out;
}

void Allocator::report(std::vector<istio::Finding>& findings) const {
  if (!short_of_) return;
  std::string who = short_host_;
  if (short_count_ > 1) who += " and " + std::to_string(short_count_ - 1) + " other hosts";
  findings.push_back(finding(istio::Severity::warning, short_of_->metadata, "spec.hosts",
                             "no addresses of their own are left for " + who + ": " +
                                 std::to_string(keys_.size()) + " hosts have them"));
}

}  // namespace

bool has_family(const istio::Proxy& proxy, bool v4) {
  return proxy.addresses.empty() ||
         std::any_of(proxy.addresses.begin(), proxy.addresses.end(), [v4](const auto& text) {
           const auto ip = IpAddress::parse(text);
           return ip && ip->is_v4() == v4;
         });
}

AutoAllocation::AutoAllocation(const Resources& resources, std::vector<istio::Finding>& findings) {
  std::vector<const istio::ServiceEntry*> entries;
  for (const auto& resource : resources)
    if (const auto* entry = std::get_if<istio::ServiceEntry>(resource.get()))
      entries.push_back(entry);
  Allocator allocator;
  for (const auto* entry : entries) allocator.reserve(*entry);
  for (const auto* entry : entries)
    if (gets_an_address(*entry)) allocator.add(*entry);
  by_key_ = allocator.take();
  allocator.report(findings);
}

std::vector<IpAddress> AutoAllocation::of(const istio::ServiceEntry& entry, std::string_view host,
                                          const istio::Proxy& proxy) const {
  std::vector<IpAddress> out;
  if (!gets_an_address(entry)) return out;
  AllocatedAddresses own = from_status(entry, host);
  if (!is_given(own)) {
    const auto at = by_key_.find(key_of(entry, host));
    if (at == by_key_.end()) return out;
    own = at->second;
  }
  for (const auto& ip : {own.v4, own.v6})
    if (ip.is_set() && has_family(proxy, ip.is_v4())) out.push_back(ip);
  return out;
}

}  // namespace sallyport::mesh
