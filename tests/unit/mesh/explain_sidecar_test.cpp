// A service that the proxy's Sidecar does not import is named where it would have been found.
#include "agent/mesh/explain_sidecar.h"

#include "tests/unit/mesh/mesh_documents.h"

namespace sallyport::mesh {
namespace {

const std::string cart =
    "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec:\n"
    "  clusterIP: 10.9.0.7\n  ports: [{port: 80, name: http}, {port: 5432, name: tcp}]\n---\n";

std::string only(const std::string& hosts) {
  return "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: narrow}\n"
         "spec: {egress: [{hosts: [" +
         hosts + "]}]}\n---\n";
}

Explanation asked(World& world, std::string_view destination, std::string_view host) {
  world.compile();
  Question question;
  question.destination = at(destination);
  question.preface.protocol = host.empty() ? sniff::Protocol::opaque : sniff::Protocol::http1;
  question.request.authority = host;
  question.request.path = "/";
  question.request.method = "GET";
  return explain(world.input, world.snapshot(), question);
}

const ExplainedStep& step_of(const Explanation& told, std::string_view name) {
  for (const auto& step : told.steps)
    if (step.name == name) return step;
  static const ExplainedStep none;
  return none;
}

const std::string not_listed =
    ", but Sidecar default/narrow (narrow.yaml:1) does not list it in egress hosts";
using Notes = std::vector<std::string>;

TEST(ExplainSidecar, NamesTheServiceWhereNothingIsDeclared) {
  World world;
  world.add(cart, "cart.yaml").add(only("istio-system/*"), "narrow.yaml");
  const auto told = asked(world, "10.9.0.7:80", "cart.shop");
  EXPECT_EQ(step_of(told, "listener").text, "virtualOutbound: nothing is declared here");
  EXPECT_EQ(step_of(told, "listener").notes,
            Notes{"Service shop/cart (cart.yaml:1) has this host" + not_listed});
  EXPECT_EQ(step_of(told, "protocol").text,
            "HTTP/1, not looked at; no service here: outboundTrafficPolicy ALLOW_ANY passes it on");
}

TEST(ExplainSidecar, NamesItByItsAddressForBytes) {
  World world;
  world.add(cart, "cart.yaml").add(only("istio-system/*"), "narrow.yaml");
  world.registry_only();
  const auto told = asked(world, "10.9.0.7:5432", "");
  EXPECT_EQ(step_of(told, "listener").notes,
            Notes{"Service shop/cart (cart.yaml:1) has this address" + not_listed});
  EXPECT_EQ(step_of(told, "protocol").text.find("declared TCP"), std::string::npos);
}

TEST(ExplainSidecar, NamesItWhereOthersHaveThePort) {
  World world;
  world.add(cart, "cart.yaml").add(web_service()).add(only("'./*'"), "narrow.yaml");
  const auto told = asked(world, "10.9.0.7:80", "cart.shop");
  EXPECT_EQ(step_of(told, "virtual host").notes,
            Notes{"Service shop/cart (cart.yaml:1) has this host" + not_listed});
}

TEST(ExplainSidecar, NamesTheServiceOfTheHostAndNotWhereItsRulesLead) {
  World world;
  world.add(cart, "cart.yaml")
      .add(entry({"b.example"}))
      .add(
          "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\n"
          "spec: {hosts: [cart.shop.svc.cluster.local], http: [{route: [{destination: {host: "
          "b.example}}]}]}\n---\n")
      .add(only("istio-system/*"), "narrow.yaml");
  EXPECT_EQ(step_of(asked(world, "10.9.0.7:80", "cart.shop"), "listener").notes,
            Notes{"Service shop/cart (cart.yaml:1) has this host" + not_listed});
}

TEST(ExplainSidecar, IsSilentWhereNoServiceIsHidden) {
  World seen;
  seen.add(cart).add(only("shop/*"));
  const auto found = asked(seen, "10.9.0.7:80", "cart.shop");
  EXPECT_TRUE(step_of(found, "listener").notes.empty());
  EXPECT_TRUE(step_of(found, "virtual host").notes.empty());
  EXPECT_TRUE(step_of(asked(seen, "10.9.0.8:81", "x.example"), "listener").notes.empty());
  World without;
  without.add(cart);
  EXPECT_TRUE(step_of(asked(without, "10.9.0.8:81", "x.example"), "listener").notes.empty());
}

TEST(ExplainSidecar, LeavesWhatIsDeclaredTcpSaidSo) {
  World world;
  world.add(cart);
  EXPECT_EQ(step_of(asked(world, "10.9.0.7:5432", ""), "protocol").text,
            "opaque bytes, not looked at: the port is declared TCP; by address and port");
}

}  // namespace
}  // namespace sallyport::mesh
