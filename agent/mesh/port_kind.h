// What a port speaks, as far as anything declares it (istio-api.md 2.4).
#pragma once
#include <cstdint>

namespace sallyport::mesh {

enum class PortKind : uint8_t {
  http,    // HTTP, HTTP2, GRPC, GRPC-WEB: routed by Host
  tls,     // HTTPS, TLS: opaque, routed by SNI
  tcp,     // TCP, MONGO, REDIS, MYSQL
  detect,  // nothing declared: by the first bytes
  other,   // UDP: not captured
};

}  // namespace sallyport::mesh
