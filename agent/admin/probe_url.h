// Where an HTTP probe goes, and where an answer's Location sends it. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::admin {

struct ProbeUrl {
  bool https = false;
  std::string host;  // without brackets or port
  uint16_t port = 80;
  std::string target = "/";  // path and query
  std::string authority;     // as a Host header names it; empty: that of the request before stays
  bool operator==(const ProbeUrl&) const = default;
};

// A Location seen from `from`: absolute, or relative in any of RFC 3986's ways (dot segments are
// left to the server). nullopt: it can't be followed.
std::optional<ProbeUrl> redirected(const ProbeUrl& from, std::string_view location);

}  // namespace sallyport::admin
