// The kinds that are read, those that are known and not supported, and their API groups and
// versions.
#pragma once
#include <string_view>

namespace sallyport::istio {

// Read into a Resource.
bool is_known_kind(std::string_view kind);
bool is_of_istio(std::string_view kind);  // of those that are read
// Broken ones close what they name: with no rule, traffic would leave unprotected.
bool protects(std::string_view kind);

enum class Standing : uint8_t {
  read,         // decoded
  bad_version,  // ours by kind and group, in a version that does not exist
  unsupported,  // Istio's, not supported (yet): said so
  foreign,      // another kind: no matter here
};
// `api_version`: "networking.istio.io/v1", "v1".
Standing standing_of(std::string_view api_version, std::string_view kind);

}  // namespace sallyport::istio
