// One non-blocking attempt at moving bytes, as sockets, TLS and streams all speak of it.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace sallyport::tls {

enum class Want : uint8_t { nothing, read, write };

struct IoStep {
  ssize_t bytes = 0;  // > 0; 0: the peer has ended; -1: failed. Meaningless unless want is nothing.
  Want want = Want::nothing;  // what to wait for before trying again
};

// What TLS reads its records from and writes them to: a socket with remembered readiness.
class Transport {
public:
  virtual IoStep transport_read(char* into, std::size_t size) = 0;
  virtual IoStep transport_write(const char* from, std::size_t size) = 0;

protected:
  ~Transport() = default;
};

}  // namespace sallyport::tls
