// Gateway: the servers that a gateway's proxy opens (istio-api.md 1.5).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/istio/metadata.h"

namespace sallyport::istio {

// In the order of the proto.
enum class ServerTlsMode : uint8_t {
  passthrough,
  simple,
  mutual,
  auto_passthrough,
  istio_mutual,
  optional_mutual
};
enum class TlsVersion : uint8_t { automatic, v1_0, v1_1, v1_2, v1_3 };

struct ServerCertificate {  // paths of files
  std::string certificate, private_key;
};

struct ServerTls {
  ServerTlsMode mode = ServerTlsMode::passthrough;
  bool https_redirect = false;
  // Of these at most one is given, two entries at most: RSA and ECDSA side by side.
  std::vector<ServerCertificate> certificates;  // files
  std::vector<std::string> credential_names;    // secrets
  // Clients are verified with these: files, or a secret or ConfigMap of its own; else what the
  // first of credential_names holds.
  std::string ca_certificates, ca_crl;
  std::string ca_credential_name;
  std::vector<std::string> subject_alt_names;
  std::vector<std::string> certificate_spki;  // base64 of SHA-256
  std::vector<std::string> certificate_hash;  // hex of SHA-256, colons allowed
  TlsVersion lowest = TlsVersion::automatic, highest = TlsVersion::automatic;
  std::vector<std::string> cipher_suites, ecdh_curves;  // only names that Istio knows
  bool insecure_skip_verify = false;
  int line = 0;
};

// Whether the bytes of the server's clients go on as they are: PASSTHROUGH and AUTO_PASSTHROUGH.
inline bool is_passthrough(const ServerTls& tls) {
  return tls.mode == ServerTlsMode::passthrough || tls.mode == ServerTlsMode::auto_passthrough;
}

struct ServerHost {
  std::string namespace_name;  // of the VirtualServices that may bind; "*": any, ".": the Gateway's
  std::string name;            // lower case: "a.b", "*.b", "*"
  bool operator==(const ServerHost&) const = default;
};

// "ns/host", "host": as it is written.
ServerHost server_host(std::string_view text);

struct GatewayServer {
  uint16_t port = 0;                // 0: a unix socket in `bind`
  std::string port_name, protocol;  // protocol in upper case
  std::string bind;                 // empty: every address
  std::vector<ServerHost> hosts;
  std::optional<ServerTls> tls;
  std::string name;
  int line = 0;
};

// Of a Gateway that was refused: what it meant to serve.
struct RefusedServer {
  uint16_t port = 0;  // 0: it can't be read, and may be any
  std::vector<ServerHost> hosts;
  bool operator==(const RefusedServer&) const = default;
};

struct Gateway {
  Metadata metadata;
  Labels selector;  // empty: every gateway's proxy
  std::vector<GatewayServer> servers;
};

}  // namespace sallyport::istio
