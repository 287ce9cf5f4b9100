// Istio's mutual TLS in words: which endpoint gets it because of what, and why another does not.
#include "agent/mesh/explain_mesh_tls.h"

#include "tests/unit/mesh/mesh_documents.h"

namespace sallyport::mesh {
namespace {

const std::string web = "outbound|80||web.default.svc.cluster.local";
const std::string in_mesh = "app: web, security.istio.io/tlsMode: istio";

std::string policy(const std::string& spec) {
  return "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p}\n"
         "spec: {" +
         spec + "}\n---\n";
}

std::string told(World& world) {
  world.compile();
  const auto step = explain_mesh_tls(world.input, *world.cluster(web));
  if (!step) return "nothing of the mesh";
  std::string out = step->text + (step->from.empty() ? "" : " <- " + step->from);
  for (const auto& note : step->notes) out += "\n" + note;
  return out;
}

TEST(ExplainMeshTls, NamesEachEndpointWithWhatDecidedForIt) {
  World world;
  world.add(web_service())
      .add(pod({.name = "a", .ip = "10.0.0.1", .labels = in_mesh, .account = "server"}))
      .add(pod({"b", "10.0.0.2"}), "b.yaml")
      .add(policy("selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}"), "policy.yaml");
  EXPECT_EQ(
      told(world),
      "auto mTLS: ISTIO_MUTUAL to endpoints that take it; SNI "
      "outbound_.80_._.web.default.svc.cluster.local; the certificate must name "
      "spiffe://cluster.local/ns/default/sa/default or "
      "spiffe://cluster.local/ns/default/sa/server\n"
      "endpoint 10.0.0.1:8080 (Pod default/a) has tlsMode istio, PeerAuthentication default/p "
      "(policy.yaml:4) STRICT → mutual TLS\n"
      "endpoint 10.0.0.2:8080 (Pod default/b) has no label security.istio.io/tlsMode: istio → "
      "plaintext");
}

TEST(ExplainMeshTls, SaysWhyAnEndpointOfTheMeshGetsPlaintext) {
  World world;
  world.add(web_service())
      .add(pod({"a", "10.0.0.1", in_mesh}))
      .add(policy("selector: {matchLabels: {app: web}}, mtls: {mode: DISABLE}"), "policy.yaml");
  EXPECT_NE(told(world).find("(Pod default/a) has tlsMode istio, PeerAuthentication default/p "
                             "(policy.yaml:4) DISABLE → plaintext"),
            std::string::npos)
      << told(world);
}

TEST(ExplainMeshTls, SaysWhyAWholeServiceGetsPlaintext) {
  World world;
  world.add(web_service())
      .add(pod({"a", "10.0.0.1", in_mesh}))
      .add(policy("mtls: {mode: DISABLE}"), "policy.yaml");
  EXPECT_EQ(told(world),
            "none is added: PeerAuthentication of the service's namespace is DISABLE (those of "
            "workloads are not asked, as in Istio) <- PeerAuthentication default/p "
            "(policy.yaml:4)");
  world.input.mesh.enable_auto_mtls = false;
  world.new_mesh = true;
  EXPECT_EQ(told(world), "none is added: enableAutoMtls is false in the mesh config");
}

TEST(ExplainMeshTls, NamesTheRuleThatAsksForItOfAll) {
  World world;
  world.add(web_service())
      .add(pod({"a", "10.0.0.1"}))
      .add(rule({"web", "r", "default", "tls: {mode: ISTIO_MUTUAL, sni: s.example}"}), "r.yaml");
  EXPECT_EQ(told(world).substr(0, 31), "ISTIO_MUTUAL; SNI s.example; th");
  EXPECT_NE(told(world).find("<- DestinationRule default/r (r.yaml:8)"), std::string::npos)
      << told(world);
}

TEST(ExplainMeshTls, SaysSoWhereNobodyIsKnown) {
  World world;
  world.add(web_service());
  EXPECT_NE(told(world).find("neither Pods nor EndpointSlices of the Service are known: its own "
                             "address stands for them → plaintext"),
            std::string::npos)
      << told(world);
}

TEST(ExplainMeshTls, HasNothingToSayOfAServiceOutsideTheMesh) {
  World world;
  world.add(entry({"api.example"})).compile();
  EXPECT_FALSE(explain_mesh_tls(world.input, *world.cluster("outbound|80||api.example")));
}

}  // namespace
}  // namespace sallyport::mesh
