// PROXY protocol headers of any bytes. Beside memory errors it watches these promises: a verdict
// stays when more bytes come, no part of a header is one, none is longer than its limit, and what
// was read can be written and read again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/limits.h"
#include "agent/sniff/proxy_protocol.h"

namespace {

using namespace sallyport::sniff;

void require(bool promise) {
  if (!promise) std::abort();
}

bool same(const ProxyHeader& a, const ProxyHeader& b) {
  return a.state == b.state && a.size == b.size && a.version == b.version && a.source == b.source &&
         a.destination == b.destination && std::string_view(a.reason) == b.reason;
}

// An exact allocation: a look behind the end is seen by the sanitizer.
ProxyHeader read_part(std::string_view bytes, std::size_t size) {
  const std::vector<char> part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
  return read_proxy_header({part.data(), part.size()});
}

void check_written(const ProxyHeader& read, const std::string& text) {
  const auto again = read_proxy_header(text + "x");
  require(again.state == ProxyState::decided && again.size == text.size());
  const bool pair = read.source.is_set() && read.source.family() == read.destination.family();
  require(!pair || (again.source == read.source && again.destination == read.destination));
  require(pair || !again.source.is_set());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto whole = read_part(bytes, size);
  // One cut an input, at a place that the input chooses.
  const std::size_t cut = size == 0 ? 0 : (data[size - 1] + 256u * data[size / 2]) % size;
  const auto part = read_part(bytes, cut);
  require(part.state == ProxyState::more || same(part, whole));
  require((whole.state == ProxyState::refused) == (*whole.reason != 0));
  if (whole.state == ProxyState::more) require(size < sallyport::limits::proxy_header_bytes);
  if (whole.state != ProxyState::decided) return 0;
  require(whole.size <= size && whole.size <= sallyport::limits::proxy_header_bytes);
  require(whole.source.is_set() == whole.destination.is_set());
  require(same(read_part(bytes, whole.size), whole));
  require(read_part(bytes, std::min(cut, whole.size - 1)).state == ProxyState::more);
  check_written(whole, proxy_header_v1(whole.source, whole.destination));
  check_written(whole, proxy_header_v2(whole.source, whole.destination));
  return 0;
}
