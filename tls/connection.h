// What this module keeps for each SSL beside OpenSSL's own state. For sources of tls/ only.
#pragma once
#include <openssl/ssl.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "tls/client.h"
#include "tls/server.h"

namespace sallyport::tls {

// Needed until the handshake is done, then freed: most connections of a proxy are idle ones.
struct Handshake {
  std::vector<std::string> names;  // one must match a SAN; empty: chain only
  std::string offered;             // SNI and ALPN as text, for alerts about them
  std::string crls_from;           // where the CRLs are from; empty: there are none
  std::string verify_failure;      // why the peer's certificate was refused
  std::array<char, 48> first{};    // what the peer sent first: plain HTTP shows itself there
  std::size_t first_size = 0;
  bool certificate_wanted = false;  // the server asked for a client certificate
  PreparedServerPtr server;         // null: we are the client
  std::string read_before;          // of the peer, before TLS began; given to OpenSSL first
  std::size_t read_at = 0;          // how much of it OpenSSL has had
};

// The first error of OpenSSL's queue and the circumstances, kept until somebody asks with
// failure_of().
struct Failure {
  unsigned long code = 0;  // 0: the transport ended or failed
  std::string queue;
  bool in_handshake = false;
  bool at_end = false;  // the peer closed
  bool too_many_messages = false;
};

struct Connection {
  explicit Connection(SSL& ssl_of) : ssl(ssl_of) {}
  Connection(const Connection&) = delete;

  SSL& ssl;
  Transport* transport = nullptr;
  SessionSlot* slot = nullptr;
  std::unique_ptr<Handshake> handshake = std::make_unique<Handshake>();
  std::unique_ptr<Failure> failure;
  // When the first certificate of the chain that was verified runs out, or of a resumed session the
  // same; 0: none was verified. Seconds since 1970.
  int64_t chain_ends = 0;
  bool at_end = false;  // the transport has reported the end
  // A TLS 1.3 server's ticket goes out with the first answer: a client that sends nothing needs
  // none.
  bool ticket_due = false;
  uint8_t messages = 0;  // tickets and key updates since the last application data
  // OpenSSL took a write buffer (16 KiB) to read such a message, and would keep it.
  bool writes_buffered = false;
};

// The SSL's Connection, made when first asked for; it dies with the SSL.
Connection& connection_of(SSL& ssl);

// For SSL_CTX_set_cert_verify_callback: chain by OpenSSL, then names and pins; the reason goes to
// Handshake::verify_failure.
int verify_peer(X509_STORE_CTX* verification, void*);

}  // namespace sallyport::tls
