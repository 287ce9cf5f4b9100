// Mistakes in PeerAuthentications and AuthorizationPolicies.
#include "tests/unit/analyze/analysis.h"

namespace sallyport::analyze {
namespace {

#define POLICY(kind, where) \
  "apiVersion: security.istio.io/v1\nkind: " kind "\nmetadata: {" where "}\nspec:\n"
#define STRICT \
  POLICY("PeerAuthentication", "name: p, namespace: foo") "  mtls: {mode: STRICT}\n---\n"
#define DISABLED \
  POLICY("PeerAuthentication", "name: p, namespace: foo") "  mtls: {mode: DISABLE}\n---\n"
#define RULES POLICY("AuthorizationPolicy", "name: a, namespace: foo")

const Broken cases[] = {
    {"a misspelt field", RULES "  rules:\n  - form: []\n", "IST0106", 6, "spec.rules[0].form",
     "Schema validation error: spec.rules[0].form: unknown field", "correct the field"},
    {"a DENY that only HTTP can meet",
     RULES "  action: DENY\n  rules:\n  - to: [{operation: {paths: [/admin]}}]\n", "IST0133", 7,
     "spec.rules[0]", "will deny all traffic to TCP ports under its scope", "correct the field"},
    {"a namespace that there is not",
     "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n" STRICT RULES
     "  rules:\n  - from:\n    - source:\n        namespaces: [shop, shoop]\n",
     "IST0101", 18, "spec.rules[0].from[0].source.namespaces[1]",
     "Referenced namespace not found: \"shoop\"", "create it"},
    {"a selector that selects no pod",
     "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: foo, labels: {app: "
     "web}}\n---\n" RULES "  selector:\n    matchLabels: {app: wep}\n  rules: [{}]\n",
     "IST0127", 10, "spec.selector.matchLabels",
     "No matching workloads for this resource with the following labels: app=wep",
     "correct the labels"},
    {"a second policy of a namespace",
     STRICT POLICY("PeerAuthentication", "name: late, namespace: foo") "  mtls: {mode: DISABLE}\n",
     "IST0167", 7, "spec.selector",
     "PeerAuthentication foo/p (rules.yaml:1) is older, and a namespace has one mode", "remove it"},
    {"a selector in the root namespace",
     POLICY("PeerAuthentication",
            "name: late, namespace: istio-system") "  selector: {matchLabels: {app: web}}\n  mtls: "
                                                   "{mode: STRICT}\n",
     "IST0167", 1, "spec.selector", "only a policy without a selector counts", "remove it"},
    {"identities where mutual TLS is off",
     DISABLED RULES "  rules:\n  - from: [{source: {principals: ['*']}}]\n", "SLP0701", 12,
     "spec.rules[0]",
     "mutual TLS is DISABLE by PeerAuthentication foo/p (rules.yaml:5): no client has an identity",
     "STRICT"},
    {"a DENY by identity that plaintext escapes",
     RULES "  action: DENY\n  rules:\n  - when: [{key: source.namespace, values: [bad]}]\n",
     "SLP0701", 7, "spec.rules[0]",
     "mutual TLS is PERMISSIVE by default: a client in plaintext has no identity, and is not "
     "denied",
     "STRICT"},
    {"an ALLOW of everybody else that plaintext is part of",
     RULES "  rules:\n  - from: [{source: {notNamespaces: [bad]}}]\n", "SLP0701", 6,
     "spec.rules[0]", "and is allowed", "STRICT"},
    {"CUSTOM", RULES "  action: CUSTOM\n  provider: {name: opa}\n  rules: [{}]\n", "SLP0702", 5,
     "spec.action", "CUSTOM can't be evaluated here: the policy denies all that it selects",
     "only CUSTOM or a JWT can tell"},
    {"a JWT's principal",
     STRICT RULES "  rules:\n  - {}\n  - from: [{source: {requestPrincipals: ['*']}}]\n", "SLP0702",
     13, "spec.rules[1]", "requestPrincipals can't be evaluated here",
     "only CUSTOM or a JWT can tell"},
};
class Policies : public testing::TestWithParam<Broken> {};
TEST_P(Policies, AreFoundWithPlaceAndCure) { expect_found(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Spec, Policies, testing::ValuesIn(cases));

struct Good {
  const char* name;
  const char* yaml;
};
void PrintTo(const Good& c, std::ostream* out) { *out << c.name; }
const Good good_cases[] = {
    {"an ALLOW by identity lets nobody in who has none",
     RULES "  rules:\n  - from: [{source: {principals: ['*']}}]\n"},
    {"identities under STRICT",
     STRICT RULES "  action: DENY\n  rules:\n  - from: [{source: {namespaces: [bad]}}]\n"},
    {"STRICT for the pods that are selected, though not for the namespace",
     "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: foo, labels: {app: web, v: "
     "'1'}}\n---\n" POLICY("PeerAuthentication",
                           "name: p, namespace: foo") "  selector: {matchLabels: {v: '1'}}\n  "
                                                      "mtls: {mode: STRICT}\n---\n" RULES
                                                      "  selector: {matchLabels: {app: web}}\n  "
                                                      "action: DENY\n  rules:\n  - from: [{source: "
                                                      "{namespaces: [bad]}}]\n"},
    {"namespaces, where none are among the documents",
     STRICT RULES "  rules:\n  - from: [{source: {namespaces: [shop]}}]\n"},
    {"namespaces by wildcard",
     "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n" STRICT RULES
     "  rules:\n  - from: [{source: {namespaces: ['sh*', '*op', '*']}}]\n"},
    {"the root namespace's selector selects anywhere",
     "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: foo, labels: {app: web}}\n---\n"
     "apiVersion: v1\nkind: Pod\nmetadata: {name: d, namespace: istio-system, labels: {app: "
     "d}}\n---\n" POLICY("AuthorizationPolicy",
                         "name: a, namespace: istio-system") "  selector: {matchLabels: {app: "
                                                             "web}}\n  rules: [{}]\n"},
    {"nothing is allowed", RULES "  {}\n"},
};
class GoodPolicies : public testing::TestWithParam<Good> {};
TEST_P(GoodPolicies, AreLeftAlone) {
  const auto found = listed(analysis_of({{"rules.yaml", GetParam().yaml}}));
  EXPECT_EQ(found, "nothing\n");
}
INSTANTIATE_TEST_SUITE_P(Spec, GoodPolicies, testing::ValuesIn(good_cases));

TEST(NotedPolicies, AreNoErrorWhereTheyCannotBeEvaluated) {
  const auto found = listed(analysis_of(
      {{"rules.yaml", RULES "  action: AUDIT\n  rules:\n  - from: [{source: {requestPrincipals: "
                            "['*']}}]\n"}}));
  EXPECT_TRUE(has(found, "SLP0903 AuthorizationPolicy a.foo rules.yaml:7")) << found;
  EXPECT_FALSE(has(found, "SLP0702")) << found;
}

}  // namespace
}  // namespace sallyport::analyze
