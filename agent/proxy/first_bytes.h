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
  const char* note = "";          // what is wrong with them, for the log; else empty
  upstream::Connection upstream;  // opened while the client was silent; empty otherwise
  std::optional<upstream::Failure>
      failure;        // it could not be opened, and the client had said nothing yet
  bool gone = false;  // the client left without a byte, or broke
};

// What the listener says of a connection before a byte of it was read.
struct Expected {
  bool sniff = true;               // false: declared TCP, nothing is waited for
  mesh::ClusterPtr silent_client;  // where a silent client's upstream may be opened; null: nowhere
  std::chrono::milliseconds grace = limits::silent_client_grace;  // before that
  std::chrono::milliseconds first_byte = limits::tcp_idle;        // how long it is waited for
  bool silent_is_opaque = false;  // who says nothing for so long has not left: opaque
};

// Reads into client.inbox until the protocol is known, for at most expected.first_byte. A client
// that stays silent where expected.silent_client is set has that upstream opened meanwhile, and
// whoever speaks first decides.
net::Task<FirstBytes> first_bytes(Client& client, Worker& worker, Expected expected);

}  // namespace sallyport::proxy
