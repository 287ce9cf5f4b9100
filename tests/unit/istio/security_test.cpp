// PeerAuthentication and AuthorizationPolicy: what is read, and what Istio's validation refuses
// (istio/istio:pkg/config/validation). Nothing unknown is let through in either.
#include "tests/unit/istio/decoding.h"

namespace sallyport::istio {
namespace {

// `spec` in flow style, on line 5.
std::string policy(const std::string& kind, const std::string& spec,
                   const std::string& metadata = "") {
  return "apiVersion: security.istio.io/v1\nkind: " + kind +
         "\nmetadata: {name: x, namespace: foo" + metadata + "}\n\nspec: " + spec + "\n";
}

TEST(PeerAuthenticationDecoding, ReadsEveryField) {
  const auto read = only<PeerAuthentication>(
      "apiVersion: security.istio.io/v1beta1\nkind: PeerAuthentication\nmetadata: {name: x}\n"
      "spec:\n"
      "  selector: {matchLabels: {app: web}}\n"
      "  mtls:\n"
      "    mode: STRICT\n"
      "  portLevelMtls:\n"
      "    8080:\n"
      "      mode: DISABLE\n"
      "    '9000': {mode: PERMISSIVE}\n"
      "    9001: {}\n");
  ASSERT_TRUE(read.selector);
  EXPECT_EQ(read.selector->at("app"), "web");
  EXPECT_EQ(read.mtls.mode, MutualTls::strict);
  EXPECT_EQ(read.mtls.ref->text(), "PeerAuthentication default/x (f.yaml:7)");
  ASSERT_EQ(read.port_modes.size(), 3u);
  EXPECT_EQ(read.port_modes.at(8080).mode, MutualTls::disable);
  EXPECT_EQ(read.port_modes.at(8080).ref->line, 10);
  EXPECT_EQ(read.port_modes.at(9000).mode, MutualTls::permissive);
  EXPECT_EQ(read.port_modes.at(9001).mode, MutualTls::unset);
}

TEST(PeerAuthenticationDecoding, AnEmptyOneIsUnset) {
  for (const char* spec : {"{}", "{mtls: {}}", "{mtls: {mode: UNSET}}", ""}) {
    const auto read = only<PeerAuthentication>(policy("PeerAuthentication", spec));
    EXPECT_EQ(read.mtls.mode, MutualTls::unset) << spec;
    EXPECT_TRUE(is_for_all(read)) << spec;
  }
}

struct Case {
  const char* name;
  std::string spec;
  std::vector<std::string> complaints;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const Case peer_cases[] = {
    {"a misspelt mtls would let plaintext in",
     "{mTLS: {mode: STRICT}}",
     {"5: spec.mTLS: unknown field"}},
    {"a misspelt mode",
     "{mtls: {mode: strict}}",
     {"5: spec.mtls.mode: unsupported value \"strict\", supported: UNSET, DISABLE, PERMISSIVE, "
      "STRICT"}},
    {"an unknown field inside mtls",
     "{mtls: {mod: STRICT}}",
     {"5: spec.mtls.mod: unknown field; did you mean \"mode\"?"}},
    {"an unknown field of a port",
     "{selector: {matchLabels: {a: b}}, portLevelMtls: {80: {mod: STRICT}}}",
     {"5: spec.portLevelMtls.80.mod: unknown field; did you mean \"mode\"?"}},
    {"ports without a selector",
     "{portLevelMtls: {80: {mode: STRICT}}}",
     {"5: spec.portLevelMtls: mesh/namespace peer authentication cannot have port level mTLS"}},
    {"ports, but none",
     "{selector: {matchLabels: {a: b}}, portLevelMtls: {}}",
     {"5: spec.portLevelMtls: port level mTLS, if defined, must have at least one element"}},
    {"no such port",
     "{selector: {matchLabels: {a: b}}, portLevelMtls: {65536: {}, 80: {}}}",
     {"5: spec.portLevelMtls.65536: port must be in range 1..65535"}},
    {"a port's name",
     "{selector: {matchLabels: {a: b}}, portLevelMtls: {http: {}, 80: {}}}",
     {"5: spec.portLevelMtls.http: port must be in range 1..65535"}},
    {"a misspelt selector would select everything",
     "{selector: {matchLabel: {a: b}}}",
     {"5: spec.selector.matchLabel: unknown field; did you mean \"matchLabels\"?",
      "5: spec.selector.matchLabels: workload selector specified without labels"}},
    {"a wildcard in the selector",
     "{selector: {matchLabels: {a: 'b*'}}}",
     {"5: spec.selector.matchLabels: wildcard is not supported in selector: \"a=b*\""}},
};
class PeerAuthenticationVerdict : public testing::TestWithParam<Case> {};
TEST_P(PeerAuthenticationVerdict, RefusesWithTheReason) {
  const auto text = policy("PeerAuthentication", GetParam().spec);
  EXPECT_EQ(complaints(text), GetParam().complaints);
  EXPECT_EQ(decode(text, "f.yaml").refused.size(), 1u);
}
INSTANTIATE_TEST_SUITE_P(Spec, PeerAuthenticationVerdict, testing::ValuesIn(peer_cases));

TEST(AuthorizationPolicyDecoding, ReadsEveryField) {
  const auto read = only<AuthorizationPolicy>(
      "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
      "metadata: {name: x, namespace: foo, annotations: {istio.io/dry-run: 'true'}}\n"
      "spec:\n"
      "  selector: {matchLabels: {app: web}}\n"
      "  action: DENY\n"
      "  rules:\n"
      "  - from:\n"
      "    - source: {principals: [a/ns/b/sa/c], notPrincipals: [d], requestPrincipals: [e],\n"
      "        namespaces: [f], notNamespaces: [g], ipBlocks: [10.0.0.0/8], notIpBlocks: ['::1'],\n"
      "        remoteIpBlocks: [1.2.3.4], trustDomains: ['td*']}\n"
      "    - source: {serviceAccounts: [ns/sa, sa]}\n"
      "    to:\n"
      "    - operation: {hosts: [h], notHosts: [i], ports: ['80'], methods: [GET], paths: "
      "['/x/{*}']}\n"
      "    when:\n"
      "    - key: request.headers[X-Tag]\n"
      "      values: [v]\n"
      "      notValues: [w]\n"
      "  - {}\n");
  EXPECT_EQ(read.action, AuthorizationAction::deny);
  EXPECT_TRUE(read.dry_run);
  EXPECT_EQ(read.selector->at("app"), "web");
  ASSERT_EQ(read.rules.size(), 2u);
  const AuthorizationRule& rule = read.rules[0];
  EXPECT_EQ(rule.ref->text(), "AuthorizationPolicy foo/x (f.yaml:8)");
  ASSERT_EQ(rule.from.size(), 2u);
  using Texts = std::vector<std::string>;
  EXPECT_EQ(rule.from[0].principals.values, Texts{"a/ns/b/sa/c"});
  EXPECT_EQ(rule.from[0].principals.not_values, Texts{"d"});
  EXPECT_EQ(rule.from[0].request_principals.values, Texts{"e"});
  EXPECT_EQ(rule.from[0].namespaces.values, Texts{"f"});
  EXPECT_EQ(rule.from[0].ip_blocks.values, Texts{"10.0.0.0/8"});
  EXPECT_EQ(rule.from[0].ip_blocks.not_values, Texts{"::1"});
  EXPECT_EQ(rule.from[0].remote_ip_blocks.values, Texts{"1.2.3.4"});
  EXPECT_EQ(rule.from[0].trust_domains.values, Texts{"td*"});
  EXPECT_EQ(rule.from[1].service_accounts.values, (Texts{"ns/sa", "sa"}));
  ASSERT_EQ(rule.to.size(), 1u);
  EXPECT_EQ(rule.to[0].hosts.not_values, Texts{"i"});
  EXPECT_EQ(rule.to[0].ports.values, Texts{"80"});
  EXPECT_EQ(rule.to[0].methods.values, Texts{"GET"});
  EXPECT_EQ(rule.to[0].paths.values, Texts{"/x/{*}"});
  ASSERT_EQ(rule.when.size(), 1u);
  EXPECT_EQ(rule.when[0].key, "request.headers[X-Tag]");
  EXPECT_EQ(rule.when[0].values.not_values, Texts{"w"});
  EXPECT_TRUE(read.rules[1].from.empty() && read.rules[1].to.empty() && read.rules[1].when.empty());
}

TEST(AuthorizationPolicyDecoding, AnEmptySpecAllowsNothing) {
  for (const char* spec : {"{}", "", "{rules: []}"}) {
    const auto read = only<AuthorizationPolicy>(policy("AuthorizationPolicy", spec));
    EXPECT_EQ(read.action, AuthorizationAction::allow) << spec;
    EXPECT_TRUE(read.rules.empty()) << spec;
    EXPECT_FALSE(read.dry_run);
  }
}

TEST(AuthorizationPolicyDecoding, ADryRunIsAGoBoolean) {
  const auto with = [](const std::string& value) {
    return policy("AuthorizationPolicy", "{}",
                  ", annotations: {istio.io/dry-run: '" + value + "'}");
  };
  EXPECT_TRUE(only<AuthorizationPolicy>(with("1")).dry_run);
  EXPECT_FALSE(only<AuthorizationPolicy>(with("false")).dry_run);
  EXPECT_EQ(complaints(with("yes")),
            std::vector<std::string>{"3: metadata: annotation istio.io/dry-run: \"yes\" is no "
                                     "boolean"});
  EXPECT_EQ(decode(with("yes"), "f.yaml").refused.size(), 1u);
  const auto audit =
      policy("AuthorizationPolicy", "{action: AUDIT}", ", annotations: {istio.io/dry-run: 'true'}");
  EXPECT_EQ(complaints(audit),
            std::vector<std::string>{"3: metadata: the annotation istio.io/dry-run currently only "
                                     "supports action ALLOW/DENY"});
  EXPECT_EQ(decode(policy("PeerAuthentication", "{}", ", annotations: {istio.io/dry-run: 'true'}"),
                   "f.yaml")
                .refused.size(),
            1u)
      << "other kinds have no dry run";
}

const std::string from = "{rules: [{from: [{source: ";
const std::string to = "{rules: [{to: [{operation: ";
const std::string when = "{rules: [{when: [";
const std::string end = "}]}]}";

const Case authorization_cases[] = {
    {"a misspelt action would make an ALLOW of a DENY",
     "{Action: DENY, rules: [{}]}",
     {"5: spec.Action: unknown field; did you mean \"action\"?"}},
    {"an unknown field of a rule",
     "{rules: [{too: []}]}",
     {"5: spec.rules[0].too: unknown field; did you mean \"to\"?"}},
    {"an unknown field of a source",
     from + "{principals: [a], principal: [b]}" + end,
     {"5: spec.rules[0].from[0].source.principal: unknown field; did you mean \"principals\"?"}},
    {"an unknown field of an operation",
     to + "{ports: ['80'], path: [/]}" + end,
     {"5: spec.rules[0].to[0].operation.path: unknown field; did you mean \"paths\"?"}},
    {"an unknown field of a condition",
     when + "{key: source.ip, value: [1.1.1.1], values: [1.1.1.1]}]}]}",
     {"5: spec.rules[0].when[0].value: unknown field; did you mean \"values\"?"}},
    {"an unknown action",
     "{action: Deny, rules: [{}]}",
     {"5: spec.action: unsupported value \"Deny\", supported: ALLOW, DENY, AUDIT, CUSTOM"}},
    {"DENY without rules",
     "{action: DENY}",
     {"5: spec.rules: DENY action without `rules` is meaningless as it will never be triggered, "
      "add "
      "an empty rule `{}` if you want it be triggered for every request"}},
    {"CUSTOM without a provider",
     "{action: CUSTOM, rules: [{}]}",
     {"5: spec.provider: `provider.name` must not be empty"}},
    {"a provider of no CUSTOM",
     "{provider: {name: p}, rules: [{}]}",
     {"5: spec.provider: `provider` must not be with non CUSTOM action, found ALLOW"}},
    {"CUSTOM by principals",
     "{action: CUSTOM, provider: {name: p}, rules: [{from: [{source: {principals: [a]}}]}]}",
     {"5: spec.rules[0]: From.Principals is currently not supported with CUSTOM action"}},
    {"a rule that is nothing",
     "{rules: [null]}",
     {"5: spec.rules: `rule` must not be nil, found at rule 0",
      "5: spec.rules[0]: expected an object, found nothing"}},
    {"no sources",
     "{rules: [{from: []}]}",
     {"5: spec.rules[0].from: `from` must not be empty, found at rule 0"}},
    {"no source",
     "{rules: [{from: [{}]}]}",
     {"5: spec.rules[0].from[0].source: `from.source` must not be nil, found at rule 0"}},
    {"an empty source",
     from + "{}" + end,
     {"5: spec.rules[0].from[0].source: `from.source` must not be empty, found at rule 0"}},
    {"an empty operation",
     to + "{ports: []}" + end,
     {"5: spec.rules[0].to[0].operation: `to.operation` must not be empty, found at rule 0"}},
    {"an empty value",
     from + "{namespaces: ['']}" + end,
     {"5: spec.rules[0].from[0].source.namespaces: empty value not allowed"}},
    {"a bad block",
     from + "{ipBlocks: [10.0.0.0/33], notRemoteIpBlocks: [host]}" + end,
     {"5: spec.rules[0].from[0].source.ipBlocks: bad CIDR range (10.0.0.0/33)",
      "5: spec.rules[0].from[0].source.notRemoteIpBlocks: bad IP address (host)"}},
    {"a bad port",
     to + "{ports: ['80', http]}" + end,
     {"5: spec.rules[0].to[0].operation.ports: bad port (http)"}},
    {"a number for a port",
     to + "{ports: [80]}" + end,
     {"5: spec.rules[0].to[0].operation.ports[0]: expected a string, found a number (put it in "
      "quotes)",
      "5: spec.rules[0].to[0].operation.ports: empty value not allowed"}},
    {"service accounts beside namespaces",
     from + "{serviceAccounts: [a], namespaces: [b]}" + end,
     {"5: spec.rules[0].from[0].source.serviceAccounts: cannot set serviceAccounts with namespaces "
      "or principals, found at rule 0"}},
    {"a wildcard for service accounts",
     from + "{serviceAccounts: ['*']}" + end,
     {"5: spec.rules[0].from[0].source.serviceAccounts: wildcard not allowed, found \"*\""}},
    {"half a service account",
     from + "{serviceAccounts: [ns/]}" + end,
     {"5: spec.rules[0].from[0].source.serviceAccounts: expected format 'serviceAccount' or "
      "'namespace/serviceAccount', found \"ns/\""}},
    {"a wildcard inside a trust domain",
     from + "{trustDomains: ['a*b']}" + end,
     {"5: spec.rules[0].from[0].source.trustDomains: wildcard is only allowed at the start or end, "
      "found \"a*b\""}},
    {"a template that goes on after the rest",
     to + "{paths: ['/{**}/{*}']}" + end,
     {"5: spec.rules[0].to[0].operation.paths: invalid or unsupported path \"/{**}/{*}\". {**} is "
      "not the last operator"}},
    {"a brace beyond the operators",
     to + "{paths: ['/a{*}']}" + end,
     {"5: spec.rules[0].to[0].operation.paths: invalid or unsupported path \"/a{*}\". Contains '{' "
      "or '}' beyond a supported path template"}},
    {"a star in a template",
     to + "{paths: ['/*/{*}']}" + end,
     {"5: spec.rules[0].to[0].operation.paths: invalid or unsupported path \"/*/{*}\". Contains "
      "segment \"*\" with invalid string literal"}},
    {"no key",
     when + "{values: [a]}]}]}",
     {"5: spec.rules[0].when[0].key: `key` must not be empty"}},
    {"no values",
     when + "{key: source.ip}]}]}",
     {"5: spec.rules[0].when[0]: at least one of `values` or `notValues` must be set for key "
      "source.ip"}},
    {"an attribute that there is not",
     when + "{key: source.port, values: ['80']}]}]}",
     {"5: spec.rules[0].when[0].key: unknown attribute: source.port"}},
    {"a header without a name",
     when + "{key: 'request.headers[]', values: [a]}]}]}",
     {"5: spec.rules[0].when[0].key: bad key (request.headers[]): should have format a[b]"}},
    {"an attribute of old",
     when + "{key: destination.namespace, values: [a]}]}]}",
     {"5: spec.rules[0].when[0].key: attribute destination.namespace is replaced by the "
      "metadata.namespace"}},
    {"selector and target",
     "{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: s}]}",
     {"5: spec.selector: only one of targetRefs or workloadSelector can be set"}},
    {"a target of another kind",
     "{targetRef: {kind: Pod, name: s}}",
     {"5: spec.targetRef.kind: targetRef must be to a Service, ServiceEntry, Gateway or "
      "GatewayClass but was \"/Pod\""}},
};
class AuthorizationPolicyVerdict : public testing::TestWithParam<Case> {};
TEST_P(AuthorizationPolicyVerdict, RefusesWithTheReason) {
  const auto text = policy("AuthorizationPolicy", GetParam().spec);
  EXPECT_EQ(complaints(text), GetParam().complaints);
  EXPECT_EQ(decode(text, "f.yaml").refused.size(), 1u);
}
INSTANTIATE_TEST_SUITE_P(Spec, AuthorizationPolicyVerdict, testing::ValuesIn(authorization_cases));

TEST(AuthorizationPolicyDecoding, WarnsOfADenyThatOnlyHttpCanMeet) {
  const auto warned = [](const std::string& rule) {
    const auto decoded =
        decode(policy("AuthorizationPolicy", "{action: DENY, rules: [" + rule + "]}"), "f.yaml");
    EXPECT_EQ(decoded.resources.size(), 1u) << rule;
    return !decoded.findings.empty();
  };
  EXPECT_TRUE(warned("{to: [{operation: {paths: [/admin]}}]}"));
  EXPECT_TRUE(warned("{from: [{source: {requestPrincipals: ['*']}}]}"));
  EXPECT_FALSE(warned("{to: [{operation: {paths: [/admin], ports: ['80']}}]}"));
  EXPECT_FALSE(warned("{from: [{source: {namespaces: [a]}}]}"));
  EXPECT_FALSE(warned("{}"));
}

TEST(AuthorizationPolicyDecoding, WarnsOfAPrincipalWithItsScheme) {
  EXPECT_EQ(complaints(policy("AuthorizationPolicy", from + "{principals: ['spiffe://a']}" + end)),
            std::vector<std::string>{
                "5: spec.rules[0].from[0].source.principals: \"spiffe://a\" matches nobody: "
                "principals are written without spiffe://"});
}

TEST(SecurityVersions, AreTheirGroups) {
  for (const char* version : {"security.istio.io/v1", "security.istio.io/v1beta1"}) {
    EXPECT_EQ(decode(std::string("apiVersion: ") + version +
                         "\nkind: PeerAuthentication\nmetadata: {name: x}\n",
                     "f.yaml")
                  .resources.size(),
              1u);
  }
  EXPECT_EQ(decode("apiVersion: security.istio.io/v1alpha1\nkind: PeerAuthentication\n"
                   "metadata: {name: x}\n",
                   "f.yaml")
                .refused.size(),
            1u);
}

// Which workloads a refused policy closes: as far as its selector could be read, else all.
struct RefusedCase {
  const char* rule;
  std::string text;
  std::optional<Labels> selector;
};
void PrintTo(const RefusedCase& c, std::ostream* out) { *out << c.rule; }
const std::string bad = ", action: NONE}";
const RefusedCase refused_cases[] = {
    {"what it selects", policy("AuthorizationPolicy", "{selector: {matchLabels: {app: web}}" + bad),
     Labels{{"app", "web"}}},
    {"all without a selector", policy("AuthorizationPolicy", "{rules: [{}]" + bad), Labels{}},
    {"all with a selector that can't be read",
     policy("AuthorizationPolicy", "{selector: {matchLabel: {app: web}}" + bad), Labels{}},
    {"more where a label can't be read",
     policy("PeerAuthentication", "{selector: {matchLabels: {app: web, n: 1}}}"),
     Labels{{"app", "web"}}},
    {"all of a spec that is none", policy("PeerAuthentication", "[]"), Labels{}},
    {"all of a document that no parser reads",
     policy("PeerAuthentication", "{mtls: {mode: STRICT}"), Labels{}},
    {"none of a policy for gateways and services",
     policy("AuthorizationPolicy", "{targetRefs: [{kind: Service, name: s}]" + bad), std::nullopt},
    {"none of a dry run",
     policy("AuthorizationPolicy", "{rules: [{}]" + bad,
            ", annotations: {istio.io/dry-run: 'true'}"),
     std::nullopt},
    {"none of an AUDIT", policy("AuthorizationPolicy", "{action: AUDIT, rule: []}"), std::nullopt},
    {"none of a kind that selects no workload",
     "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: x}\n",
     std::nullopt},
};
class RefusedPolicy : public testing::TestWithParam<RefusedCase> {};
TEST_P(RefusedPolicy, ProtectsWhatItSelects) {
  const auto decoded = decode(GetParam().text, "f.yaml");
  ASSERT_EQ(decoded.refused.size(), 1u);
  EXPECT_EQ(decoded.refused[0].selector, GetParam().selector);
}
INSTANTIATE_TEST_SUITE_P(Spec, RefusedPolicy, testing::ValuesIn(refused_cases));

}  // namespace
}  // namespace sallyport::istio
