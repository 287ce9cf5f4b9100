// Why no ALLOW policy lets something in: of each rule the first condition that does not hold.
#include "agent/mesh/explain_denial.h"

#include "agent/mesh/explain_inbound.h"
#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

std::string allow(const std::string& name, const std::string& spec) {
  return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " + name +
         "}\nspec: {" + spec + "}\n---\n";
}
std::string from(const std::string& source) {
  return "rules: [{from: [{source: {" + source + "}}]}]";
}
std::string to(const std::string& operation) {
  return "rules: [{to: [{operation: {" + operation + "}}]}]";
}
std::string when(const std::string& condition) { return "rules: [{when: [{" + condition + "}]}]"; }

// POST http://cart.shop/v1/x?y to port 8080 by default/sleep, or bytes to port 5432.
struct Asker {
  bool http = true, mutual_tls = true;
};
std::vector<std::string> notes_for(const std::string& yaml, Asker asker = {}) {
  World world;
  world.add(yaml);
  http::Head head;
  InboundQuestion question;
  question.port = asker.http ? 8080 : 5432;
  question.mutual_tls = asker.mutual_tls;
  question.principal = "spiffe://cluster.local/ns/default/sa/sleep";
  question.client = at("10.0.0.7:0");
  if (asker.http) {
    question.request.head = &head;
    question.request.authority = "cart.shop";
    question.request.path = "/v1/x?y";
    question.request.method = "POST";
  }
  const auto told = explain_inbound(world.input, question);
  EXPECT_EQ(told.refused, "no ALLOW policy of the server matches") << yaml;
  return told.steps.back().notes;
}

constexpr const char* rule_0 = "AuthorizationPolicy default/a (rules.yaml:4) rule[0]: ";

struct Case {
  const char* name;
  std::string spec, note;
  Asker asker = {};
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
const Case cases[] = {
    {"a principal", from("principals: [sleep]"),
     "principals [sleep] does not match cluster.local/ns/default/sa/sleep"},
    {"the first of a source that fails", from("principals: ['*'], ipBlocks: [10.1.0.1]"),
     "ipBlocks [10.1.0.1] does not match 10.0.0.7"},
    {"service accounts", from("serviceAccounts: [x, z]"),
     "serviceAccounts [x, z] does not match cluster.local/ns/default/sa/sleep"},
    {"a twin of the field", from("notNamespaces: [default]"),
     "notNamespaces [default] matches cluster.local/ns/default/sa/sleep"},
    {"nobody known",
     from("principals: ['*']"),
     "principals [*] does not match a client without identity",
     {.mutual_tls = false}},
    {"an address", from("ipBlocks: [10.1.0.0/16]"),
     "ipBlocks [10.1.0.0/16] does not match 10.0.0.7"},
    {"a port", to("ports: ['80']"), "ports [80] does not match 8080"},
    {"a method", to("methods: [GET]"), "methods [GET] does not match POST"},
    {"a path, without its query", to("paths: [/v2/*]"), "paths [/v2/*] does not match /v1/x"},
    {"a host", to("notHosts: ['*.shop']"), "notHosts [*.shop] matches cart.shop"},
    {"many values", to("methods: [A, B, C, D, E, F]"),
     "methods [A, B, C, D, E, ...] does not match POST"},
    {"what only HTTP has",
     "rules: [{from: [{source: {principals: [sleep]}}], "
     "to: [{operation: {ports: ['80'], methods: [GET]}}]}]",
     "methods [GET] is for HTTP, port 5432 is TCP",
     {.http = false}},
    {"a header", when("key: 'request.headers[x-team]', values: [a]"),
     "when request.headers[x-team] values [a] does not match this request"},
    {"a header on TCP",
     when("key: 'request.headers[x-team]', values: [a]"),
     "when request.headers[x-team] values [a] is for HTTP, port 5432 is TCP",
     {.http = false}},
    {"a condition's notValues", when("key: destination.port, notValues: ['8080']"),
     "when destination.port notValues [8080] matches 8080"},
    {"each of several sources",
     "rules: [{from: [{source: {principals: [a]}}, {source: {ipBlocks: [10.1.0.1]}}]}]",
     "from[0] principals [a] does not match cluster.local/ns/default/sa/sleep; "
     "from[1] ipBlocks [10.1.0.1] does not match 10.0.0.7"},
    {"not a part of which one alternative holds",
     "rules: [{from: [{source: {principals: [a]}}, {source: {namespaces: [default]}}], "
     "to: [{operation: {ports: ['80']}}]}]",
     "ports [80] does not match 8080"},
};
class ExplainDenial : public testing::TestWithParam<Case> {};
TEST_P(ExplainDenial, NamesTheConditionThatDoesNotHold) {
  const auto& c = GetParam();
  EXPECT_EQ(notes_for(allow("a", c.spec), c.asker), std::vector{rule_0 + c.note});
}
INSTANTIATE_TEST_SUITE_P(Spec, ExplainDenial, testing::ValuesIn(cases));

TEST(ExplainDenialOfAll, TellsOfEachPolicyThatAllows) {
  const auto notes =
      notes_for(allow("none", "") +
                allow("a",
                      "rules: [{to: [{operation: {methods: [GET]}}]}, "
                      "{to: [{operation: {ports: ['80']}}]}]") +
                allow("deny", "action: DENY, " + to("methods: [PUT]")) +
                allow("other", "selector: {matchLabels: {app: other}}, " + to("ports: ['81']")));
  ASSERT_EQ(notes.size(), 3u);
  EXPECT_EQ(notes[0],
            "AuthorizationPolicy default/none (rules.yaml:1) has no rules: it allows nobody");
  EXPECT_EQ(notes[1],
            "AuthorizationPolicy default/a (rules.yaml:9) rule[0]: methods [GET] does not match "
            "POST");
  EXPECT_EQ(notes[2],
            "AuthorizationPolicy default/a (rules.yaml:9) rule[1]: ports [80] does not match 8080");
}

TEST(ExplainDenialOfAll, IsCutShort) {
  std::string rules;
  for (int i = 0; i < 11; ++i) rules += "{to: [{operation: {ports: ['80']}}]}, ";
  const auto notes = notes_for(allow("a", "rules: [" + rules + "]"));
  ASSERT_EQ(notes.size(), 9u);
  EXPECT_EQ(notes.back(), "and 3 more rules of ALLOW policies");
}

TEST(ExplainDenialOfAll, IsSilentWhereADenyRefuses) {
  World world;
  world.add(allow("d", "action: DENY, rules: [{}]") + allow("a", from("principals: [sleep]")));
  EXPECT_TRUE(explain_inbound(world.input, {}).steps.back().notes.empty());
}

}  // namespace
}  // namespace sallyport::mesh
