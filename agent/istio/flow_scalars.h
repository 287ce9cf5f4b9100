// Flow collections as Go's yaml.v2 reads them, for yaml-cpp to read them the same.
#pragma once
#include <string>
#include <string_view>

namespace sallyport::istio {

// In `[1.2.3.4, fe80::]` Go takes a colon before `,`, `]` or `}` for a part of the plain scalar;
// yaml-cpp takes it for a key's end. Such scalars come back in single quotes, the rest unchanged,
// line by line. Where the text is not understood, it stays as it is.
std::string quote_flow_scalars(std::string_view text);

}  // namespace sallyport::istio
