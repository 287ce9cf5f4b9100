// `bind` of a Gateway's server: what is listened on in the place of every address.
#include "gateway_world.h"

namespace sallyport::mesh {
namespace {

std::string gateway_on(const std::string& bind, const std::string& host,
                       const std::string& name = "gw") {
  return "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: " + name +
         ", namespace: default}\nspec:\n  selector: {istio: ingressgateway}\n  servers:\n"
         "  - {bind: '" +
         bind + "', port: {number: 0, name: web, protocol: HTTP}, hosts: [" + host + "]}\n---\n";
}
std::string routes(const std::string& gateways) {
  return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: vs, "
         "namespace: default}\nspec:\n  hosts: ['*']\n  gateways: [" +
         gateways + "]\n  http: [{route: [{destination: {host: web}}]}]\n---\n";
}
// What a request over that socket gets; "closed": nobody listens there.
std::string got(const GatewayWorld& world, const std::string& path, const std::string& host) {
  const auto at = SocketAddress::unix_socket(path).value();
  const auto* listener = find_listener(world.snapshot().gateway, at);
  if (!listener) return "closed";
  return world.request({GatewayAction::http, &listener->plain, ""}, host);
}
const std::string web = "outbound|80||web.default.svc.cluster.local";

TEST(GatewayBind, AUnixSocketIsAListenerOfItsOwnWithIstiosNames) {
  for (const std::string path : {"/run/gw.sock", "@gw"}) {
    GatewayWorld world;
    world.add(service("web", "80") + gateway_on("unix://" + path, "a.com") + routes("gw"));
    world.compile();
    EXPECT_EQ(world.findings(), "");
    EXPECT_EQ(got(world, path, "a.com"), web);
    EXPECT_EQ(got(world, path, "b.com"), "404");
    EXPECT_EQ(world.listener(0), nullptr) << "no port is";
    const auto at = SocketAddress::unix_socket(path).value();
    const auto& listener = *world.snapshot().gateway.by_address.at(at);
    EXPECT_EQ(listener.name, "unix://" + path + "_0");
    EXPECT_EQ(listener.plain->name, "http.0.unix://" + path);
    EXPECT_EQ(listener.bound_to(), at);
  }
}

TEST(GatewayBind, ServersOfOneUnixSocketAreMergedAndOthersKeptApart) {
  GatewayWorld world;
  world.add(service("web", "80") + gateway_on("unix:///run/gw.sock", "a.com") +
            gateway_on("unix:///run/gw.sock", "b.com", "same") +
            gateway_on("unix:///run/other.sock", "c.com", "other") + routes("gw, same, other"));
  world.compile();
  EXPECT_EQ(world.findings(), "");
  for (const char* host : {"a.com", "b.com"}) EXPECT_EQ(got(world, "/run/gw.sock", host), web);
  EXPECT_EQ(got(world, "/run/gw.sock", "c.com"), "404");
  EXPECT_EQ(got(world, "/run/other.sock", "c.com"), web);
}

TEST(GatewayBind, AListenerThatDidNotChangeStaysTheSame) {
  GatewayWorld world;
  world.add(service("web", "80") + gateway_on("unix:///run/gw.sock", "a.com") + routes("gw"));
  world.compile();
  const auto at = SocketAddress::unix_socket("/run/gw.sock").value();
  const auto before = world.snapshot().gateway.by_address.at(at);
  world.compile();
  EXPECT_EQ(world.snapshot().gateway.by_address.at(at), before);
}

TEST(GatewayBind, APathThatNoSocketCanHaveSkipsTheServer) {
  GatewayWorld world;
  world.add(service("web", "80") + gateway_on("unix:///" + std::string(120, 'x'), "a.com"));
  world.compile();
  EXPECT_TRUE(world.snapshot().gateway.empty());
  EXPECT_NE(world.findings().find("server web is skipped: nobody can listen on unix:///xxx"),
            std::string::npos)
      << world.findings();
}

}  // namespace
}  // namespace sallyport::mesh
