// Base64 (RFC 4648, standard alphabet) as the data of a Secret uses it; white space is passed over.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::sandbox {

std::optional<std::string> decode_base64(
    std::string_view text);  // nothing when a character is foreign

}  // namespace sallyport::sandbox
