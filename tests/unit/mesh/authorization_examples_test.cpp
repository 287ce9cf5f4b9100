// AuthorizationPolicies of Istio's own reference and tasks (istio.io: reference/config/security,
// tasks/security/authorization), and what those pages say of them.
#include "tests/unit/mesh/policies.h"

namespace sallyport::mesh {
namespace {

using namespace policies;

Peer asking(std::string method, std::string target, std::string to = "10.9.9.9:8080") {
  Peer peer;
  peer.method = std::move(method);
  peer.target = std::move(target);
  peer.to = std::move(to);
  return peer;
}
Peer as(std::string uri, Peer peer = {}) {
  peer.uris = {std::move(uri)};
  return peer;
}

// "allow-nothing" and "deny-all": an empty spec.
TEST(AuthorizationExample, AllowNothing) {
  Policies policies;
  policies.add("foo/allow-nothing", "\n  {}");
  EXPECT_EQ(policies.http(), none);
  EXPECT_EQ(policies.tcp(), none);
}

TEST(AuthorizationExample, AllowAll) {
  Policies policies;
  policies.add("foo/allow-all", "\n  action: ALLOW\n  rules:\n  - {}");
  EXPECT_EQ(policies.http(), allowed);
}

// The first example of the reference, without its JWT.
TEST(AuthorizationExample, OfServiceAccountOrNamespaceToReadInfo) {
  Policies policies;
  policies.add("foo/httpbin", R"(
  action: ALLOW
  rules:
  - from:
    - source:
        principals: ["cluster.local/ns/default/sa/sleep"]
    - source:
        namespaces: ["dev"]
    to:
    - operation:
        methods: ["GET"]
        paths: ["/info*"]
    - operation:
        methods: ["POST"]
        paths: ["/data"])");
  EXPECT_EQ(policies.http(asking("GET", "/info/x")), allowed);
  EXPECT_EQ(policies.http(asking("POST", "/data")), allowed);
  EXPECT_EQ(policies.http(asking("POST", "/info")), none);
  EXPECT_EQ(policies.http(as("spiffe://cluster.local/ns/dev/sa/any", asking("GET", "/info"))),
            allowed);
  EXPECT_EQ(policies.http(as("spiffe://cluster.local/ns/test/sa/sleep", asking("GET", "/info"))),
            none);
}

TEST(AuthorizationExample, DenyOfANamespaceToPost) {
  Policies policies;
  policies.add("foo/httpbin", R"(
  action: DENY
  rules:
  - from:
    - source:
        namespaces: ["dev"]
    to:
    - operation:
        methods: ["POST"])");
  const std::string dev = "spiffe://cluster.local/ns/dev/sa/any";
  EXPECT_EQ(policies.http(as(dev, asking("POST", "/x"))), name("httpbin"));
  EXPECT_EQ(policies.http(as(dev, asking("GET", "/x"))), allowed);
  EXPECT_EQ(policies.http(asking("POST", "/x")), allowed);
  EXPECT_EQ(policies.tcp(as(dev)), name("httpbin")) << "the method is left out on TCP";
}

TEST(AuthorizationExample, AuditOfGetBelowUserProfile) {
  Policies policies;
  policies.add("foo/anyname", R"(
  action: AUDIT
  rules:
  - to:
    - operation:
        methods: ["GET"]
        paths: ["/user/profile/*"])");
  EXPECT_EQ(policies.http(asking("GET", "/user/profile/me")), "allowed +" + name("anyname"));
  EXPECT_EQ(policies.http(asking("POST", "/user/profile/me")), allowed);
}

// Task "Authorization for TCP traffic": the ALLOW of two ports, then with a method, then as DENY.
TEST(AuthorizationExample, TcpByPort) {
  Policies policies;
  policies.add("foo/tcp-policy", R"(
  selector:
    matchLabels:
      app: web
  action: ALLOW
  rules:
  - to:
    - operation:
        ports: ["9000", "9001"])");
  EXPECT_EQ(policies.tcp(asking("GET", "/", "10.9.9.9:9000")), allowed);
  EXPECT_EQ(policies.tcp(asking("GET", "/", "10.9.9.9:9002")), none);
}

TEST(AuthorizationExample, TcpWithAMethodAllowsNothing) {
  Policies policies;
  policies.add("foo/tcp-policy", R"(
  action: ALLOW
  rules:
  - to:
    - operation:
        methods: ["GET"]
        ports: ["9000"])");
  EXPECT_EQ(policies.tcp(asking("GET", "/", "10.9.9.9:9000")), none);
  EXPECT_EQ(policies.tcp(asking("GET", "/", "10.9.9.9:9001")), none);
}

TEST(AuthorizationExample, TcpDenyWithAMethodDeniesThePort) {
  Policies policies;
  policies.add("foo/tcp-policy", R"(
  action: DENY
  rules:
  - to:
    - operation:
        methods: ["GET"]
        ports: ["9000"])");
  EXPECT_EQ(policies.tcp(asking("GET", "/", "10.9.9.9:9000")), name("tcp-policy"));
  EXPECT_EQ(policies.tcp(asking("GET", "/", "10.9.9.9:9001")), allowed);
}

// Task "Explicit deny": GET is denied unless a header says admin.
TEST(AuthorizationExample, DenyUnlessAHeaderHasAValue) {
  Policies policies;
  policies.add("foo/deny-method-get", R"(
  action: DENY
  rules:
  - to:
    - operation:
        methods: ["GET"]
    when:
    - key: request.headers[x-token]
      notValues: ["admin"])");
  Peer peer = asking("GET", "/get");
  EXPECT_EQ(policies.http(peer), name("deny-method-get"));
  peer.headers = "X-Token: guest\r\n";
  EXPECT_EQ(policies.http(peer), name("deny-method-get"));
  peer.headers = "X-Token: admin\r\n";
  EXPECT_EQ(policies.http(peer), allowed);
}

// Task "Trust domain migration": old-td becomes new-td; a client of another namespace stays out.
TEST(AuthorizationExample, TrustDomainMigration) {
  Policies policies;
  policies.world.input.mesh.trust_domain = "new-td";
  policies.add("foo/service-httpbin.default.svc.cluster.local", R"(
  rules:
  - from:
    - source:
        principals:
        - old-td/ns/sleep-allow/sa/sleep
    to:
    - operation:
        methods:
        - GET)");
  const std::string now = "spiffe://new-td/ns/sleep-allow/sa/sleep";
  EXPECT_EQ(policies.http(as(now)), none) << "without an alias";
  policies.world.input.mesh.trust_domain_aliases = {"old-td"};
  EXPECT_EQ(policies.http(as(now)), allowed);
  EXPECT_EQ(policies.http(as("spiffe://new-td/ns/default/sa/sleep")), none);
}

// Concept page: nobody but one namespace, and plaintext is outside of it.
TEST(AuthorizationExample, DenyOfAllThatIsNotOfANamespace) {
  Policies policies;
  policies.add("foo/httpbin-deny", R"(
  action: DENY
  rules:
  - from:
    - source:
        notNamespaces: ["default"])");
  EXPECT_EQ(policies.http(), allowed);
  Peer plaintext;
  plaintext.uris.clear();
  EXPECT_EQ(policies.http(plaintext), name("httpbin-deny"));
  EXPECT_EQ(policies.tcp(plaintext), name("httpbin-deny"));
}

}  // namespace
}  // namespace sallyport::mesh
