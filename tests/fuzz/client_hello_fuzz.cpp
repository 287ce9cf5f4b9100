// The sniffer under any bytes. Beside memory errors it watches three promises: `ended` always
// decides, an SNI is a lower-case host name, and a verdict reached on part of the bytes stays when
// more come.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/core/limits.h"
#include "agent/sniff/sniff.h"

namespace {

using sallyport::sniff::Protocol;
using sallyport::sniff::Sniffed;
using sallyport::sniff::Verdict;

void require(bool promise) {
  if (!promise) std::abort();
}

void check_names(const Sniffed& sniffed) {
  const auto& preface = sniffed.preface;
  require(preface.sni.size() <= 253 && preface.alpn.size() <= sallyport::limits::alpn_protocols);
  for (const char c : preface.sni) {
    require((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.');
  }
  require(preface.protocol == Protocol::tls || (preface.sni.empty() && preface.alpn.empty()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto whole = sallyport::sniff::sniff(bytes, false);
  const auto ended = sallyport::sniff::sniff(bytes, true);
  require(ended.verdict == Verdict::decided);
  check_names(whole);
  check_names(ended);
  if (size == 0) return 0;
  // One cut an input, at a place that the input chooses.
  const auto part = sallyport::sniff::sniff(bytes.substr(0, data[size - 1] % size), false);
  if (part.verdict == Verdict::decided) {
    require(whole.verdict == Verdict::decided && part.preface.protocol == whole.preface.protocol &&
            part.preface.sni == whole.preface.sni);
  }
  return 0;
}
