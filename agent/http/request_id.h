// x-request-id values: random UUIDs (version 4) in lower case, as Envoy makes them when no trace is
// sampled: the 15th digit is 4 (Istio's trace bits: 9 sampled, a forced, b by the client).
//
// Threading: one generator a worker, its thread only. The ids are unique, not secret.
#pragma once
#include <array>
#include <cstdint>

namespace sallyport::http {

class RequestIds {
public:
  static constexpr std::size_t size = 36;
  RequestIds();                                        // seeded by getrandom(2)
  explicit RequestIds(std::array<uint64_t, 4> state);  // for tests; not all zero
  char* write(char* to);                               // 36 characters, no NUL; returns the end

private:
  uint64_t next();
  std::array<uint64_t, 4> state_;
};

}  // namespace sallyport::http
