// AuthorizationPolicies in Istio's own YAML, compiled for the workload app=web of namespace foo,
// and short questions to them: what do they answer this peer?
#pragma once
#include "agent/mesh/authorization.h"
#include "tests/unit/mesh/world.h"

namespace sallyport::mesh::policies {

inline const std::string sleep_id = "spiffe://cluster.local/ns/default/sa/sleep";

// A request or connection of `sleep` to port 8080 of the workload app=web in namespace foo.
struct Peer {
  std::vector<std::string> uris{sleep_id};
  std::string from = "10.1.2.3:40000", remote = "10.1.2.3:40000", to = "10.9.9.9:8080";
  std::string sni = "outbound_.80_._.web.foo.svc.cluster.local";
  std::string method = "GET", target = "/info", host = "web.foo", headers;
};

class Policies {
public:
  Policies() {
    world.input.proxy.namespace_name = "foo";
    world.input.proxy.labels = {{"app", "web"}};
  }
  // `spec` in flow style.
  Policies& add(std::string_view where, const std::string& spec, const std::string& more = "") {
    const auto slash = where.find('/');
    world.add(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {namespace: " +
        std::string(where.substr(0, slash)) + ", name: " + std::string(where.substr(slash + 1)) +
        more + "}\nspec: " + spec + "\n");
    return *this;
  }
  AuthorizationPtr compile() {
    findings.clear();
    return authorization = compile_authorization(world.input, findings);
  }
  // "allowed", or what refused it; "!" before what would have, "+" before what noted it.
  std::string ask(const Peer& peer, bool http) {
    const auto compiled = compile();
    if (!compiled) return "allowed";
    raw = peer.method + ' ' + peer.target + " HTTP/1.1\r\nHost: " + peer.host + "\r\n" +
          peer.headers + "\r\n";
    EXPECT_EQ(http::parse_request(raw, head), http::Parse::done) << raw;
    AuthorizationFacts facts;
    facts.peer = at(peer.from);
    facts.remote = at(peer.remote);
    facts.destination = at(peer.to);
    facts.uri_sans = peer.uris;
    facts.sni = peer.sni;
    if (http) {
      facts.head = &head;
      facts.scheme = "https";
      facts.request_id = "made-here";
      if (!peer.uris.empty()) facts.forwarded_cert = "URI=ours";
      facts.authority = head.authority();
      facts.path = head.path();
      facts.method = head.method();
    }
    answer = authorize(*compiled, facts);
    std::string out(answer.allowed ? "allowed" : answer.policy);
    if (!answer.dry_run.empty()) out += " !" + std::string(answer.dry_run);
    if (!answer.audited_by.empty()) out += " +" + std::string(answer.audited_by);
    return out;
  }
  std::string http(const Peer& peer = {}) { return ask(peer, true); }
  std::string tcp(const Peer& peer = {}) { return ask(peer, false); }
  std::string said() const {
    std::string out;
    for (const auto& finding : findings) out += finding.text() + "\n";
    return out;
  }

  World world;
  std::vector<istio::Finding> findings;
  AuthorizationPtr authorization;
  AuthorizationAnswer answer;
  std::string raw;
  http::Head head;
};

inline std::string name(std::string_view policy, int rule = 0) {
  return "ns[foo]-policy[" + std::string(policy) + "]-rule[" + std::to_string(rule) + "]";
}
inline const std::string none = "none";
inline const std::string allowed = "allowed";

}  // namespace sallyport::mesh::policies
