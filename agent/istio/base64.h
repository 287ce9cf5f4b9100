// Base64 as Kubernetes' Secrets use it: RFC 4648's standard alphabet with padding; CR and LF are
// skipped, as Go does.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::istio {

std::optional<std::string> decode_base64(std::string_view text);

}  // namespace sallyport::istio
