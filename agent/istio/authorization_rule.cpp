// A rule of an AuthorizationPolicy, with Istio's validation of its values
// (istio/istio:pkg/config/security, pkg/config/validation).
#include <charconv>

#include "agent/core/address.h"
#include "agent/istio/kinds.h"
#include "agent/istio/path_template.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {
namespace {

// Each is what is wrong with one value, or empty.
using Check = std::string (*)(const std::string& value);

std::string any_problem(const std::string&) { return {}; }

std::string ip_problem(const std::string& value) {
  const bool block = value.find('/') != std::string::npos;
  if (block) return Cidr::parse(value) ? "" : "bad CIDR range (" + value + ")";
  return IpAddress::parse(value) ? "" : "bad IP address (" + value + ")";
}

std::string port_problem_of(const std::string& value) {
  unsigned port = 0;
  const char* const end = value.data() + value.size();
  const auto [at, failed] = std::from_chars(value.data(), end, port);
  const bool fits = failed == std::errc() && at == end && port <= 65535;
  return fits ? "" : "bad port (" + value + ")";
}

std::string service_account_problem(const std::string& value) {
  const auto slashes = std::count(value.begin(), value.end(), '/');
  if (value.find('*') != std::string::npos) return "wildcard not allowed, found " + quoted(value);
  if (value.size() > 320) return "value cannot exceed 320 characters, found " + quoted(value);
  const bool fits = slashes == 0 || (slashes == 1 && value.front() != '/' && value.back() != '/');
  return fits ? ""
              : "expected format 'serviceAccount' or 'namespace/serviceAccount', found " +
                    quoted(value);
}

std::string wildcard_problem(const std::string& value) {
  const auto stars = std::count(value.begin(), value.end(), '*');
  if (stars > 1) return "at most one wildcard is allowed, found " + quoted(value);
  const bool fits = stars == 0 || value.front() == '*' || value.back() == '*';
  return fits ? "" : "wildcard is only allowed at the start or end, found " + quoted(value);
}

std::string trust_domain_problem(const std::string& value) {
  const bool slash = value.find('/') != std::string::npos;
  return slash ? "trust domain must not contain '/', found " + quoted(value)
               : wildcard_problem(value);
}

std::string path_problem(const std::string& value) {
  return path_template_problem(value).value_or(std::string());
}

void check_values(Fields& fields, std::string_view name, const std::vector<std::string>& values,
                  Check check) {
  for (const std::string& value : values) {
    const std::string problem = value.empty() ? "empty value not allowed" : check(value);
    if (!problem.empty()) fields.error(name, problem);
  }
}

RuleValues decode_values(Fields& fields, std::string_view name, std::string_view not_name,
                         Check check = any_problem) {
  RuleValues out{fields.texts(name), fields.texts(not_name)};
  check_values(fields, name, out.values, check);
  check_values(fields, not_name, out.not_values, check);
  return out;
}

constexpr std::size_t service_accounts_max = 16;  // Istio's limit of one list

void check_principals(const RuleSource& source, Fields& fields) {
  for (const auto* values : {&source.principals.values, &source.principals.not_values}) {
    for (const std::string& value : *values) {
      if (value.starts_with("spiffe://")) {
        fields.warn("principals",
                    quoted(value) + " matches nobody: principals are written without spiffe://");
      }
    }
  }
}

bool is_empty(const RuleSource& source) {
  return source.principals.empty() && source.request_principals.empty() &&
         source.namespaces.empty() && source.service_accounts.empty() &&
         source.trust_domains.empty() && source.ip_blocks.empty() &&
         source.remote_ip_blocks.empty();
}

RuleSource decode_source(Fields& fields, const std::string& where) {
  RuleSource source;
  source.principals = decode_values(fields, "principals", "notPrincipals");
  source.request_principals = decode_values(fields, "requestPrincipals", "notRequestPrincipals");
  source.namespaces = decode_values(fields, "namespaces", "notNamespaces");
  source.service_accounts =
      decode_values(fields, "serviceAccounts", "notServiceAccounts", service_account_problem);
  source.trust_domains =
      decode_values(fields, "trustDomains", "notTrustDomains", trust_domain_problem);
  source.ip_blocks = decode_values(fields, "ipBlocks", "notIpBlocks", ip_problem);
  source.remote_ip_blocks =
      decode_values(fields, "remoteIpBlocks", "notRemoteIpBlocks", ip_problem);
  const RuleValues& accounts = source.service_accounts;
  if (std::max(accounts.values.size(), accounts.not_values.size()) > service_accounts_max) {
    fields.error("serviceAccounts", "may not have more than 16 values");
  }
  if (!accounts.empty() && !(source.principals.empty() && source.namespaces.empty())) {
    fields.error("serviceAccounts",
                 "cannot set serviceAccounts with namespaces or principals" + where);
  }
  if (is_empty(source)) fields.error("", "`from.source` must not be empty" + where);
  check_principals(source, fields);
  return source;
}

RuleOperation decode_operation(Fields& fields, const std::string& where) {
  RuleOperation operation;
  operation.hosts = decode_values(fields, "hosts", "notHosts");
  operation.ports = decode_values(fields, "ports", "notPorts", port_problem_of);
  operation.methods = decode_values(fields, "methods", "notMethods");
  operation.paths = decode_values(fields, "paths", "notPaths", path_problem);
  if (operation.hosts.empty() && operation.ports.empty() && operation.methods.empty() &&
      operation.paths.empty()) {
    fields.error("", "`to.operation` must not be empty" + where);
  }
  return operation;
}

// "request.headers[x]": the brackets have to hold something.
bool is_map_key(std::string_view key) {
  const auto open = key.find('[');
  return key.ends_with(']') && open != key.npos && open > 0 && open + 2 < key.size();
}

// The check of the values of a condition; null: there is no such attribute, or its key is wrong.
Check check_of(const std::string& key, std::string& problem) {
  constexpr std::string_view plain[] = {"source.namespace",       "source.principal",
                                        "request.auth.principal", "request.auth.audiences",
                                        "request.auth.presenter", "connection.sni"};
  if (std::find(std::begin(plain), std::end(plain), key) != std::end(plain)) return any_problem;
  if (key == "source.ip" || key == "remote.ip" || key == "destination.ip") return ip_problem;
  if (key == "destination.port") return port_problem_of;
  if (key == "source.serviceAccount") return service_account_problem;
  if (key == "source.trustDomain") return wildcard_problem;
  for (const std::string_view map :
       {"request.headers", "request.auth.claims", "experimental.envoy.filters."}) {
    if (!key.starts_with(map)) continue;
    if (is_map_key(key)) return any_problem;
    problem = "bad key (" + key + "): should have format a[b]";
    return nullptr;
  }
  if (key == "destination.namespace") {
    problem = "attribute " + key + " is replaced by the metadata.namespace";
  } else if (key.starts_with("destination.labels")) {
    problem = "attribute " + key + " is replaced by the workload selector";
  } else {
    problem = "unknown attribute: " + key;
  }
  return nullptr;
}

RuleCondition decode_condition(Fields& fields) {
  RuleCondition condition;
  condition.line = fields.line();
  condition.key = fields.text("key");
  std::string problem = condition.key.empty() ? "`key` must not be empty" : "";
  const Check check = problem.empty() ? check_of(condition.key, problem) : nullptr;
  if (!problem.empty()) fields.error("key", problem);
  condition.values = decode_values(fields, "values", "notValues", check ? check : any_problem);
  if (condition.values.empty() && problem.empty()) {
    fields.error("",
                 "at least one of `values` or `notValues` must be set for key " + condition.key);
  }
  if (condition.key == "source.serviceAccount" &&
      std::max(condition.values.values.size(), condition.values.not_values.size()) >
          service_accounts_max) {
    fields.error("values", "may not have more than 16 values");
  }
  return condition;
}

// Sources and operations: a list of objects with one field each.
template <class T>
void decode_each(Fields& rule, std::string_view list, std::string_view field,
                 T (*decode)(Fields&, const std::string&), const std::string& where,
                 std::vector<T>& out) {
  const Node* const given = rule.find(list);
  if (given && given->kind == Node::Kind::sequence && given->entries.empty()) {
    rule.error(list, '`' + std::string(list) + "` must not be empty" + where);
  }
  rule.each(
      list,
      [&](Fields& item) {
        const bool there = item.object(
            field, [&](Fields& fields) { out.push_back(decode(fields, where)); }, Unknown::refuse);
        if (there) return;
        item.error(field, '`' + std::string(list) + '.' + std::string(field) + "` must not be nil" +
                              where);
      },
      Unknown::refuse);
}

void check_custom(const AuthorizationRule& rule, Fields& fields) {
  const auto refuse = [&](bool given, std::string_view name) {
    if (given) {
      fields.error("", std::string(name) + " is currently not supported with CUSTOM action");
    }
  };
  for (const RuleSource& source : rule.from) {
    refuse(!source.namespaces.empty(), "From.Namespaces");
    refuse(!source.service_accounts.empty(), "From.ServiceAccounts");
    refuse(!source.trust_domains.empty(), "From.TrustDomains");
    refuse(!source.principals.empty(), "From.Principals");
    refuse(!source.request_principals.empty(), "From.RequestPrincipals");
  }
  for (const RuleCondition& condition : rule.when) {
    const std::string& key = condition.key;
    const bool of_peer = key == "source.namespace" || key == "source.serviceAccount" ||
                         key == "source.trustDomain" || key == "source.principal";
    refuse(of_peer || key.starts_with("request.auth."), key);
  }
}

// Istio's warning: on TCP only the HTTP fields are dropped from a DENY rule.
bool denies_all_of_tcp(const AuthorizationRule& rule) {
  const bool tcp_from = std::any_of(rule.from.begin(), rule.from.end(), [](const auto& source) {
    RuleSource rest = source;
    rest.request_principals = {};
    return !is_empty(rest);
  });
  const bool tcp_to = std::any_of(rule.to.begin(), rule.to.end(),
                                  [](const auto& operation) { return !operation.ports.empty(); });
  return rule.to.empty() ? !rule.from.empty() && !tcp_from : !tcp_to;
}

}  // namespace

AuthorizationRule decode_authorization_rule(Fields& fields, const AuthorizationPolicy& policy,
                                            std::size_t index) {
  AuthorizationRule rule;
  ResourceRef at = *policy.metadata.ref;
  at.line = fields.line();
  rule.ref = std::make_shared<const ResourceRef>(std::move(at));
  const std::string where = ", found at rule " + std::to_string(index);
  decode_each(fields, "from", "source", decode_source, where, rule.from);
  decode_each(fields, "to", "operation", decode_operation, where, rule.to);
  fields.each(
      "when", [&](Fields& condition) { rule.when.push_back(decode_condition(condition)); },
      Unknown::refuse);
  if (policy.action == AuthorizationAction::custom) check_custom(rule, fields);
  if (policy.action == AuthorizationAction::deny && denies_all_of_tcp(rule)) {
    fields.warn("",
                "configured AuthorizationPolicy will deny all traffic to TCP ports under its scope "
                "due to the use of only HTTP attributes in a DENY rule; it is recommended to "
                "explicitly specify the port");
  }
  return rule;
}

}  // namespace sallyport::istio
