// AuthorizationPolicy as Istio's generator and Envoy's RBAC mean it (istio-api.md 1.8;
// istio/istio:pilot/pkg/security/authz): each field on HTTP and on TCP, how actions come together,
// and what fails closed.
#include "agent/mesh/authorization.h"

#include "tests/support/count_allocations.h"
#include "tests/unit/mesh/policies.h"

namespace sallyport::mesh {
namespace {

using namespace policies;

// A source, operation or condition: whether the peer meets it on HTTP and on TCP.
struct FieldCase {
  const char* rule;
  std::string fields;
  Peer peer;
  bool http, tcp;  // an ALLOW rule with it lets the peer in
};
void PrintTo(const FieldCase& c, std::ostream* out) { *out << c.rule; }

Peer with_uri(std::string uri) {
  Peer peer;
  peer.uris = {std::move(uri)};
  return peer;
}
Peer plaintext() {
  Peer peer;
  peer.uris.clear();
  peer.sni.clear();
  return peer;
}
Peer with(std::string Peer::*field, std::string value) {
  Peer peer;
  peer.*field = std::move(value);
  return peer;
}

class RuleOf : public testing::TestWithParam<FieldCase> {
protected:
  void expect(const std::string& rule) {
    const auto& c = GetParam();
    Policies policies;
    policies.add("foo/p", "{rules: [{" + rule + "}]}");
    ASSERT_TRUE(policies.world.input.refused.empty()) << rule;
    EXPECT_EQ(policies.http(c.peer), c.http ? allowed : none);
    EXPECT_EQ(policies.tcp(c.peer), c.tcp ? allowed : none);
  }
};

const std::string sleep = "cluster.local/ns/default/sa/sleep";
const FieldCase source_cases[] = {
    {"principals: exact", "principals: [" + sleep + "]", {}, true, true},
    {"principals: not a part", "principals: [cluster.local/ns/default/sa/slee]", {}, false, false},
    {"principals: prefix", "principals: ['cluster.local/ns/default/*']", {}, true, true},
    {"principals: suffix", "principals: ['*/sa/sleep']", {}, true, true},
    {"principals: suffix of another", "principals: ['*/sa/other']", {}, false, false},
    {"principals: any", "principals: ['*']", {}, true, true},
    {"principals: any, of a client without a certificate", "principals: ['*']", plaintext(), false,
     false},
    {"principals: one of several", "principals: [x, " + sleep + "]", {}, true, true},
    {"principals: any URI of the certificate", "principals: [" + sleep + "]",
     [] {
       Peer peer;
       peer.uris = {"spiffe://other/ns/a/sa/b", sleep_id};
       return peer;
     }(),
     true, true},
    {"principals: written with the scheme matches nobody",
     "principals: ['" + sleep_id + "']",
     {},
     false,
     false},
    {"notPrincipals", "notPrincipals: [" + sleep + "]", {}, false, false},
    {"notPrincipals: another", "notPrincipals: ['*/sa/other']", {}, true, true},
    {"notPrincipals: any, of plaintext", "notPrincipals: ['*']", plaintext(), true, true},
    {"principals with notPrincipals: both count",
     "principals: ['cluster.local/*'], notPrincipals: ['*/sa/sleep']",
     {},
     false,
     false},

    {"namespaces: exact", "namespaces: [default]", {}, true, true},
    {"namespaces: not a part", "namespaces: [defaul]", {}, false, false},
    {"namespaces: a star stands for anything", "namespaces: ['def*']", {}, true, true},
    {"namespaces: a star inside", "namespaces: ['d*t']", {}, true, true},
    {"namespaces: of plaintext", "namespaces: [default]", plaintext(), false, false},
    {"namespaces: the segment after ns, not a service account named so",
     "namespaces: [sleep]",
     {},
     false,
     false},
    {"notNamespaces", "notNamespaces: [default]", {}, false, false},
    {"notNamespaces: of plaintext", "notNamespaces: [default]", plaintext(), true, true},

    {"serviceAccounts: with a namespace", "serviceAccounts: [default/sleep]", {}, true, true},
    {"serviceAccounts: of the policy's namespace", "serviceAccounts: [sleep]", {}, false, false},
    {"serviceAccounts: of the policy's namespace, a match", "serviceAccounts: [db]",
     with_uri("spiffe://td/ns/foo/sa/db"), true, true},
    {"serviceAccounts: not a part", "serviceAccounts: [default/slee]", {}, false, false},
    {"serviceAccounts: further pairs", "serviceAccounts: [foo/db]",
     with_uri("spiffe://td/ns/foo/cluster/x/sa/db/pod/y"), true, true},
    {"serviceAccounts: an end like it, further on", "serviceAccounts: [foo/db]",
     with_uri("spiffe://td/ns/foo/sa/db-x/ns/foo/sa/db/y"), true, true},
    {"notServiceAccounts", "notServiceAccounts: [default/sleep]", {}, false, false},

    {"trustDomains: exact", "trustDomains: [cluster.local]", {}, true, true},
    {"trustDomains: not a part", "trustDomains: [cluster]", {}, false, false},
    {"trustDomains: prefix", "trustDomains: ['cluster*']", {}, true, true},
    {"trustDomains: suffix", "trustDomains: ['*.local']", {}, true, true},
    {"trustDomains: a star has no slash", "trustDomains: ['*.x']", with_uri("spiffe://td/y.x/z"),
     false, false},
    {"trustDomains: any", "trustDomains: ['*']", {}, true, true},
    {"trustDomains: any, of plaintext", "trustDomains: ['*']", plaintext(), false, false},
    {"notTrustDomains", "notTrustDomains: ['*.local']", {}, false, false},

    {"ipBlocks: address", "ipBlocks: [10.1.2.3]", {}, true, true},
    {"ipBlocks: block", "ipBlocks: [10.1.0.0/16]", {}, true, true},
    {"ipBlocks: another", "ipBlocks: [10.2.0.0/16]", {}, false, false},
    {"ipBlocks: IPv6", "ipBlocks: ['2001:db8::/32']", with(&Peer::from, "[2001:db8::7]:40000"),
     true, true},
    {"ipBlocks: a block of IPv4 holds no IPv6", "ipBlocks: [0.0.0.0/0]",
     with(&Peer::from, "[2001:db8::7]:40000"), false, false},
    {"ipBlocks: the socket's, not the forwarded", "ipBlocks: [192.0.2.1]",
     with(&Peer::remote, "192.0.2.1:1"), false, false},
    {"notIpBlocks", "notIpBlocks: [10.1.0.0/16]", {}, false, false},
    {"remoteIpBlocks: the forwarded", "remoteIpBlocks: [192.0.2.1]",
     with(&Peer::remote, "192.0.2.1:1"), true, true},
    {"notRemoteIpBlocks", "notRemoteIpBlocks: [192.0.2.1]", with(&Peer::remote, "192.0.2.1:1"),
     false, false},
    {"several fields: all of them",
     "namespaces: [default], ipBlocks: [10.2.0.0/16]",
     {},
     false,
     false},
};
class Source : public RuleOf {};
TEST_P(Source, Decides) { expect("from: [{source: {" + GetParam().fields + "}}]"); }
INSTANTIATE_TEST_SUITE_P(Spec, Source, testing::ValuesIn(source_cases));

const FieldCase operation_cases[] = {
    {"hosts: exact", "hosts: [web.foo]", {}, true, false},
    {"hosts: in any case", "hosts: [WEB.foo]", with(&Peer::host, "web.FOO"), true, false},
    {"hosts: with its port", "hosts: [web.foo]", with(&Peer::host, "web.foo:8080"), false, false},
    {"hosts: any port", "hosts: ['web.foo:*']", with(&Peer::host, "web.foo:8080"), true, false},
    {"hosts: suffix", "hosts: ['*.FOO']", {}, true, false},
    {"hosts: prefix", "hosts: ['web*']", {}, true, false},
    {"hosts: any", "hosts: ['*']", {}, true, false},
    {"notHosts", "notHosts: ['*.foo']", {}, false, false},
    {"notHosts: another", "notHosts: ['*.bar']", {}, true, false},
    {"ports", "ports: ['80', '8080']", {}, true, true},
    {"ports: another", "ports: ['80']", {}, false, false},
    {"notPorts", "notPorts: ['8080']", {}, false, false},
    {"notPorts: another", "notPorts: ['80']", {}, true, true},
    {"methods: exact", "methods: [GET]", {}, true, false},
    {"methods: case counts", "methods: [get]", {}, false, false},
    {"methods: prefix", "methods: ['G*']", {}, true, false},
    {"methods: suffix", "methods: ['*ET']", {}, true, false},
    {"methods: any", "methods: ['*']", {}, true, false},
    {"notMethods", "notMethods: [GET]", {}, false, false},
    {"paths: exact", "paths: [/info]", {}, true, false},
    {"paths: case counts", "paths: [/INFO]", {}, false, false},
    {"paths: without the query", "paths: [/info]", with(&Peer::target, "/info?x=/y"), true, false},
    {"paths: prefix", "paths: ['/in*']", {}, true, false},
    {"paths: suffix", "paths: ['*fo']", with(&Peer::target, "/info?x=y"), true, false},
    {"paths: any", "paths: ['*']", {}, true, false},
    {"paths: more than it", "paths: [/info]", with(&Peer::target, "/info/x"), false, false},
    {"notPaths", "notPaths: ['/in*']", {}, false, false},
    {"paths: {*} is one segment", "paths: ['/a/{*}/c']", with(&Peer::target, "/a/b/c?q"), true,
     false},
    {"paths: {*} is not two", "paths: ['/a/{*}/c']", with(&Peer::target, "/a/b/b/c"), false, false},
    {"paths: {*} is not nothing", "paths: ['/a/{*}']", with(&Peer::target, "/a/"), false, false},
    {"paths: {*} twice", "paths: ['/{*}/{*}']", with(&Peer::target, "/a/b"), true, false},
    {"paths: {**} is the rest", "paths: ['/a/{**}']", with(&Peer::target, "/a/b/c"), true, false},
    {"paths: {**} may be nothing", "paths: ['/a/{**}']", with(&Peer::target, "/a/"), true, false},
    {"paths: {**} comes after a slash", "paths: ['/a/{**}']", with(&Peer::target, "/a"), false,
     false},
    {"paths: {**} before an end", "paths: ['/{**}/z']", with(&Peer::target, "/a/b/z"), true, false},
    {"paths: {**} before another end", "paths: ['/{**}/z']", with(&Peer::target, "/a/z/b"), false,
     false},
    {"paths: {*} and {**}", "paths: ['/{*}/x/{**}']", with(&Peer::target, "/a/x/b/c"), true, false},
    {"several fields: all of them", "ports: ['8080'], methods: [POST]", {}, false, false},
};
class Operation : public RuleOf {};
TEST_P(Operation, Decides) { expect("to: [{operation: {" + GetParam().fields + "}}]"); }
INSTANTIATE_TEST_SUITE_P(Spec, Operation, testing::ValuesIn(operation_cases));

const std::string tagged = "X-Tag: blue\r\n";
const FieldCase condition_cases[] = {
    {"request.headers: exact", "key: 'request.headers[X-Tag]', values: [blue]",
     with(&Peer::headers, tagged), true, false},
    {"request.headers: the name in any case", "key: 'request.headers[x-tag]', values: [blue]",
     with(&Peer::headers, tagged), true, false},
    {"request.headers: the value's case counts", "key: 'request.headers[x-tag]', values: [Blue]",
     with(&Peer::headers, tagged), false, false},
    {"request.headers: prefix", "key: 'request.headers[x-tag]', values: ['bl*']",
     with(&Peer::headers, tagged), true, false},
    {"request.headers: present", "key: 'request.headers[x-tag]', values: ['*']",
     with(&Peer::headers, "x-tag:\r\n"), true, false},
    {"request.headers: absent", "key: 'request.headers[x-tag]', values: ['*']", {}, false, false},
    {"request.headers: absent, none of notValues",
     "key: 'request.headers[x-tag]', notValues: [a]",
     {},
     true,
     false},
    {"request.headers: of several fields one with commas",
     "key: 'request.headers[x-tag]', values: ['a,b']",
     with(&Peer::headers, "x-tag: a\r\nX-Tag: b\r\n"), true, false},
    {"request.headers: of several fields no one alone",
     "key: 'request.headers[x-tag]', values: [a]", with(&Peer::headers, "x-tag: a\r\nX-Tag: b\r\n"),
     false, false},
    {"request.headers: empty fields count for nothing beside others",
     "key: 'request.headers[x-tag]', values: [b]", with(&Peer::headers, "x-tag:\r\nX-Tag: b\r\n"),
     true, false},
    {"request.headers: of this hop only is not there",
     "key: 'request.headers[x-tag]', values: ['*']",
     with(&Peer::headers, "Connection: x-tag\r\nx-tag: a\r\n"), false, false},
    {"request.headers: transfer-encoding is not there",
     "key: 'request.headers[transfer-encoding]', values: ['*']",
     with(&Peer::headers, "Transfer-Encoding: chunked\r\n"), false, false},
    {"request.headers: what is written anew is there",
     "key: 'request.headers[upgrade]', values: [websocket]",
     with(&Peer::headers, "Connection: upgrade\r\nUpgrade: websocket\r\n"), true, false},
    {"request.headers: Envoy's own are there",
     "key: 'request.headers[x-envoy-attempt-count]', values: ['2']",
     with(&Peer::headers, "x-envoy-attempt-count: 2\r\n"), true, false},
    {"request.headers: x-forwarded-proto is there before it was sent",
     "key: 'request.headers[x-forwarded-proto]', values: [https]",
     {},
     true,
     false},
    {"request.headers: x-forwarded-proto, the client's",
     "key: 'request.headers[x-forwarded-proto]', values: [https]",
     with(&Peer::headers, "X-Forwarded-Proto: http\r\n"), false, false},
    {"request.headers: :scheme",
     "key: 'request.headers[:scheme]', values: [https]",
     {},
     true,
     false},
    {"request.headers: :scheme, as x-forwarded-proto says",
     "key: 'request.headers[:scheme]', values: [http]",
     with(&Peer::headers, "X-Forwarded-Proto: http\r\n"), true, false},
    {"request.headers: x-request-id is made before",
     "key: 'request.headers[x-request-id]', values: [made-here]",
     {},
     true,
     false},
    {"request.headers: x-forwarded-client-cert ends with our element",
     "key: 'request.headers[x-forwarded-client-cert]', values: ['By=theirs,URI=ours']",
     with(&Peer::headers, "X-Forwarded-Client-Cert: By=theirs\r\n"), true, false},
    {"request.headers: x-forwarded-client-cert of plaintext is nobody's",
     "key: 'request.headers[x-forwarded-client-cert]', values: ['*']",
     [] {
       Peer peer = plaintext();
       peer.headers = "X-Forwarded-Client-Cert: By=theirs\r\n";
       return peer;
     }(),
     false, false},
    {"request.headers: host", "key: 'request.headers[Host]', values: [web.foo]", {}, true, false},
    {"request.headers: :path with its query", "key: 'request.headers[:path]', values: ['/info?a']",
     with(&Peer::target, "/info?a"), true, false},
    {"source.ip", "key: source.ip, values: [10.1.0.0/16]", {}, true, true},
    {"source.ip, notValues", "key: source.ip, notValues: [10.1.0.0/16]", {}, false, false},
    {"remote.ip", "key: remote.ip, values: [192.0.2.0/24]", with(&Peer::remote, "192.0.2.1:1"),
     true, true},
    {"source.namespace", "key: source.namespace, values: [default]", {}, true, true},
    {"source.principal", "key: source.principal, values: [" + sleep + "]", {}, true, true},
    {"source.serviceAccount",
     "key: source.serviceAccount, values: [default/sleep]",
     {},
     true,
     true},
    {"source.trustDomain", "key: source.trustDomain, values: [cluster.local]", {}, true, true},
    {"destination.ip", "key: destination.ip, values: [10.9.0.0/16]", {}, true, true},
    {"destination.ip: another", "key: destination.ip, values: [10.8.0.0/16]", {}, false, false},
    {"destination.port", "key: destination.port, values: ['8080']", {}, true, true},
    {"destination.port, notValues", "key: destination.port, notValues: ['8080']", {}, false, false},
    {"connection.sni", "key: connection.sni, values: ['*.foo.svc.cluster.local']", {}, true, true},
    {"connection.sni: any, of none", "key: connection.sni, values: ['*']", plaintext(), false,
     false},
};
class Condition : public RuleOf {};
TEST_P(Condition, Decides) {
  const auto& key = GetParam().fields;
  expect("when: [{" + key + "}]");
}
INSTANTIATE_TEST_SUITE_P(Spec, Condition, testing::ValuesIn(condition_cases));

TEST(AuthorizationOnTcp, DropsWhatOnlyHttpHasFromDeny) {
  Policies paths;
  paths.add("foo/p", "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}");
  EXPECT_EQ(paths.http(), allowed);
  EXPECT_EQ(paths.tcp(), name("p")) << "wider: everything";
  Policies ports;
  ports.add("foo/p", "{action: DENY, rules: [{to: [{operation: {paths: [/x], ports: ['9']}}]}]}");
  EXPECT_EQ(ports.tcp(), allowed) << "the port is still asked for";
}

TEST(AuthorizationOnTcp, AnAllowRuleWithAnythingOfHttpNeverMatches) {
  Policies policies;
  policies.add("foo/p",
               "{rules: [{to: [{operation: {ports: ['8080']}}, {operation: {paths: [/x]}}]}]}");
  EXPECT_EQ(policies.http(), allowed);
  EXPECT_EQ(policies.tcp(), none) << "Istio drops the whole rule";
}

// How policies come together.
struct Policy {
  std::string where, spec, more;
};
struct TogetherCase {
  const char* rule;
  std::vector<Policy> policies;
  std::string http, tcp;
};
void PrintTo(const TogetherCase& c, std::ostream* out) { *out << c.rule; }
const std::string all = "{rules: [{}]}", nothing = "{}";
const std::string deny = "{action: DENY, rules: [{}]}", audit = "{action: AUDIT, rules: [{}]}";
const std::string deny_post =
    "{action: DENY, rules: [{to: [{operation: {methods: [POST], ports: "
    "['8080']}}]}]}";
const std::string allow_post = "{rules: [{to: [{operation: {methods: [POST]}}]}]}";
const std::string dry = ", annotations: {istio.io/dry-run: 'true'}";
const TogetherCase together_cases[] = {
    {"no policy: allowed", {}, allowed, allowed},
    {"ALLOW without rules denies everything", {{"foo/p", nothing, ""}}, none, none},
    {"an empty rule matches everything", {{"foo/p", all, ""}}, allowed, allowed},
    {"one of the ALLOW policies is enough",
     {{"foo/a", nothing, ""}, {"foo/b", all, ""}},
     allowed,
     allowed},
    {"DENY comes before ALLOW", {{"foo/a", all, ""}, {"foo/d", deny, ""}}, name("d"), name("d")},
    {"DENY alone: what it does not match is allowed",
     {{"foo/d", deny_post, ""}},
     allowed,
     name("d")},
    {"AUDIT only notes", {{"foo/u", audit, ""}}, "allowed +" + name("u"), "allowed +" + name("u")},
    {"AUDIT notes what is refused too",
     {{"foo/u", audit, ""}, {"foo/p", nothing, ""}},
     "none +" + name("u"),
     "none +" + name("u")},
    {"any rule of a policy",
     {{"foo/p", "{rules: [{to: [{operation: {ports: ['1']}}]}, {}]}", ""}},
     allowed,
     allowed},
    {"the rule that matched is named",
     {{"foo/p", "{action: DENY, rules: [{to: [{operation: {ports: ['1']}}]}, {}]}", ""}},
     name("p", 1),
     name("p", 1)},
    {"of several that match the first by name, as Envoy's map has them",
     {{"foo/z", deny, ""}, {"foo/b", deny, ""}},
     name("b"),
     name("b")},
    {"any source, any operation, every condition",
     {{"foo/p",
       "{rules: [{from: [{source: {namespaces: [x]}}, {source: {namespaces: [default]}}],"
       " to: [{operation: {ports: ['1']}}, {operation: {ports: ['8080']}}],"
       " when: [{key: source.ip, values: [10.1.2.3]}, {key: destination.port, values: "
       "['8080']}]}]}",
       ""}},
     allowed,
     allowed},
    {"one condition that fails is enough",
     {{"foo/p",
       "{rules: [{from: [{source: {namespaces: [default]}}],"
       " when: [{key: source.ip, values: [10.1.2.3]}, {key: destination.port, values: ['80']}]}]}",
       ""}},
     none,
     none},
    {"a dry DENY only notes",
     {{"foo/d", deny, dry}},
     "allowed !" + name("d"),
     "allowed !" + name("d")},
    {"a dry ALLOW only notes", {{"foo/a", allow_post, dry}}, "allowed !none", "allowed !none"},
    {"a dry ALLOW that matches notes nothing", {{"foo/a", all, dry}}, allowed, allowed},
    {"a dry ALLOW does not stand in for an enforced one",
     {{"foo/a", all, dry}, {"foo/b", nothing, ""}},
     none,
     none},
    {"another namespace's is not asked", {{"bar/d", deny, ""}}, allowed, allowed},
    {"the root namespace's is asked everywhere",
     {{"istio-system/d", deny, ""}},
     "ns[istio-system]-policy[d]-rule[0]",
     "ns[istio-system]-policy[d]-rule[0]"},
    {"the root namespace's with a selector too",
     {{"istio-system/d", "{selector: {matchLabels: {app: web}}, action: DENY, rules: [{}]}", ""}},
     "ns[istio-system]-policy[d]-rule[0]",
     "ns[istio-system]-policy[d]-rule[0]"},
    {"a selector of another workload",
     {{"foo/d", "{selector: {matchLabels: {app: db}}, action: DENY, rules: [{}]}", ""}},
     allowed,
     allowed},
    {"targetRefs select gateways and services, no sidecar",
     {{"foo/d", "{targetRefs: [{kind: Service, name: web}], action: DENY, rules: [{}]}", ""}},
     allowed,
     allowed},
};
class Together : public testing::TestWithParam<TogetherCase> {};
TEST_P(Together, Decides) {
  Policies policies;
  for (const auto& [where, spec, more] : GetParam().policies) policies.add(where, spec, more);
  ASSERT_TRUE(policies.world.input.refused.empty());
  EXPECT_EQ(policies.http(), GetParam().http);
  EXPECT_EQ(policies.tcp(), GetParam().tcp);
}
INSTANTIATE_TEST_SUITE_P(Spec, Together, testing::ValuesIn(together_cases));

TEST(AuthorizationAnswer, NamesTheRuleThatDecidedWithItsLine) {
  Policies policies;
  policies.add("foo/a", "\n  rules:\n  - to: [{operation: {methods: [POST]}}]\n  - {}")
      .add("foo/d", deny_post);
  EXPECT_EQ(policies.http(), allowed);
  EXPECT_EQ(policies.answer.because->text(), "AuthorizationPolicy foo/a (rules.yaml:7)");
  EXPECT_EQ(policies.http(with(&Peer::method, "POST")), name("d"));
  EXPECT_EQ(policies.answer.because->text(), "AuthorizationPolicy foo/d (rules.yaml:4)");
  Policies closed;
  closed.add("foo/b", allow_post).add("foo/a", nothing);
  EXPECT_EQ(closed.http(), none);
  EXPECT_EQ(closed.answer.because->text(), "AuthorizationPolicy foo/a (rules.yaml:1)");
}

// meshConfig.trustDomain td1, alias td2.
struct AliasCase {
  const char* rule;
  std::string source;
  std::string uri;
  bool met;
};
void PrintTo(const AliasCase& c, std::ostream* out) { *out << c.rule; }
const AliasCase alias_cases[] = {
    {"the own domain's stands for the alias'", "principals: [td1/ns/a/sa/b]",
     "spiffe://td2/ns/a/sa/b", true},
    {"the alias' stands for the own", "principals: [td2/ns/a/sa/b]", "spiffe://td1/ns/a/sa/b",
     true},
    {"cluster.local stands for both", "principals: [cluster.local/ns/a/sa/b]",
     "spiffe://td2/ns/a/sa/b", true},
    {"and no longer for itself", "principals: [cluster.local/ns/a/sa/b]",
     "spiffe://cluster.local/ns/a/sa/b", false},
    {"another domain's stays", "principals: [td3/ns/a/sa/b]", "spiffe://td3/ns/a/sa/b", true},
    {"another domain's does not spread", "principals: [td3/ns/a/sa/b]", "spiffe://td1/ns/a/sa/b",
     false},
    {"a pattern of domains is kept where it fits", "principals: ['*1/ns/a/sa/b']",
     "spiffe://x1/ns/a/sa/b", true},
    {"a pattern of domains, the alias", "principals: ['*1/ns/a/sa/b']", "spiffe://td2/ns/a/sa/b",
     true},
    {"a star for the domain is any", "principals: ['*/ns/a/sa/b']", "spiffe://x/ns/a/sa/b", true},
    {"what is no whole principal stays", "principals: ['td1/ns/a/*']", "spiffe://td2/ns/a/sa/b",
     false},
    {"notPrincipals too", "notPrincipals: [td1/ns/a/sa/b]", "spiffe://td2/ns/a/sa/b", false},
    {"trustDomains", "trustDomains: [td1]", "spiffe://td2/ns/a/sa/b", true},
    {"trustDomains: cluster.local is only itself", "trustDomains: [cluster.local]",
     "spiffe://td2/ns/a/sa/b", false},
};
class Aliases : public testing::TestWithParam<AliasCase> {};
TEST_P(Aliases, StandForEachOther) {
  Policies policies;
  policies.world.input.mesh.trust_domain = "td1";
  policies.world.input.mesh.trust_domain_aliases = {"td2"};
  policies.add("foo/p", "{rules: [{from: [{source: {" + GetParam().source + "}}]}]}");
  EXPECT_EQ(policies.http(with_uri(GetParam().uri)), GetParam().met ? allowed : none);
}
INSTANTIATE_TEST_SUITE_P(Spec, Aliases, testing::ValuesIn(alias_cases));

// What can't be evaluated denies all that it selects, with the reason.
struct ClosedCase {
  const char* rule;
  Policy policy;
  std::string by, reason;  // empty: it has no effect
};
void PrintTo(const ClosedCase& c, std::ostream* out) { *out << c.rule; }
const ClosedCase closed_cases[] = {
    {"CUSTOM",
     {"foo/c",
      "{action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {paths: [/x]}}]}]}", ""},
     "istio-ext-authz-opa-ns[foo]-policy[c]-rule[0]-deny-due-to-bad-CUSTOM-action",
     "action CUSTOM (provider opa) can't be evaluated here"},
    {"requestPrincipals",
     {"foo/j", "{rules: [{}, {from: [{source: {requestPrincipals: ['*']}}]}]}", ""},
     name("j", 1),
     "requestPrincipals can't be evaluated here"},
    {"notRequestPrincipals of DENY",
     {"foo/j", "{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}", ""},
     name("j"),
     "requestPrincipals can't be evaluated here"},
    {"claims",
     {"foo/j", "{rules: [{when: [{key: 'request.auth.claims[iss]', values: [a]}]}]}", ""},
     name("j"),
     "request.auth.claims[iss] can't be evaluated here"},
    {"Envoy's metadata",
     {"foo/j", "{rules: [{when: [{key: 'experimental.envoy.filters.a[b]', values: [a]}]}]}", ""},
     name("j"),
     "experimental.envoy.filters.a[b] can't be evaluated here"},
    {"refused, without a good version",
     {"foo/r", "{rule: [{}]}", ""},
     name("r"),
     "AuthorizationPolicy foo/r: spec.rule: unknown field"},
    {"refused in the root namespace",
     {"istio-system/r", "{rule: [{}]}", ""},
     "ns[istio-system]-policy[r]-rule[0]",
     "AuthorizationPolicy istio-system/r: spec.rule: unknown field"},
    {"a dry run",
     {"foo/j", "{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}", dry},
     "",
     ""},
    {"an AUDIT",
     {"foo/j", "{action: AUDIT, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}", ""},
     "",
     ""},
    {"of another workload",
     {"foo/r", "{selector: {matchLabels: {app: db}}, rule: [{}]}", ""},
     "",
     ""},
    {"of another namespace", {"bar/r", "{rule: [{}]}", ""}, "", ""},
};
class Closed : public testing::TestWithParam<ClosedCase> {};
TEST_P(Closed, DeniesAllWithTheReason) {
  const auto& c = GetParam();
  Policies policies;
  policies.add("foo/a", all).add(c.policy.where, c.policy.spec, c.policy.more);
  for (const bool http : {true, false}) {
    EXPECT_EQ(policies.ask({}, http), c.by.empty() ? allowed : c.by);
    EXPECT_NE(policies.answer.reason.find(c.reason), std::string::npos) << policies.answer.reason;
    if (c.by.empty()) continue;
    EXPECT_NE(policies.said().find("all that it selects"), std::string::npos) << policies.said();
    EXPECT_TRUE(policies.answer.because);
  }
}
INSTANTIATE_TEST_SUITE_P(Spec, Closed, testing::ValuesIn(closed_cases));

TEST(CompiledAuthorization, IsEqualWhereNothingChanged) {
  Policies policies;
  policies.add("foo/a", all).add("foo/d", deny_post);
  const auto first = policies.compile();
  EXPECT_EQ(*first, *policies.compile());
  policies.world.edit_last(
      "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {namespace: foo, "
      "name: d}\nspec: " +
      deny + "\n");
  EXPECT_FALSE(*first == *policies.compile()) << "edited in place, under the same ref";
}

TEST(Authorize, AllocatesNothing) {
  Policies policies;
  policies
      .add("foo/d",
           "{action: DENY, rules: [{from: [{source: {notPrincipals: ['*/sa/sleep'], ipBlocks: "
           "[10.1.0.0/16]}}], to: [{operation: {hosts: ['*.foo'], paths: ['/a/{*}/{**}']}}], when: "
           "[{key: 'request.headers[x-tag]', values: ['b*']}]}]}")
      .add("foo/a",
           "{rules: [{from: [{source: {serviceAccounts: [default/sleep]}}], when: [{key: "
           "'request.headers[x-tag]', values: ['a,b']}]}]}");
  Peer peer = with(&Peer::headers, "x-tag: a\r\nX-Tag: b\r\n");
  EXPECT_EQ(policies.http(peer), allowed);
  const std::vector<std::string> uris{sleep_id};
  const AuthorizationFacts facts{at(peer.from),
                                 at(peer.remote),
                                 at(peer.to),
                                 uris,
                                 peer.sni,
                                 &policies.head,
                                 policies.head.authority(),
                                 policies.head.path(),
                                 policies.head.method()};
  const auto before = test::allocations;
  const auto answer = authorize(*policies.authorization, facts);
  EXPECT_EQ(test::allocations, before);
  EXPECT_TRUE(answer.allowed);
}

}  // namespace
}  // namespace sallyport::mesh
