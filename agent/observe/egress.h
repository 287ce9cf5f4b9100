// What --learn remembers: to which destinations outside of the registry the application talks (the
// resources name none of them), so that a mesh can go from ALLOW_ANY to REGISTRY_ONLY without
// breaking anybody.
//
// Threading: a table is one worker's. Limits: limits::learned_destinations, of destinations and of
// names that addresses were given; what is beyond is counted.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/core/address.h"

namespace sallyport::observe {

enum class EgressProtocol : uint8_t { http, tls, tcp, quic, udp };
std::string_view name_of(EgressProtocol protocol);  // "HTTP", "TLS", "TCP", "QUIC", "UDP"

struct EgressDestination {
  std::string name;     // lower case; empty: the client said none, or none that is a host name
  bool by_dns = false;  // the name is what a DNS answer gave the address; the client said none
  IpAddress address;    // that was dialled; of a name, the first
  uint16_t port = 0;
  EgressProtocol protocol = EgressProtocol::tcp;
  uint64_t passed = 0, refused = 0;      // connections; requests of HTTP; flows of UDP
  int64_t first_us = 0, last_us = 0;     // wall clock
  std::vector<std::string> processes{};  // "curl", or "uid 1000"; empty: not known
  bool declared = false;                 // a resource names it now
  bool operator==(const EgressDestination&) const = default;
};

struct EgressReport {
  bool registry_only = false;  // refuses all of these now
  int64_t since_us = 0;        // wall clock: when learning began
  uint64_t beyond = 0;         // of destinations that found the table full
  std::vector<EgressDestination> destinations;
  std::unordered_map<IpAddress, std::string, AddressHash> names;  // that DNS answers gave addresses
};

// Of several workers: what is the same becomes one. What had no name but HTTP's, whose route goes
// by the Host alone, has that which DNS gave its address. Sorted by name, port, protocol, address.
EgressReport merged(std::vector<EgressReport> reports);

// One connection, request or flow.
struct Egress {
  std::string_view name;  // SNI, or the authority of a request, as the client said it
  SocketAddress source, destination;
  EgressProtocol protocol = EgressProtocol::tcp;
  bool refused = false;
};

class EgressTable {
public:
  // Asked whose the connection from `source` to `destination` is, for some of a destination's: the
  // answer goes to owned_by(destination's number, ...), at any later time.
  using AskOwner =
      std::function<void(std::size_t number, EgressProtocol, const SocketAddress& source,
                         const SocketAddress& destination)>;
  EgressTable(AskOwner ask, int64_t now_us) : ask_(std::move(ask)), since_us_(now_us) {}
  EgressTable(const EgressTable&) = delete;

  // A known destination costs no allocation.
  void record(const Egress& egress, int64_t now_us);
  // A DNS server's answer.
  void give_name(const IpAddress& address, std::string_view name);
  void owned_by(std::size_t number, const std::string& process);
  EgressReport report() const;

private:
  struct Key {
    std::string_view name;  // of the destination's
    IpAddress address;      // unset where there is a name
    uint16_t port;
    EgressProtocol protocol;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept;
  };

  AskOwner ask_;
  int64_t since_us_;
  uint64_t beyond_ = 0;
  std::vector<std::unique_ptr<EgressDestination>> destinations_;  // keys point to their names
  std::unordered_map<Key, std::size_t, KeyHash> by_key_;
  std::unordered_map<IpAddress, std::string, AddressHash> names_;
};

}  // namespace sallyport::observe
