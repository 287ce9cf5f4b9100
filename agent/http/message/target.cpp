#include <algorithm>

#include "agent/core/address.h"
#include "agent/core/ascii.h"
#include "agent/http/message/fields.h"
#include "agent/http/message/refusal.h"
#include "agent/http/message/scan.h"

namespace sallyport::http {
namespace {

using refusal::refuse;

bool is_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || !std::all_of(text.begin(), text.end(), scan::is_digit))
    return false;
  unsigned port = 0;
  for (char c : text) port = port * 10 + static_cast<unsigned>(c - '0');
  return port <= 65535;
}

std::size_t scheme_size(std::string_view target) {
  for (std::string_view scheme : {"http://", "https://"})
    if (same_name(target.substr(0, scheme.size()), scheme)) return scheme.size();
  return 0;
}

// "a.test" and "a.test:80" are one authority under http.
std::string_view without_default_port(std::string_view authority, bool https) {
  const std::string_view port = https ? ":443" : ":80";
  if (authority.ends_with(port)) authority.remove_suffix(port.size());
  return authority;
}

}  // namespace

bool is_authority(std::string_view text) {
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == text.npos) return false;
    const auto inside = text.substr(1, close - 1);
    if (inside.find(':') == inside.npos || !IpAddress::parse(inside)) return false;
    text.remove_prefix(close + 1);
    return text.empty() || (text.front() == ':' && is_port(text.substr(1)));
  }
  const auto host_end = static_cast<std::size_t>(
      std::find_if_not(text.begin(), text.end(), scan::is_host) - text.begin());
  if (host_end == 0) return false;
  return host_end == text.size() || (text[host_end] == ':' && is_port(text.substr(host_end + 1)));
}

bool read_target(Head& head) {
  const auto target = head.path();
  // A tunnel is a different proxy: ours is transparent and was never asked for one.
  if (head.method() == "CONNECT") return refuse(head, refusal::no_tunnel, 404);
  head.path_begin = head.target;
  head.path_size = head.target_size;
  if (target.front() == '/') return true;
  if (target == "*") return head.method() == "OPTIONS" || refuse(head, refusal::invalid_url);
  const auto scheme = scheme_size(target);
  if (!scheme) return refuse(head, refusal::codec_error);
  const auto slash = std::min(target.find_first_of("/?", scheme), target.size());
  head.authority_begin = head.target + static_cast<uint32_t>(scheme);
  head.authority_size = static_cast<uint32_t>(slash - scheme);
  head.path_begin = head.target + static_cast<uint32_t>(slash);
  head.path_size = static_cast<uint32_t>(target.size() - slash);
  if (!is_authority(target.substr(scheme, slash - scheme)))
    return refuse(head, refusal::invalid_authority);
  // "http://a.test?x": the path that is meant, "/?x", is nowhere in the bytes. No client sends it.
  if (slash < target.size() && target[slash] == '?') return refuse(head, refusal::invalid_url);
  return true;
}

bool check_host(Head& head) {
  if (head.host < 0) return head.minor == 0 || refuse(head, refusal::missing_host);
  const auto host = head.value_at(head.host);
  if (!is_authority(host)) return refuse(head, refusal::invalid_authority);
  if (!head.authority_size) return true;
  const bool https = ascii::lower(head.base[head.target + 4]) == 's';
  const auto a = without_default_port(head.authority(), https);
  const auto b = without_default_port(host, https);
  const bool agree = std::equal(a.begin(), a.end(), b.begin(), b.end(),
                                [](char x, char y) { return ascii::lower(x) == ascii::lower(y); });
  return agree || refuse(head, refusal::authority_differs);
}

}  // namespace sallyport::http
