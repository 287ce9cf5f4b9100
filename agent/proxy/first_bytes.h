// Learns what a connection speaks from its first bytes, without ever hanging a protocol in which
// the server speaks first.
#pragma once
#include <optional>

#include "agent/mesh/decide.h"
#include "agent/proxy/client.h"
#include "agent/sniff/sniff.h"
#include "agent/upstream/upstreams.h"

namespace sallyport::proxy {

class Worker;

struct FirstBytes {
  sniff::Preface preface;
  upstream::Connection upstream;  // opened while the client was silent; empty otherwise
  std::optional<upstream::Failure>
      failure;        // it could not be opened, and the client had said nothing yet
  bool gone = false;  // the client left without a byte, or broke
};

// Reads into client.inbox until the protocol is known. A client that stays silent where
// arrival.silent_client is set has that upstream opened meanwhile, and whoever speaks first
// decides. `arrival` points into a snapshot that the caller holds.
net::Task<FirstBytes> first_bytes(Client& client, Worker& worker, const mesh::Arrival& arrival);

}  // namespace sallyport::proxy
