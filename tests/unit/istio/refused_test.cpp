// A refused resource still says which hosts it meant, however broken its document is: they are
// closed.
#include "tests/unit/istio/decoding.h"

namespace sallyport::istio {
namespace {

struct Case {
  const char* name;
  std::string text;
  std::string kind, resource;  // "namespace/name"
  std::vector<std::string> hosts;
};
const std::string entry_head =
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: x\n  namespace: "
    "ns\nspec:\n";
const std::string rule_head =
    "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r}\nspec:\n";
const Case cases[] = {
    {"a wrong field elsewhere",
     entry_head + "  hosts: [A.b, c.d]\n  ports: 80\n",
     "ServiceEntry",
     "ns/x",
     {"a.b", "c.d"}},
    {"hosts of the wrong type", entry_head + "  hosts: a.b\n", "ServiceEntry", "ns/x", {"a.b"}},
    {"a rule",
     rule_head + "  host: a.b\n  trafficPolicy: {tls: {mod: SIMPLE}}\n",
     "DestinationRule",
     "default/r",
     {"a.b"}},
    {"a rule without a host",
     rule_head + "  exportTo: ['.']\n",
     "DestinationRule",
     "default/r",
     {}},
    {"bad YAML after the hosts",
     entry_head + "  hosts:\n  - a.b\n  - '*.c.d'\n  ports: [\n",
     "ServiceEntry",
     "ns/x",
     {"a.b", "*.c.d"}},
    {"bad YAML before the hosts",
     entry_head + "  ports: ]\n  hosts: [\"a.b\", c.d]  # ours\n",
     "ServiceEntry",
     "ns/x",
     {"a.b", "c.d"}},
    {"bad indentation",
     rule_head + "  host: a.b\n   trafficPolicy:\n  tls: {}\n",
     "DestinationRule",
     "default/r",
     {"a.b"}},
    {"tabs", rule_head + "\thost: a.b\n", "DestinationRule", "default/r", {"a.b"}},
    {"bad JSON",
     "{\"kind\": \"DestinationRule\",\n \"metadata\": {\n  \"name\": \"r\"},\n \"spec\": {\n  "
     "\"host\": \"a.b\",,\n",
     "DestinationRule",
     "default/r",
     {"a.b"}},
    {"JSON on one line",
     "{\"kind\":\"ServiceEntry\",\"metadata\":{\"name\":\"x\",\"namespace\":\"ns\"},\"spec\":{"
     "\"hosts\":"
     "[\"a.b\",\"c.d\"],\"ports\":[}}",
     "ServiceEntry",
     "ns/x",
     {"a.b", "c.d"}},
    {"cut off inside of a string",
     rule_head + "  host: a.b\n  trafficPolicy: {tls: {mode: \"SIM\n",
     "DestinationRule",
     "default/r",
     {"a.b"}},
    {"no kind", "metadata: {name: x}\nspec: {hosts: [a.b]}\n", "", "/", {"a.b"}},
};
class Refusal : public testing::TestWithParam<Case> {};
TEST_P(Refusal, NamesTheHosts) {
  const Case& c = GetParam();
  const Decoded decoded = decode(c.text, "f.yaml");
  EXPECT_TRUE(decoded.resources.empty()) << c.name;
  ASSERT_EQ(decoded.refused.size(), 1u) << c.name;
  const Refused& refused = decoded.refused[0];
  EXPECT_EQ(refused.kind, c.kind) << c.name;
  EXPECT_EQ(refused.namespace_name + '/' + refused.name, c.resource) << c.name;
  EXPECT_EQ(refused.hosts, c.hosts) << c.name;
  EXPECT_EQ(refused.finding.file, "f.yaml");
  EXPECT_GT(refused.finding.line, 0) << c.name;
  ASSERT_TRUE(refused.ref);
}
INSTANTIATE_TEST_SUITE_P(Spec, Refusal, testing::ValuesIn(cases));

TEST(Refusal, OfABrokenListNamesEachOfItsResources) {
  const Decoded decoded = decode(
      "kind: List\nitems:\n- kind: ServiceEntry\n  metadata: {name: a}\n  spec:\n    hosts:\n    - "
      "a.b\n"
      "- kind: DestinationRule\n  metadata:\n    name: b\n  spec:\n    host: c.d\n   x: [\n",
      "f.yaml");
  ASSERT_EQ(decoded.findings.size(), 1u);
  ASSERT_EQ(decoded.refused.size(), 2u);
  EXPECT_EQ(decoded.refused[0].hosts, std::vector<std::string>{"a.b"});
  EXPECT_EQ(decoded.refused[1].name, "b");
  EXPECT_EQ(decoded.refused[1].hosts, std::vector<std::string>{"c.d"});
}

}  // namespace
}  // namespace sallyport::istio
