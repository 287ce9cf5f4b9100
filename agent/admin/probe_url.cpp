#include "agent/admin/probe_url.h"

#include <algorithm>
#include <charconv>

namespace sallyport::admin {
namespace {

bool sendable(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char letter) {
    return static_cast<unsigned char>(letter) <= ' ' || letter == 0x7f;
  });
}

// "host", "host:80", "[::1]:80" into host and port.
bool read_authority(std::string_view text, ProbeUrl& url) {
  url.authority = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == text.npos) return false;
    url.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
  } else {
    const auto colon = std::min(text.find(':'), text.size());
    url.host = text.substr(0, colon);
    port = text.substr(colon);
  }
  url.port = url.https ? 443 : 80;
  if (port.empty() || port == ":") return !url.host.empty();
  const char* const end = port.data() + port.size();
  const auto read = std::from_chars(port.data() + 1, end, url.port);
  return port[0] == ':' && read.ptr == end && read.ec == std::errc() && !url.host.empty();
}

}  // namespace

std::optional<ProbeUrl> redirected(const ProbeUrl& from, std::string_view location) {
  location = location.substr(0, location.find('#'));
  if (!sendable(location)) return std::nullopt;
  ProbeUrl to = from;
  to.authority.clear();
  const auto scheme_end = location.find("://");
  if (scheme_end != location.npos && location.find_first_of("/?") > scheme_end) {
    const auto scheme = location.substr(0, scheme_end);
    if (scheme != "http" && scheme != "https") return std::nullopt;
    to.https = scheme == "https";
    location.remove_prefix(scheme_end + 1);
  }
  if (location.starts_with("//")) {
    location.remove_prefix(2);
    const auto end = std::min(location.find_first_of("/?"), location.size());
    if (!read_authority(location.substr(0, end), to)) return std::nullopt;
    location.remove_prefix(end);
    to.target = "/";
    if (location.starts_with('?')) to.target += location;
    if (location.starts_with('/')) to.target = location;
    return to;
  }
  const std::string path = from.target.substr(0, from.target.find('?'));
  if (location.starts_with('/')) {
    to.target = location;
  } else if (location.starts_with('?')) {
    to.target = path + std::string(location);
  } else if (!location.empty()) {
    to.target = path.substr(0, path.rfind('/') + 1) + std::string(location);
  }
  return to;
}

}  // namespace sallyport::admin
