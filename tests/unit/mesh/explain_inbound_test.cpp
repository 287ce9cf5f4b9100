// The server's side in words: each answer with the resource that gave it.
#include "agent/mesh/explain_inbound.h"

#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

const std::string strict =
    "kind: PeerAuthentication\napiVersion: security.istio.io/v1\nmetadata: {name: p}\nspec:\n"
    "  mtls: {mode: STRICT}\n---\n";
const std::string disabled =
    "kind: PeerAuthentication\napiVersion: security.istio.io/v1\nmetadata: {name: p}\nspec:\n"
    "  mtls: {mode: DISABLE}\n---\n";
const std::string only_sleep =
    "kind: AuthorizationPolicy\napiVersion: security.istio.io/v1\nmetadata: {name: a}\nspec:\n"
    "  rules:\n  - from: [{source: {principals: ['*/sa/sleep']}}]\n---\n";
const std::string custom =
    "kind: AuthorizationPolicy\napiVersion: security.istio.io/v1\nmetadata: {name: c}\nspec:\n"
    "  action: CUSTOM\n  provider: {name: opa}\n  rules: [{}]\n---\n";
const std::string dry =
    "kind: AuthorizationPolicy\napiVersion: security.istio.io/v1\n"
    "metadata: {name: d, annotations: {istio.io/dry-run: 'true'}}\nspec:\n"
    "  action: DENY\n  rules: [{}]\n---\n";

struct Case {
  const char* rule;
  std::string yaml;
  bool mutual_tls;
  const char* text;     // of the last step
  const char* from;     // of the last step
  const char* refused;  // words of it; "": let in
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.rule; }
const Case cases[] = {
    {"nothing said", "", false, "no AuthorizationPolicy selects it: allowed", "", ""},
    {"STRICT and plaintext", strict, false, "STRICT on port 8080; the client sends no mutual TLS",
     "PeerAuthentication default/p (rules.yaml:5)", "mutual TLS is STRICT there"},
    {"STRICT and mutual TLS", strict, true, "no AuthorizationPolicy selects it: allowed", "", ""},
    {"DISABLE and mutual TLS", disabled, true, "DISABLE on port 8080; the client sends mutual TLS",
     "PeerAuthentication default/p (rules.yaml:5)", "as bytes"},
    {"allowed by its identity", only_sleep, true,
     "allowed, spiffe://cluster.local/ns/default/sa/sleep",
     "AuthorizationPolicy default/a (rules.yaml:6)", ""},
    {"without an identity", only_sleep, false, "denied: a client without identity",
     "AuthorizationPolicy default/a (rules.yaml:1)", "no ALLOW policy of the server matches"},
    {"what can't be evaluated", custom, true, "denied: spiffe://cluster.local/ns/default/sa/sleep",
     "AuthorizationPolicy default/c (rules.yaml:1)",
     "action CUSTOM (provider opa) can't be evaluated here"},
    {"a dry run", dry, true, "no policy refuses it: allowed", "", ""},
};
class ExplainInbound : public testing::TestWithParam<Case> {};
TEST_P(ExplainInbound, SaysWhatDecided) {
  const auto& c = GetParam();
  World world;
  world.add(c.yaml);
  InboundQuestion question;
  question.port = 8080;
  question.mutual_tls = c.mutual_tls;
  question.principal = "spiffe://cluster.local/ns/default/sa/sleep";
  const auto told = explain_inbound(world.input, question);
  const auto& last = told.steps.back();
  EXPECT_EQ(last.text.substr(0, std::string_view(c.text).size()), c.text);
  EXPECT_EQ(last.from, c.from);
  EXPECT_EQ(told.refused.empty(), std::string_view(c.refused).empty()) << told.refused;
  EXPECT_NE(told.refused.find(c.refused), std::string::npos) << told.refused;
}
INSTANTIATE_TEST_SUITE_P(Spec, ExplainInbound, testing::ValuesIn(cases));

TEST(ExplainInboundNotes, TellOfADryRun) {
  World world;
  world.add(dry);
  const auto told = explain_inbound(world.input, {});
  const auto& notes = told.steps.back().notes;
  ASSERT_EQ(notes.size(), 1u) << "no rule asks for the client's address";
  EXPECT_EQ(notes[0], "a dry run would refuse it: ns[default]-policy[d]-rule[0]");
}

// What the server's sidecar sets where the request has none: as what came to it.
TEST(ExplainInboundScheme, IsThatOfTheConnection) {
  World world;
  world.add(
      "kind: AuthorizationPolicy\napiVersion: security.istio.io/v1\nmetadata: {name: s}\nspec:\n"
      "  rules: [{when: [{key: 'request.headers[x-forwarded-proto]', values: [https]}]}]\n");
  http::Head head;
  InboundQuestion question;
  question.request.head = &head;
  EXPECT_NE(explain_inbound(world.input, question).refused, "");
  question.mutual_tls = true;
  EXPECT_EQ(explain_inbound(world.input, question).refused, "");
}

}  // namespace
}  // namespace sallyport::mesh
