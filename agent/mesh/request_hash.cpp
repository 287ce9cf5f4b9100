#include "agent/mesh/request_hash.h"

#include <algorithm>
#include <cstdio>

#include "agent/core/xxhash.h"

namespace sallyport::mesh {
namespace {

using Key = HashPolicy::Key;

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

std::string_view unquoted(std::string_view text) {
  const bool quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  return quoted ? text.substr(1, text.size() - 2) : text;
}

// The value that `name` has in "a=1; b=2", separated by `by`.
std::optional<std::string_view> value_in(std::string_view pairs, char by, std::string_view name) {
  while (!pairs.empty()) {
    const auto end = std::min(pairs.find(by), pairs.size());
    const auto pair = trimmed(pairs.substr(0, end));
    pairs.remove_prefix(std::min(end + 1, pairs.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == name) return pair.substr(std::min(equals + 1, pair.size()));
  }
  return std::nullopt;
}

std::string_view cookie_of(const HashPolicy& policy, const http::Head& request) {
  for (int i = 0; i < request.count; ++i) {
    const auto& field = request.fields[std::size_t(i)];
    if (!http::same_name(request.name(field), "cookie")) continue;
    if (const auto value = value_in(request.value(field), ';', policy.name)) {
      return unquoted(*value);
    }
  }
  return {};
}

// Several fields of the name count in the order of their values, as with Envoy.
std::optional<uint64_t> header_hash(const HashPolicy& policy, const http::Head& request) {
  std::string_view values[limits::http_composed_headers];
  std::size_t count = 0;
  for (int i = 0; i < request.count; ++i) {
    const auto& field = request.fields[std::size_t(i)];
    if (http::same_name(request.name(field), policy.name)) values[count++] = request.value(field);
  }
  if (count == 0) return std::nullopt;
  std::sort(values, values + count);
  uint64_t hash = 0;
  for (std::size_t i = 0; i < count; ++i) hash = xxhash64(values[i], hash);
  return hash;
}

std::optional<uint64_t> query_hash(const HashPolicy& policy, const http::Head& request) {
  const auto path = request.origin_path();
  const auto question = path.find('?');
  if (question == path.npos) return std::nullopt;
  const auto query = path.substr(question + 1);
  const auto value = value_in(query.substr(0, query.find('#')), '&', policy.name);
  return value ? std::optional(xxhash64(*value)) : std::nullopt;
}

std::optional<uint64_t> address_hash(const IpAddress& client) {
  char text[64];
  const char* const end = client.write(text);
  return xxhash64({text, std::size_t(end - text)});
}

}  // namespace

std::optional<uint64_t> request_hash(const HashPolicy& policy, const http::Head& request,
                                     const IpAddress& client, std::string_view cookie) {
  switch (policy.key) {
    case Key::header:
      return header_hash(policy, request);
    case Key::cookie:
      if (cookie.empty()) cookie = cookie_of(policy, request);
      return cookie.empty() ? std::nullopt : std::optional(xxhash64(cookie));
    case Key::source_ip:
      return address_hash(client);
    case Key::query_parameter:
      return query_hash(policy, request);
    case Key::none:
      break;
  }
  return std::nullopt;
}

std::optional<uint64_t> connection_hash(const HashPolicy& policy, const IpAddress& client) {
  return policy.key == Key::source_ip ? address_hash(client) : std::nullopt;
}

std::string new_cookie(const HashPolicy& policy, const http::Head& request,
                       const SocketAddress& client, const SocketAddress& dialled) {
  if (policy.key != Key::cookie || !policy.ttl || !cookie_of(policy, request).empty()) return {};
  char text[17];
  const auto hash = xxhash64(client.text() + dialled.text());
  snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

// Envoy's makeSetCookieValue.
std::string set_cookie(const HashPolicy& policy, std::string_view value) {
  std::string out = policy.name + "=\"" + std::string(value) + "\"";
  if (policy.ttl->count() != 0) out += "; Max-Age=" + std::to_string(policy.ttl->count());
  if (!policy.path.empty()) out += "; Path=" + policy.path;
  for (const auto& [name, of] : policy.attributes) {
    out += "; " + name;
    if (!of.empty()) out += "=" + of;
  }
  return out + "; HttpOnly";
}

}  // namespace sallyport::mesh
