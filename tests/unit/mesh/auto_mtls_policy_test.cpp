// Auto mTLS under PeerAuthentication (istio-api.md 2.10 steps 3 and 4): the service's gate looks at
// mesh and namespace alone, an endpoint's at everything.
#include "tests/unit/mesh/mesh_documents.h"

namespace sallyport::mesh {
namespace {

const std::string web = "outbound|80||web.default.svc.cluster.local";
const std::string in_mesh = "app: web, security.istio.io/tlsMode: istio";

std::string policy(const std::string& name, const std::string& space, const std::string& spec) {
  return "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: " + name +
         ", namespace: " + space + "}\nspec: {" + spec + "}\n---\n";
}
const std::string selector = "selector: {matchLabels: {app: web}}, ";

struct Case {
  const char* name;
  std::string policies;
  bool service, endpoint;  // what is mutual TLS
};
const Case cases[] = {
    {"none: PERMISSIVE", "", true, true},
    {"STRICT", policy("a", "default", "mtls: {mode: STRICT}"), true, true},
    {"the namespace's DISABLE closes the whole service",
     policy("a", "default", "mtls: {mode: DISABLE}"), false, false},
    {"even where the workload's says STRICT",
     policy("a", "default", "mtls: {mode: DISABLE}") +
         policy("b", "default", selector + "mtls: {mode: STRICT}"),
     false, false},
    {"the mesh's DISABLE too", policy("a", "istio-system", "mtls: {mode: DISABLE}"), false, false},
    {"unless the namespace says otherwise",
     policy("a", "istio-system", "mtls: {mode: DISABLE}") +
         policy("b", "default", "mtls: {mode: PERMISSIVE}"),
     true, true},
    {"the client's namespace is not asked", policy("a", "elsewhere", "mtls: {mode: DISABLE}"), true,
     true},
    {"the workload's DISABLE: plaintext to that endpoint",
     policy("a", "default", selector + "mtls: {mode: DISABLE}"), true, false},
    {"of its port, by the pod's number",
     policy("a", "default",
            selector + "mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}}"),
     true, false},
    {"and not by the Service's",
     policy("a", "default",
            selector + "mtls: {mode: STRICT}, portLevelMtls: {80: {mode: DISABLE}}"),
     true, true},
};

TEST(AutoMtlsPolicy, IsAskedOfTheServiceThenOfTheEndpoint) {
  for (const auto& c : cases) {
    World world;
    world.add(web_service()).add(pod({"a", "10.0.0.1", in_mesh})).add(c.policies).compile();
    const auto* cluster = world.cluster(web);
    ASSERT_TRUE(cluster && cluster->endpoints.size() == 1u) << c.name << world.findings();
    EXPECT_EQ(cluster->tls.mode == Originate::istio_mutual, c.service) << c.name;
    EXPECT_EQ(cluster->endpoints[0].mesh_tls, c.endpoint) << c.name;
  }
}

TEST(AutoMtlsPolicy, APolicyThatComesIsFollowed) {
  World world;
  world.add(web_service()).add(pod({"a", "10.0.0.1", in_mesh})).compile();
  EXPECT_TRUE(world.cluster(web)->endpoints.at(0).mesh_tls);
  world.add(policy("a", "default", selector + "mtls: {mode: DISABLE}")).compile();
  EXPECT_FALSE(world.cluster(web)->endpoints.at(0).mesh_tls);
}

}  // namespace
}  // namespace sallyport::mesh
