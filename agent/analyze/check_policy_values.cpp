// Values of AuthorizationPolicies' rules that can match nothing: principals that nobody can have,
// methods in lower case, paths that no request has.
#include <algorithm>

#include "agent/analyze/rule_values.h"
#include "agent/core/spiffe.h"
#include "agent/istio/names.h"
#include "agent/istio/path_template.h"
#include "agent/istio/scalar.h"

namespace sallyport::analyze {
namespace {

// As authorization takes a value: "*a" by its end, "a*" by its start; further stars are literal.
struct RuleText {
  explicit RuleText(std::string_view value)
      : open_start(value.starts_with('*')), open_end(!open_start && value.ends_with('*')) {
    literal = value.substr(open_start ? 1 : 0, value.size() - (open_start || open_end ? 1 : 0));
  }
  bool has_literal_star() const { return literal.find('*') != literal.npos; }

  bool open_start, open_end;
  std::string_view literal;
};

std::vector<std::string_view> segments_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (true) {
    const auto slash = std::min(text.find('/'), text.size());
    out.push_back(text.substr(0, slash));
    if (slash == text.size()) return out;
    text.remove_prefix(slash + 1);
  }
}

constexpr std::string_view identity_form[] = {"", "ns", "", "sa", ""};  // empty: any name

// Whether it is TRUSTDOMAIN/ns/NAMESPACE/sa/ACCOUNT, or an end of one.
bool is_of_identities(const RuleText& text) {
  const auto parts = segments_of(text.literal);
  const auto whole = std::size(identity_form);
  if (parts.size() > whole) return false;
  if (parts.size() < whole && !text.open_start && !text.open_end) return false;
  const std::size_t first = text.open_start ? whole - parts.size() : 0;
  for (std::size_t i = 0; i < parts.size(); i++) {
    const auto wanted = identity_form[first + i], part = parts[i];
    const bool cut_start = text.open_start && i == 0;
    const bool cut_end = text.open_end && i + 1 == parts.size();
    const bool fits = wanted.empty() ? !part.empty() || cut_start || cut_end
                      : cut_start    ? wanted.ends_with(part)
                      : cut_end      ? wanted.starts_with(part)
                                     : wanted == part;
    if (!fits) return false;
  }
  return true;
}

// REQUIRES: is_of_identities().
bool has_mesh_domain(const RuleText& text, const istio::MeshConfig& mesh) {
  const auto parts = segments_of(text.literal);
  const bool complete = parts.size() == std::size(identity_form);
  if (text.open_start && !complete) return true;  // it names no trust domain
  const auto domain = parts[0];
  // It stands for the mesh's own, but not in an incomplete name: that one stays as it is.
  if (complete && !text.open_start && domain == "cluster.local") return true;
  const auto fits = [&](std::string_view one) {
    if (text.open_start) return one.ends_with(domain);
    return text.open_end && parts.size() == 1 ? one.starts_with(domain) : one == domain;
  };
  const auto& aliases = mesh.trust_domain_aliases;
  return fits(mesh.trust_domain) || std::any_of(aliases.begin(), aliases.end(), fits);
}

constexpr const char* lone_star =
    "only one * is a wildcard, at the very start or else the very end: any other is compared as it "
    "is";

// "/a/{*}/b" for "/a/*/b"; empty: stars are only parts of segments.
std::string as_template(std::string_view path) {
  std::string out;
  const auto parts = segments_of(path);
  for (std::size_t i = 0; i < parts.size(); i++) {
    const bool star = parts[i] == "*" || parts[i] == "**", last = i + 1 == parts.size();
    if (!star && parts[i].find('*') != std::string_view::npos) return {};
    if (i > 0) out += '/';
    out += star ? (last ? "{**}" : "{*}") : parts[i];
  }
  return out;
}

class ValueChecks {
public:
  ValueChecks(Checks& checks, const Object& policy) : checks_(checks), policy_(policy) {}

  void principal(const std::string& value, const std::string& field);
  void method(const std::string& value, const std::string& field);
  void path(const std::string& value, const std::string& field);

private:
  void tell(const std::string& value, const std::string& field, const std::string& why,
            const std::string& cure) {
    checks_.add("SLP0704", policy_, field, istio::quoted(value) + " matches " + why, cure);
  }

  Checks& checks_;
  const Object& policy_;
};

void ValueChecks::principal(const std::string& value, const std::string& field) {
  const RuleText text(value);
  constexpr const char* cure =
      "write TRUSTDOMAIN/ns/NAMESPACE/sa/ACCOUNT, with at most one *, at the very start or end; "
      "for all of a namespace name it in namespaces";
  if (value.starts_with(spiffe_prefix))
    return tell(value, field, "nobody: principals are written without spiffe://",
                "write " + value.substr(spiffe_prefix.size()));
  if (text.has_literal_star()) return tell(value, field, std::string("nobody: ") + lone_star, cure);
  if (!is_of_identities(text))
    return tell(value, field, "nobody: clients are TRUSTDOMAIN/ns/NAMESPACE/sa/ACCOUNT", cure);
  const auto& mesh = checks_.world.mesh();
  if (!checks_.world.knows_mesh() || has_mesh_domain(text, mesh)) return;
  const auto slash = text.open_start ? value.npos : value.find('/');
  checks_.add("SLP0705", policy_, field,
              istio::quoted(value) + " matches nobody: its trust domain is neither the mesh's (" +
                  mesh.trust_domain + ") nor one of trustDomainAliases",
              slash == value.npos ? ""
                                  : "write " + mesh.trust_domain + value.substr(slash) +
                                        ", or add the domain to meshConfig.trustDomainAliases");
}

void ValueChecks::method(const std::string& value, const std::string& field) {
  const auto upper = istio::upper_case(value);
  if (upper == value) return;
  tell(value, field, "no request: methods are in upper case, and compared as they are written",
       "write " + upper);
}

void ValueChecks::path(const std::string& value, const std::string& field) {
  if (value.find_first_of("/*{") != 0)
    return tell(value, field, "no request: a path begins with /", "write /" + value);
  if (istio::is_path_template(value) || !RuleText(value).has_literal_star()) return;
  const auto better = as_template(value);
  tell(value, field, std::string("no request: ") + lone_star,
       better.empty() ? "write {*} for a whole segment, {**} for all segments to the end"
                      : "write " + better + ": {*} is one segment, {**} all to the end");
}

void look_at_values(Checks& checks, const Typed<istio::AuthorizationPolicy>& policy) {
  ValueChecks values(checks, *policy.object);
  const auto principal = [&](const std::string& value, const std::string& field) {
    values.principal(value, field);
  };
  each_source(*policy.value, [&](const istio::RuleSource& source, const std::string& at) {
    each_value(source.principals, at, "principals", "notPrincipals",
               [&](const std::string& value, const std::string& field) {
                 // The decoder tells of these.
                 if (!value.starts_with(spiffe_prefix)) principal(value, field);
               });
  });
  each_condition(*policy.value, "source.principal",
                 [&](const istio::RuleValues& all, const std::string& at) {
                   each_value(all, at, "values", "notValues", principal);
                 });
  each_operation(*policy.value, [&](const istio::RuleOperation& operation, const std::string& at) {
    each_value(
        operation.methods, at, "methods", "notMethods",
        [&](const std::string& value, const std::string& field) { values.method(value, field); });
    each_value(
        operation.paths, at, "paths", "notPaths",
        [&](const std::string& value, const std::string& field) { values.path(value, field); });
  });
}

}  // namespace

void check_policy_values(Checks& checks) {
  for (const auto& policy : checks.world.all<istio::AuthorizationPolicy>())
    look_at_values(checks, policy);
}

}  // namespace sallyport::analyze
