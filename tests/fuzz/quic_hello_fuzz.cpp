// Datagrams of a QUIC flow of any bytes, whole ones and made ones: the input is also put into a
// good packet as its frames, which no mutation would find the tag of. Beside memory errors it
// watches these promises: a verdict has its reason, and a ClientHello comes of the first bytes
// alone.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "iptables/queue/quic_hello.h"
#include "tests/support/quic_packets.h"

namespace {

using sallyport::rules::QuicHello;

void require(bool promise) {
  if (!promise) std::abort();
}

void check(QuicHello& flow, QuicHello::State state) {
  require((state == QuicHello::State::refused) == (*flow.why() != 0));
  require(state == QuicHello::State::done || flow.preface().alpn.empty() ||
          state == QuicHello::State::refused);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace sallyport::test::quic;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  QuicHello raw;
  check(raw, raw.add(bytes));
  if (size > 3'000) return 0;
  const auto version = size % 2 == 0 ? v1() : v2();
  QuicHello flow;
  auto state = flow.add(packet({.version = version}, bytes.substr(0, size / 2)));
  check(flow, state);
  if (state == QuicHello::State::more)
    check(flow, flow.add(packet({.version = version}, bytes.substr(size / 2))));
  return 0;
}
