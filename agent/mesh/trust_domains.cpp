#include "agent/mesh/trust_domains.h"

#include <algorithm>

namespace sallyport::mesh {
namespace {

void add_new(std::string value, std::vector<std::string>& out) {
  if (std::find(out.begin(), out.end(), value) == out.end()) out.push_back(std::move(value));
}

// `pattern` begins with a star, and `text` ends with the rest of it.
bool suffix_match(std::string_view text, std::string_view pattern) {
  return pattern.starts_with('*') && text.ends_with(pattern.substr(1));
}

bool prefix_match(std::string_view text, std::string_view pattern) {
  return pattern.ends_with('*') && text.starts_with(pattern.substr(0, pattern.size() - 1));
}

// Either may be a pattern.
bool same(std::string_view a, std::string_view b) {
  return a == b || b == "*" || prefix_match(a, b) || prefix_match(b, a) || suffix_match(a, b) ||
         suffix_match(b, a);
}

}  // namespace

void TrustDomains::add_principal(const std::string& principal,
                                 std::vector<std::string>& out) const {
  const auto slash = principal.find('/');
  const std::string_view domain = std::string_view(principal).substr(0, slash);
  const bool names_one = std::count(principal.begin(), principal.end(), '/') == 4 && domain != "*";
  const bool ours = domain == "cluster.local" ||
                    std::any_of(domains_.begin(), domains_.end(),
                                [&](const std::string& one) { return same(domain, one); });
  if (!names_one || !ours) return out.push_back(principal);
  std::vector<std::string> all;
  for (const std::string& one : domains_)
    add_new(suffix_match(one, domain) ? principal : one + principal.substr(slash), all);
  out.insert(out.end(), all.begin(), all.end());
}

std::vector<std::string> TrustDomains::of_principals(
    const std::vector<std::string>& principals) const {
  std::vector<std::string> out;
  for (const std::string& principal : principals) add_principal(principal, out);
  return out;
}

std::vector<std::string> TrustDomains::of_domains(const std::vector<std::string>& values) const {
  std::vector<std::string> out;
  for (const std::string& value : values) {
    const bool ours = std::find(domains_.begin(), domains_.end(), value) != domains_.end();
    if (!ours) add_new(value, out);
    if (!ours) continue;
    for (const std::string& one : domains_) add_new(one, out);
  }
  return out;
}

}  // namespace sallyport::mesh
