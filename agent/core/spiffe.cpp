#include "agent/core/spiffe.h"

#include <algorithm>

namespace sallyport {
namespace {

// The text up to the next `/` or the end, which is taken off `rest`.
std::string_view next_segment(std::string_view& rest) {
  const auto slash = std::min(rest.find('/'), rest.size());
  const auto segment = rest.substr(0, slash);
  rest.remove_prefix(std::min(slash + 1, rest.size()));
  return segment;
}

}  // namespace

std::string SpiffeId::text() const {
  std::string domain = trust_domain;
  std::replace(domain.begin(), domain.end(), '@', '.');
  return std::string(spiffe_prefix) + domain + "/ns/" + namespace_name + "/sa/" + service_account;
}

std::optional<SpiffeId> SpiffeId::parse(std::string_view uri) {
  if (!uri.starts_with(spiffe_prefix)) return std::nullopt;
  uri.remove_prefix(spiffe_prefix.size());
  if (std::count(uri.begin(), uri.end(), '/') != 4) return std::nullopt;
  SpiffeId id;
  id.trust_domain = next_segment(uri);
  if (next_segment(uri) != "ns") return std::nullopt;
  id.namespace_name = next_segment(uri);
  if (next_segment(uri) != "sa") return std::nullopt;
  id.service_account = next_segment(uri);
  const bool whole =
      !id.trust_domain.empty() && !id.namespace_name.empty() && !id.service_account.empty();
  return whole ? std::optional(std::move(id)) : std::nullopt;
}

bool has_spiffe_characters(std::string_view uri) {
  return std::all_of(uri.begin(), uri.end(), [](char c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return letter || (c >= '0' && c <= '9') ||
           std::string_view("-._~/:@%+").find(c) != std::string_view::npos;
  });
}

std::string_view trust_domain_of(std::string_view uri) {
  if (!uri.starts_with(spiffe_prefix)) return {};
  uri.remove_prefix(spiffe_prefix.size());
  return uri.substr(0, uri.find('/'));
}

}  // namespace sallyport
