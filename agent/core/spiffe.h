// SPIFFE ids as Istio writes them: spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT. Pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace sallyport {

inline constexpr std::string_view spiffe_prefix = "spiffe://";

struct SpiffeId {
  std::string trust_domain, namespace_name, service_account;
  std::string text() const;  // an `@` in the trust domain is written as `.`, as istiod does
  bool operator==(const SpiffeId&) const = default;
  // Empty: not of Istio's form.
  static std::optional<SpiffeId> parse(std::string_view uri);
};

// "cluster.local" of "spiffe://cluster.local/ns/default/sa/sleep"; empty: no SPIFFE id.
std::string_view trust_domain_of(std::string_view uri);

// Letters, digits and `-._~/:@%+` only (SPIFFE-ID section 2 allows fewer): nothing that ends a
// header, or that X-Forwarded-Client-Cert has a meaning for.
bool has_spiffe_characters(std::string_view uri);

}  // namespace sallyport
