// A rule of an AuthorizationPolicy becomes conditions (istio/istio:pilot/pkg/security/authz/model).
#include <algorithm>

#include "agent/core/spiffe.h"
#include "agent/istio/path_template.h"
#include "agent/mesh/authorization_rules.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/trust_domains.h"

namespace sallyport::mesh {
namespace {

using Gap = TextPattern::Gap;
using Texts = std::vector<std::string>;
using ToPatterns = std::vector<TextPattern> (*)(const std::string& value, std::string_view own);

std::vector<TextPattern> text(const std::string& value, std::string_view) {
  return {TextPattern::of_value(value, Gap::some)};
}

// `*` asks only whether it is there.
std::vector<TextPattern> header_text(const std::string& value, std::string_view) {
  return {TextPattern::of_value(value, Gap::any)};
}

std::vector<TextPattern> host_text(const std::string& value, std::string_view) {
  return {TextPattern::of_value(value, Gap::any).ignore_case()};
}

std::vector<TextPattern> path_text(const std::string& value, std::string_view own) {
  if (!istio::is_path_template(value)) return text(value, own);
  return {TextPattern::of_path_template(value)};
}

// Written without spiffe://.
std::vector<TextPattern> principal_text(const std::string& value, std::string_view) {
  TextPattern out;
  if (value == "*") return {out.end_with(Gap::some)};
  if (value.starts_with('*'))
    return {out.add(Gap::none, spiffe_prefix).add(Gap::any, std::string_view(value).substr(1))};
  return {TextPattern::of_value(std::string(spiffe_prefix) + value, Gap::some)};
}

// ".../ns/NAMESPACE/...", where a star may stand for anything.
std::vector<TextPattern> namespace_text(const std::string& value, std::string_view) {
  std::string_view rest = value;
  std::string literal = "/ns/";
  TextPattern out;
  while (true) {
    const auto star = std::min(rest.find('*'), rest.size());
    literal.append(rest.substr(0, star));
    if (star == rest.size()) break;
    out.add(Gap::any, literal);
    literal.clear();
    rest.remove_prefix(star + 1);
  }
  return {out.add(Gap::any, literal + '/').end_with(Gap::any)};
}

// spiffe://.../ns/NAMESPACE/sa/ACCOUNT, with or without further pairs between and behind.
std::vector<TextPattern> account_text(const std::string& value, std::string_view own) {
  const auto slash = value.find('/');
  const std::string in = slash == value.npos ? std::string(own) : value.substr(0, slash);
  const std::string account = "/sa/" + (slash == value.npos ? value : value.substr(slash + 1));
  std::vector<TextPattern> out;
  for (const bool pairs_between : {false, true}) {
    for (const bool pairs_behind : {false, true}) {
      const std::string end = account + (pairs_behind ? "/" : "");
      TextPattern pattern;
      pattern.add(Gap::none, spiffe_prefix);
      if (pairs_between) {
        pattern.add(Gap::some, "/ns/" + in + '/').add(Gap::some, end);
      } else {
        pattern.add(Gap::some, "/ns/" + in + end);
      }
      pattern.end_with(pairs_behind ? Gap::some : Gap::none);
      out.push_back(std::move(pattern));
    }
  }
  return out;
}

std::vector<TextPattern> domain_text(const std::string& value, std::string_view) {
  TextPattern out;
  if (value == "*") return {out.add(Gap::none, spiffe_prefix).end_with(Gap::any)};
  const auto star = std::min(value.find('*'), value.size());
  out.add(Gap::none, std::string(spiffe_prefix) + value.substr(0, star));
  const Gap gap = star == value.size() ? Gap::none : Gap::no_slash;
  const auto rest = std::string_view(value).substr(std::min(star + 1, value.size()));
  return {out.add(gap, std::string(rest) + '/').end_with(Gap::any)};
}

struct RuleReader {
  const RuleQuestion& question;
  const TrustDomains& domains;
  bool http_only = false;  // something asked for what only HTTP has

  std::string_view own_namespace() const { return question.policy.metadata.namespace_name(); }

  void texts(Attribute attribute, const istio::RuleValues& values, ToPatterns to_patterns,
             AllOf& out, std::string header = {}) {
    if (values.empty()) return;
    const bool of_http = attribute == Attribute::host || attribute == Attribute::method ||
                         attribute == Attribute::path || attribute == Attribute::header;
    http_only = http_only || of_http;
    if (of_http && question.tcp) return;
    AttributeCondition condition{attribute, std::move(header), {}, {}};
    const auto add = [&](const Texts& from, std::vector<TextPattern>& to) {
      for (const auto& value : from)
        for (auto& pattern : to_patterns(value, own_namespace())) to.push_back(std::move(pattern));
    };
    add(values.values, condition.values.texts);
    add(values.not_values, condition.not_values.texts);
    out.push_back(std::move(condition));
  }
  // Validated: each is an address or a block.
  void blocks(Attribute attribute, const istio::RuleValues& values, AllOf& out) {
    if (values.empty()) return;
    AttributeCondition condition{attribute, {}, {}, {}};
    for (const auto& value : values.values)
      condition.values.blocks.push_back(Cidr::parse(value).value());
    for (const auto& value : values.not_values)
      condition.not_values.blocks.push_back(Cidr::parse(value).value());
    out.push_back(std::move(condition));
  }
  void ports(const istio::RuleValues& values, AllOf& out) {
    if (values.empty()) return;
    AttributeCondition condition{Attribute::destination_port, {}, {}, {}};
    const auto number = [](const std::string& value) {
      return static_cast<uint16_t>(std::stoul(value));
    };
    for (const auto& value : values.values) condition.values.ports.push_back(number(value));
    for (const auto& value : values.not_values) condition.not_values.ports.push_back(number(value));
    out.push_back(std::move(condition));
  }
  void principals(const istio::RuleValues& values, AllOf& out) {
    texts(Attribute::principal,
          {domains.of_principals(values.values), domains.of_principals(values.not_values)},
          principal_text, out);
  }
  void trust_domains(const istio::RuleValues& values, AllOf& out) {
    texts(Attribute::principal,
          {domains.of_domains(values.values), domains.of_domains(values.not_values)}, domain_text,
          out);
  }

  AllOf source(const istio::RuleSource& source);
  AllOf operation(const istio::RuleOperation& operation);
  void condition(const istio::RuleCondition& condition, AllOf& out);
};

AllOf RuleReader::source(const istio::RuleSource& source) {
  AllOf out;
  principals(source.principals, out);
  texts(Attribute::principal, source.service_accounts, account_text, out);
  trust_domains(source.trust_domains, out);
  texts(Attribute::principal, source.namespaces, namespace_text, out);
  blocks(Attribute::remote_ip, source.remote_ip_blocks, out);
  blocks(Attribute::peer_ip, source.ip_blocks, out);
  return out;
}

AllOf RuleReader::operation(const istio::RuleOperation& operation) {
  AllOf out;
  ports(operation.ports, out);
  texts(Attribute::host, operation.hosts, host_text, out);
  texts(Attribute::method, operation.methods, header_text, out);
  texts(Attribute::path, operation.paths, path_text, out);
  return out;
}

void RuleReader::condition(const istio::RuleCondition& condition, AllOf& out) {
  const std::string& key = condition.key;
  const istio::RuleValues& values = condition.values;
  if (key == "destination.ip") return blocks(Attribute::destination_ip, values, out);
  if (key == "destination.port") return ports(values, out);
  if (key == "connection.sni") return texts(Attribute::sni, values, text, out);
  if (key == "source.ip") return blocks(Attribute::peer_ip, values, out);
  if (key == "remote.ip") return blocks(Attribute::remote_ip, values, out);
  if (key == "source.principal") return principals(values, out);
  if (key == "source.trustDomain") return trust_domains(values, out);
  if (key == "source.namespace") return texts(Attribute::principal, values, namespace_text, out);
  if (key == "source.serviceAccount") return texts(Attribute::principal, values, account_text, out);
  const auto open = key.find('[');  // validated: request.headers[NAME]
  texts(Attribute::header, values, header_text, out,
        lower(std::string_view(key).substr(open + 1, key.size() - open - 2)));
}

}  // namespace

std::string rule_name(const ResourceRef& policy, std::size_t index) {
  return "ns[" + policy.namespace_name + "]-policy[" + policy.name + "]-rule[" +
         std::to_string(index) + "]";
}

std::string unsupported_attribute(const istio::AuthorizationRule& rule) {
  for (const auto& source : rule.from)
    if (!source.request_principals.empty()) return "requestPrincipals";
  for (const auto& condition : rule.when) {
    const std::string_view key = condition.key;
    if (key.starts_with("request.auth.") || key.starts_with("experimental.")) return condition.key;
  }
  return {};
}

std::optional<CompiledRule> compile_rule(const RuleQuestion& question,
                                         const TrustDomains& domains) {
  const istio::AuthorizationRule& rule = question.policy.rules[question.index];
  CompiledRule out{rule_name(*question.policy.metadata.ref, question.index), rule.ref, {}, {}, {}};
  RuleReader reader{question, domains};
  for (const auto& source : rule.from) out.from.push_back(reader.source(source));
  for (const auto& operation : rule.to) out.to.push_back(reader.operation(operation));
  for (const auto& condition : rule.when) reader.condition(condition, out.when);
  // Istio drops such a rule from ALLOW, and only what HTTP asks for from DENY and AUDIT: either way
  // less is let through.
  const bool allows = question.policy.action == istio::AuthorizationAction::allow;
  if (question.tcp && reader.http_only && allows) return std::nullopt;
  return out;
}

}  // namespace sallyport::mesh
