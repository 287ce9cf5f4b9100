// Resource decoding on any bytes: it must end, without a crash, with every finding on one line and
// every refusal named.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/istio/decode.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const std::vector<sallyport::istio::Finding>& findings) {
  for (const auto& finding : findings) {
    const std::string text = finding.text();
    require(finding.line > 0 && !finding.reason.empty());
    require(text.find('\n') == std::string::npos && text.find('\r') == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto decoded = sallyport::istio::decode(text, "fuzz.yaml");
  check(decoded.findings);
  require(decoded.refused.empty() || !decoded.findings.empty());
  for (const auto& refused : decoded.refused) require(refused.ref != nullptr);
  for (const auto& resource : decoded.resources) {
    require(sallyport::istio::metadata_of(resource).ref != nullptr);
  }
  check(sallyport::istio::decode_mesh_config(text, "fuzz.yaml").findings);
  return 0;
}
