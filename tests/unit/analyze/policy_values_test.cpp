// What rules of AuthorizationPolicies name that nothing can match: ports, principals, methods,
// paths.
#include <algorithm>

#include "tests/unit/analyze/analysis.h"

namespace sallyport::analyze {
namespace {

// "CODE field: message | cure" of SLP0703, SLP0704 and SLP0705, a line each.
std::string of_values(const std::string& yaml) {
  std::string out;
  for (const auto& one : analysis_of({{"f.yaml", yaml}})) {
    const auto id = one.code->id;
    if (id == "SLP0703" || id == "SLP0704" || id == "SLP0705")
      out += std::string(id) + " " + one.field + ": " + one.message + " | " + one.cure + "\n";
  }
  return out;
}

std::string authorization(const std::string& spec, const std::string& space = "foo") {
  return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, "
         "namespace: " +
         space + "}\nspec: {" + spec + "}\n---\n";
}
std::string from_principal(const std::string& value) {
  return authorization("rules: [{from: [{source: {principals: ['" + value + "']}}]}]");
}
std::string to_operation(const std::string& text) {
  return authorization("rules: [{to: [{operation: {" + text + "}}]}]");
}

struct Vain {
  const char* name;
  std::string yaml;
  const char *place, *cause, *cure;  // place: "CODE field"
};
void PrintTo(const Vain& c, std::ostream* out) { *out << c.name; }

const std::string of_td1 = mesh_config("{trustDomain: td1, trustDomainAliases: [old]}");
const char* const first_principal = "SLP0704 spec.rules[0].from[0].source.principals[0]: ";
const char* const foreign = "SLP0705 spec.rules[0].from[0].source.principals[0]: ";

const Vain vain[] = {
    {"a service account alone", from_principal("foo/sa/bar"), first_principal,
     "\"foo/sa/bar\" matches nobody: clients are TRUSTDOMAIN/ns/NAMESPACE/sa/ACCOUNT",
     "write TRUSTDOMAIN/ns"},
    {"no trust domain", from_principal("ns/foo/sa/bar"), first_principal, "clients are", "write"},
    {"another pair", from_principal("cluster.local/ns/foo/user/bar"), first_principal,
     "clients are", "write"},
    {"an empty account", from_principal("cluster.local/ns/foo/sa/"), first_principal, "clients are",
     "write"},
    {"a start of none", from_principal("cluster.local/foo/*"), first_principal, "clients are",
     "write"},
    {"an end of none", from_principal("*/serviceaccount/bar"), first_principal, "clients are",
     "write"},
    {"stars at both ends", from_principal("*/ns/foo/*"), first_principal,
     "only one * is a wildcard, at the very start or else the very end", "name it in namespaces"},
    {"a star in the middle", from_principal("cluster.local/ns/*/sa/bar"), first_principal,
     "only one * is a wildcard", "at most one *"},
    {"in a not-twin", authorization("rules: [{from: [{source: {notPrincipals: ['*', sleep]}}]}]"),
     "SLP0704 spec.rules[0].from[0].source.notPrincipals[1]: ", "matches nobody", "write"},
    {"in a condition, where the decoder is silent",
     authorization("rules: [{when: [{key: source.principal, values: "
                   "['spiffe://cluster.local/ns/foo/sa/bar']}]}]"),
     "SLP0704 spec.rules[0].when[0].values[0]: ", "principals are written without spiffe://",
     "write cluster.local/ns/foo/sa/bar"},
    {"a trust domain of others", of_td1 + from_principal("td2/ns/foo/sa/bar"), foreign,
     "neither the mesh's (td1) nor one of trustDomainAliases", "write td1/ns/foo/sa/bar, or add"},
    {"the default's, where the mesh has another, in a name that stays as it is",
     of_td1 + from_principal("cluster.local/ns/foo/*"), foreign, "the mesh's (td1)",
     "write td1/ns/foo/*"},
    {"a trust domain by its end", of_td1 + from_principal("*2/ns/foo/sa/bar"), foreign,
     "the mesh's (td1)", "trustDomainAliases"},
    {"a mesh without a trustDomain has the default's",
     mesh_config("{enableAutoMtls: true}") + from_principal("td1/ns/foo/sa/bar"), foreign,
     "the mesh's (cluster.local)", "write cluster.local/ns/foo/sa/bar"},
    {"a method in lower case", to_operation("methods: [GET, get]"),
     "SLP0704 spec.rules[0].to[0].operation.methods[1]: ", "methods are in upper case",
     "write GET"},
    {"a path without its slash", to_operation("paths: [admin]"),
     "SLP0704 spec.rules[0].to[0].operation.paths[0]: ", "a path begins with /", "write /admin"},
    {"a star for a segment", to_operation("notPaths: [/a/*/b]"),
     "SLP0704 spec.rules[0].to[0].operation.notPaths[0]: ", "only one * is a wildcard",
     "write /a/{*}/b: "},
    {"two stars for the rest", to_operation("paths: [/a/**]"),
     "SLP0704 spec.rules[0].to[0].operation.paths[0]: ", "only one * is a wildcard",
     "write /a/{**}: "},
    {"a star in a segment", to_operation("paths: [/a*b]"),
     "SLP0704 spec.rules[0].to[0].operation.paths[0]: ", "only one * is a wildcard",
     "{*} for a whole segment"},
};
class VainValues : public testing::TestWithParam<Vain> {};
TEST_P(VainValues, AreFoundWithCauseAndCure) {
  const auto& c = GetParam();
  const auto found = of_values(c.yaml);
  EXPECT_EQ(std::count(found.begin(), found.end(), '\n'), 1) << found;
  EXPECT_TRUE(found.starts_with(c.place)) << found;
  const auto bar = found.find(" | ");
  EXPECT_TRUE(has(found.substr(0, bar), c.cause)) << found;
  EXPECT_TRUE(has(found.substr(std::min(bar, found.size())), c.cure)) << found;
}
INSTANTIATE_TEST_SUITE_P(Spec, VainValues, testing::ValuesIn(vain));

TEST(ValuesOfRules, ThatCanMatchAreLeftAlone) {
  for (const char* value :
       {"*", "cluster.local/ns/foo/sa/bar", "td2/ns/foo/sa/bar", "*/ns/foo/sa/bar", "*/sa/bar",
        "*bar", "*a/bar", "cluster.local/*", "cluster.l*", "cluster.local/n*",
        "cluster.local/ns/foo/*", "cluster.local/ns/fo*", "cluster.local/ns/foo/sa/*"})
    EXPECT_EQ(of_values(from_principal(value)), "") << value;
  for (const char* value :
       {"*", "td1/ns/foo/sa/bar", "old/ns/foo/sa/bar", "cluster.local/ns/foo/sa/bar",
        "cluster.local/ns/foo/sa/*", "*/ns/foo/sa/bar", "*ld/ns/foo/sa/bar", "t*", "old/ns/foo/*"})
    EXPECT_EQ(of_values(of_td1 + from_principal(value)), "") << value;
  for (const char* text : {"methods: [GET, '*', 'G*']", "paths: ['*', /admin, '/a/*', '*/b']",
                           "paths: ['/a/{*}/b', '/a/{**}', '{*}/b']", "paths: [/Admin/x]"})
    EXPECT_EQ(of_values(to_operation(text)), "") << text;
  EXPECT_EQ(of_values(from_principal("spiffe://cluster.local/ns/foo/sa/bar")), "")
      << "the decoder tells of it";
  EXPECT_EQ(of_values(mesh_config("{trustDomain: [}") + from_principal("td2/ns/foo/sa/bar")), "")
      << "the mesh is not known";
}

std::string deployment(const std::string& app, const std::string& port,
                       const std::string& space = "foo") {
  return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + app +
         ", namespace: " + space + "}\nspec: {template: {metadata: {labels: {app: " + app +
         "}}, spec: {containers: [{name: app, ports: [{name: http, containerPort: " + port +
         "}]}]}}}\n---\n";
}
std::string service_of(const std::string& app, const std::string& ports) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: " + app +
         ", namespace: foo}\nspec: {selector: {app: " + app + "}, ports: [" + ports + "]}\n---\n";
}
const std::string shop =
    deployment("shop", "8080") + service_of("shop", "{port: 80, name: http, targetPort: http}");

TEST(PortsOfRules, OfAServiceMatchNothing) {
  const std::string why =
      "port 80 is a Service's, and no container of the selected pods has it: a rule's ports are "
      "the container's, so that this matches no connection | write 8080, its targetPort\n";
  EXPECT_EQ(of_values(shop + to_operation("ports: ['8080', '80']")),
            "SLP0703 spec.rules[0].to[0].operation.ports[1]: " + why);
  EXPECT_EQ(of_values(shop + to_operation("notPorts: ['80']")),
            "SLP0703 spec.rules[0].to[0].operation.notPorts[0]: " + why);
  const std::string when = "rules: [{when: [{key: destination.port, notValues: ['80']}]}]";
  const std::string of_when = "SLP0703 spec.rules[0].when[0].notValues[0]: " + why;
  EXPECT_EQ(of_values(shop + authorization(when)), of_when);
  EXPECT_EQ(of_values(shop + authorization("selector: {matchLabels: {app: shop}}, " + when)),
            of_when);
  EXPECT_EQ(of_values(shop + authorization(when, "istio-system")), of_when)
      << "the root namespace's is for all pods";
}

TEST(PortsOfRules, ThatPodsListenAtAreLeftAlone) {
  const std::string eighty = "rules: [{to: [{operation: {ports: ['80']}}]}]";
  EXPECT_EQ(of_values(shop + to_operation("ports: ['8080', '9999']")), "")
      << "the container's; of no Service";
  EXPECT_EQ(of_values(shop + deployment("other", "80") + authorization(eighty)), "")
      << "another of the selected pods has it";
  EXPECT_EQ(of_values(shop + service_of("shop", "{port: 81, name: x, targetPort: 80}") +
                      authorization(eighty)),
            "")
      << "another Service leads there";
  EXPECT_EQ(of_values(shop + deployment("other", "9090") +
                      authorization("selector: {matchLabels: {app: other}}, " + eighty)),
            "")
      << "the Service is not of the pods that are selected";
  EXPECT_EQ(of_values(shop + authorization(eighty, "bar")), "") << "of another namespace";
  EXPECT_EQ(of_values(shop +
                      "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, "
                      "namespace: foo}\nspec: {ingress: [{port: {number: 80, name: http, protocol: "
                      "HTTP}, defaultEndpoint: '127.0.0.1:8080'}]}\n---\n" +
                      authorization(eighty)),
            "")
      << "a Sidecar's ingress listener has it";
}

}  // namespace
}  // namespace sallyport::analyze
