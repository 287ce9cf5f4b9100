// Auto mTLS, the client's side (istio-api.md 2.10, 2.12): who is spoken to with the mesh's mutual
// TLS, as whom, and as what it is asked for.
#include "tests/unit/mesh/mesh_documents.h"

namespace sallyport::mesh {
namespace {

const std::string web = "outbound|80||web.default.svc.cluster.local";
const std::string in_mesh = "app: web, security.istio.io/tlsMode: istio";

std::string text(const Cluster* cluster) {
  if (!cluster) return "no cluster";
  if (cluster->refused) return "closed: " + cluster->refused->context;
  const auto& tls = cluster->tls;
  if (tls.mode == Originate::none) return "plaintext";
  std::string out = tls.mode == Originate::istio_mutual ? "mutual" : "of a rule";
  if (!tls.automatic) return out + " to all";
  for (const auto& one : cluster->endpoints)
    out += " " + one.address().text() + (one.mesh_tls ? "=tls" : "=plain");
  return out;
}

std::string mesh_entry(const std::string& endpoint, const std::string& location = "MESH_INTERNAL") {
  return entry({"vm.example",
                "default",
                "STATIC",
                {"80 HTTP"},
                "  location: " + location + "\n  endpoints: [" + endpoint + "]\n"});
}
const std::string vm = "outbound|80||vm.example";

struct Case {
  const char* name;
  std::string resources, cluster, expect;
  bool enabled = true;
};
const Case cases[] = {
    {"step 1: a rule's tls is used as it is: DISABLE",
     web_service() + pod({"a", "10.0.0.1", in_mesh}) + rule({"web", "r", "default", "tls: {}"}),
     web, "plaintext"},
    {"step 1: ISTIO_MUTUAL goes to endpoints without the label too",
     web_service() + pod({"a", "10.0.0.1"}) +
         rule({"web", "r", "default", "tls: {mode: ISTIO_MUTUAL}"}),
     web, "mutual to all"},
    {"step 1: a rule without tls decides nothing",
     web_service() + pod({"a", "10.0.0.1", in_mesh}) +
         rule({"web", "r", "default", "loadBalancer: {simple: RANDOM}"}),
     web, "mutual 10.0.0.1:8080=tls"},
    {"step 1: an entry of portLevelSettings drops the rule's tls",
     web_service() + pod({"a", "10.0.0.1", in_mesh}) +
         rule({"web", "r", "default",
               "tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 80}, loadBalancer: "
               "{simple: RANDOM}}]"}),
     web, "mutual 10.0.0.1:8080=tls"},
    {"step 2: MESH_EXTERNAL stays plaintext, labelled or not",
     mesh_entry("{address: 10.0.0.1, labels: {security.istio.io/tlsMode: istio}}", "MESH_EXTERNAL"),
     vm, "plaintext"},
    {"step 2: enableAutoMtls: false", web_service() + pod({"a", "10.0.0.1", in_mesh}), web,
     "plaintext", false},
    {"step 4: by each endpoint's label",
     web_service() + pod({"a", "10.0.0.1", in_mesh}) + pod({"b", "10.0.0.2"}) +
         pod({"c", "10.0.0.3", "app: web, security.istio.io/tlsMode: disabled"}),
     web, "mutual 10.0.0.1:8080=tls 10.0.0.2:8080=plain 10.0.0.3:8080=plain"},
    {"step 4: of a slice's endpoint, its pod's label",
     web_service() + pod({"a", "10.0.0.1", in_mesh}) +
         slice("web",
               "{addresses: [10.0.0.1], targetRef: {kind: Pod, name: a}}, {addresses: [10.0.0.2]}",
               "{name: http, port: 8080}"),
     web, "mutual 10.0.0.1:8080=tls 10.0.0.2:8080=plain"},
    {"step 4: a WorkloadEntry with a service account is of the mesh",
     mesh_entry("{address: 10.0.0.1, serviceAccount: vm}, {address: 10.0.0.2}"), vm,
     "mutual 10.0.0.1:80=tls 10.0.0.2:80=plain"},
    {"step 4: unless its label says otherwise",
     mesh_entry("{address: 10.0.0.1, serviceAccount: vm, labels: {security.istio.io/tlsMode: "
                "disabled}}"),
     vm, "mutual 10.0.0.1:80=plain"},
    {"step 4: nobody is known: the Service's address takes none", web_service(), web,
     "mutual 10.9.0.1:80=plain"},
    {"step 5: of the dialled address, every endpoint is labelled",
     web_service("{port: 80, name: http}", "None") + pod({"a", "10.0.0.1", in_mesh}), web,
     "mutual to all"},
    {"step 5: of the dialled address, one is not",
     web_service("{port: 80, name: http}", "None") + pod({"a", "10.0.0.1", in_mesh}) +
         pod({"b", "10.0.0.2"}),
     web, "plaintext"},
    {"step 5: of the dialled address, nobody is known",
     web_service("{port: 80, name: http}", "None"), web, "plaintext"},
    {"step 5: the same for a PASSTHROUGH balancer",
     web_service() + pod({"a", "10.0.0.1"}) +
         rule({"web", "r", "default", "loadBalancer: {simple: PASSTHROUGH}"}),
     web, "plaintext"},
};

TEST(AutoMtls, DecidesInIstiosSteps) {
  for (const auto& c : cases) {
    World world;
    world.input.mesh.enable_auto_mtls = c.enabled;
    world.add(c.resources).compile();
    EXPECT_EQ(text(world.cluster(c.cluster)), c.expect) << c.name << "\n" << world.findings();
  }
}

TEST(AutoMtls, AsksForTheServiceAccountsOfTheEndpointsInEveryTrustDomain) {
  World world;
  world.input.mesh.trust_domain = "td";
  world.input.mesh.trust_domain_aliases = {"old"};
  world.add(web_service())
      .add(pod({.name = "a", .ip = "10.0.0.1", .labels = in_mesh, .account = "web"}))
      .add(pod({.name = "b", .ip = "10.0.0.2", .labels = in_mesh, .account = "web"}))
      .add(pod({.name = "c", .ip = "10.0.0.3", .labels = in_mesh}))
      .compile();
  const auto& tls = world.cluster(web)->tls;
  EXPECT_EQ(tls.names, (std::vector<std::string>{
                           "spiffe://old/ns/default/sa/default", "spiffe://old/ns/default/sa/web",
                           "spiffe://td/ns/default/sa/default", "spiffe://td/ns/default/sa/web"}));
  EXPECT_EQ(tls.certificate, "default");
  EXPECT_EQ(tls.roots, "ROOTCA");
  EXPECT_TRUE(world.compiled.secret_names.empty()) << "its own identity is no Secret to look for";
}

TEST(AutoMtls, AServiceEntrysNamesAreAskedForTooAndWithoutAnyTheChainDecides) {
  World world;
  world.input.mesh.trust_domain_aliases = {"old"};
  world.add(mesh_entry("{address: 10.0.0.1, labels: {security.istio.io/tlsMode: istio}}"))
      .add(entry({"named.example",
                  "default",
                  "STATIC",
                  {"80 HTTP"},
                  "  location: MESH_INTERNAL\n"
                  "  subjectAltNames: ['spiffe://cluster.local/ns/a/sa/b', plain]\n"
                  "  endpoints: [{address: 10.0.0.2, serviceAccount: vm}]\n"}))
      .compile();
  EXPECT_TRUE(world.cluster(vm)->tls.names.empty());
  EXPECT_EQ(world.cluster("outbound|80||named.example")->tls.names,
            (std::vector<std::string>{"plain", "spiffe://cluster.local/ns/a/sa/b",
                                      "spiffe://cluster.local/ns/default/sa/vm",
                                      "spiffe://old/ns/a/sa/b", "spiffe://old/ns/default/sa/vm"}));
}

TEST(AutoMtls, SendsTheSniOfPortSubsetAndHost) {
  World world;
  world.add(web_service())
      .add(pod({"a", "10.0.0.1", in_mesh + ", version: v1"}))
      .add(rule({"web", "r", "default", "", "  subsets: [{name: v1, labels: {version: v1}}]\n"}))
      .compile();
  EXPECT_EQ(world.cluster(web)->tls.sni, "outbound_.80_._.web.default.svc.cluster.local");
  EXPECT_EQ(world.cluster("outbound|80|v1|web.default.svc.cluster.local")->tls.sni,
            "outbound_.80_.v1_.web.default.svc.cluster.local");
}

TEST(AutoMtls, KeepsTlsDefaultsForOtherTls) {
  World world;
  auto defaults = std::make_shared<istio::TlsDefaults>();
  defaults->only_tls_1_3 = true;
  world.input.mesh.tls_defaults = defaults;
  world.add(web_service())
      .add(pod({"a", "10.0.0.1", in_mesh}))
      .add(entry({"api.example"}))
      .add(rule({"api.example"}))
      .compile();
  EXPECT_FALSE(world.cluster(web)->tls.parameters);
  EXPECT_TRUE(world.cluster("outbound|80||api.example")->tls.parameters);
}

// HTTP/2 is not read yet: towards the mesh it goes as bytes, inside mutual TLS.
TEST(AutoMtls, HttpTwoGoesAsBytesToTheServiceWhoseAddressWasDialled) {
  World world;
  world.add(web_service()).add(pod({"a", "10.0.0.1", in_mesh})).compile();
  EXPECT_EQ(world.bytes("10.9.0.1:80", sniff::Protocol::http2).cluster, web);
  EXPECT_EQ(world.bytes("203.0.113.1:80", sniff::Protocol::http2).cluster, "PassthroughCluster");
  world.add(rule({"web", "r", "default", "tls: {mode: SIMPLE}"})).compile();
  EXPECT_EQ(world.bytes("10.9.0.1:80", sniff::Protocol::http2).cluster, "BlackHoleCluster");
}

}  // namespace
}  // namespace sallyport::mesh
