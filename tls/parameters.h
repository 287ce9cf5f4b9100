// TLS parameters where a configuration names them (meshConfig.tlsDefaults, meshMTLS, a Gateway's
// server), and which of them this OpenSSL has.
//
// Threading: values and functions; any thread.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"

namespace sallyport::tls {

enum class Version : uint8_t { tls_1_0, tls_1_1, tls_1_2, tls_1_3 };

// Below TLS 1.2 OpenSSL needs its security level 0, which holds for the connections of these
// parameters alone; the peer's certificates stay at level 2. The contexts' own suites are of
// TLS 1.2 and above, so that older versions also need `ciphers` (ECDHE-RSA-AES128-SHA, AES128-SHA).
struct Parameters {
  Version lowest = Version::tls_1_2, highest = Version::tls_1_3;
  std::string ciphers, curves;  // OpenSSL's lists ("a:b"); empty: the context's
  bool operator==(const Parameters&) const = default;
};

// "TLS 1.3", "TLS 1.2 and 1.3", "TLS 1.0 to 1.2": for messages.
std::string versions_text(Version lowest, Version highest);

struct Available {
  std::string list;                  // for Parameters: those that this OpenSSL has, in order
  std::vector<std::string> missing;  // the rest, to be warned of
};

// Of cipher suites for TLS 1.2 and below, as they are configured: names, OpenSSL's words ("ALL"),
// either with an operator before it ("-AES128-SHA"). BoringSSL's groups ("[a|b]") and commands
// ("@SECLEVEL=0") count as missing. No names: an empty list. Costs 0.2 ms: for when a configuration
// is read. Errors: Fault::tls_handshake, Side::local when the list selects no suite.
Result<Available> available_ciphers(const std::vector<std::string>& names);

// The same of curves: "P-256", "X25519"; OpenSSL 3.0 has no "X25519MLKEM768".
Result<Available> available_curves(const std::vector<std::string>& names);

}  // namespace sallyport::tls
