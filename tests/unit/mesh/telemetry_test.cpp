// Which access loggers hold for a proxy (istio-api.md 1.10,
// istio/istio:pilot/pkg/model/telemetry.go and pilot/pkg/networking/core/accesslog.go): mesh,
// namespace, workload; else accessLogFile.
#include "agent/mesh/telemetry.h"

#include "tests/unit/mesh/world.h"

namespace sallyport::mesh {
namespace {

// A Telemetry `where` ("foo/name") of `spec`, in flow style on line 5.
std::string telemetry(std::string_view where, const std::string& spec) {
  const auto slash = where.find('/');
  return "---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {namespace: " +
         std::string(where.substr(0, slash)) + ", name: " + std::string(where.substr(slash + 1)) +
         "}\nspec: " + spec + "\n";
}
// With accessLogging of `entries`.
std::string logging(std::string_view where, const std::string& entries,
                    const std::string& selector = "") {
  return telemetry(where, "{" + selector + "accessLogging: [" + entries + "]}");
}
std::string by(const std::string& provider, const std::string& more = "") {
  return "{providers: [{name: " + provider + "}]" + more + "}";
}
const std::string web = "selector: {matchLabels: {app: web}}, ";
const std::string off = "{disabled: true}";
std::string in_mode(const std::string& mode) { return ", match: {mode: " + mode + "}"; }
std::string filtered(const std::string& by) { return ", filter: {expression: '" + by + "'}"; }

constexpr std::string_view mesh_yaml = R"(
accessLogFile: /dev/stderr
accessLogFormat: mesh
extensionProviders:
- name: a
  envoyFileAccessLog: {path: /a, logFormat: {text: A}}
- name: b
  envoyFileAccessLog: {path: /b, logFormat: {labels: {p: P}}, omitEmptyValues: true}
- name: otel
  envoyOtelAls: {service: otel, port: 4317}
- name: trace
  zipkin: {service: z, port: 9411}
)";

struct Seen {
  std::string loggers, findings;
};

// As app=web in foo sees it. "a" is a logger of both sides, "a:client" and "a:server" of one.
Seen look(const std::string& yaml, std::string_view more_of_mesh = "",
          const std::function<void(CompileInput&)>& edit = {}) {
  World world;
  world.input.mesh =
      istio::decode_mesh_config(std::string(mesh_yaml) + std::string(more_of_mesh), "mesh").config;
  world.input.proxy.namespace_name = "foo";
  world.input.proxy.labels = {{"app", "web"}};
  world.add(yaml);
  if (edit) edit(world.input);
  Seen out;
  std::vector<istio::Finding> findings;
  const auto logging = access_logging(world.input, findings);
  for (const auto& logger : logging->loggers) {
    if (!out.loggers.empty()) out.loggers += ' ';
    out.loggers += logger.provider.empty() ? "file" : logger.provider;
    if (!logger.filter.empty()) out.loggers += "[" + logger.filter + "]";
    if (!logger.server) out.loggers += ":client";
    if (!logger.client) out.loggers += ":server";
  }
  for (const auto& finding : findings) out.findings += finding.text() + "\n";
  return out;
}

struct Case {
  const char* rule;
  std::string yaml, loggers;
  std::string mesh = "";
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.rule; }
class Loggers : public testing::TestWithParam<Case> {};
TEST_P(Loggers, OfAProxy) {
  EXPECT_EQ(look(GetParam().yaml, GetParam().mesh).loggers, GetParam().loggers);
}

const std::string default_a = "defaultProviders: {accessLogging: [a]}\n";
const Case cases[] = {
    {"nothing said: accessLogFile", "", "file"},
    {"a Telemetry without accessLogging says nothing", telemetry("foo/x", "{metrics: [{}]}"),
     "file"},
    {"a default provider takes the file's place", "", "a", default_a},
    {"of the mesh", logging("istio-system/m", by("a")), "a"},
    {"of the namespace", logging("foo/ns", by("a")), "a"},
    {"of the workload", logging("foo/w", by("a"), web), "a"},
    {"of another namespace: not this proxy's", logging("bar/n", by("a")), "file"},
    {"of another workload", logging("foo/w", by("a"), "selector: {matchLabels: {app: x}}, "),
     "file"},
    {"with a selector in the root namespace: for workloads there",
     logging("istio-system/w", by("a"), web), "file"},
    {"a lower level's providers replace those above",
     logging("istio-system/m", by("a")) + logging("foo/ns", by("b")), "b"},
    {"the workload's too", logging("foo/ns", by("a")) + logging("foo/w", by("b"), web), "b"},
    {"without a provider the ones above stay",
     logging("istio-system/m", by("a")) + logging("foo/ns", "{filter: {expression: 'true'}}"), "a"},
    {"disabled below", logging("istio-system/m", by("a")) + logging("foo/ns", off), ""},
    {"disabled above, not below",
     logging("istio-system/m", by("a", ", disabled: true")) + logging("foo/ns", by("a")), "a"},
    {"disabled above, below only asked for",
     logging("istio-system/m", by("a", ", disabled: true")) + logging("foo/ns", "{}"), "a"},
    {"all disabled: accessLogFile stays silent, too",
     logging("foo/ns", by("a", ", disabled: true")), ""},
    {"disabled by default", logging("foo/ns", off), "", default_a},
    {"one of several is disabled",
     logging("foo/ns", "{providers: [{name: a}, {name: b}]}, " + by("b", ", disabled: true")), "a"},
    {"several", logging("foo/ns", by("b") + ", " + by("a")), "a b"},
    {"for clients only; for servers the file", logging("foo/ns", by("a", in_mode("CLIENT"))),
     "a:client file:server"},
    {"for servers only", logging("foo/ns", by("a", in_mode("SERVER"))), "file:client a:server"},
    {"each side its own",
     logging("foo/ns", by("a", in_mode("CLIENT")) + ", " + by("b", in_mode("SERVER"))),
     "a:client b:server"},
    {"disabled for servers",
     logging("foo/ns", by("a") + ", " + by("a", ", disabled: true" + in_mode("SERVER"))),
     "a:client"},
    {"a filter", logging("foo/ns", by("a", filtered("response.code > 1"))), "a[response.code > 1]"},
    {"the last filter of a provider counts",
     logging("istio-system/m", by("a", filtered("x"))) + logging("foo/ns", by("a", filtered("y"))),
     "a[y]"},
    {"a provider named again without one has none",
     logging("istio-system/m", by("a", filtered("x"))) + logging("foo/ns", by("a")), "a"},
    {"each side its filter",
     logging("foo/ns", by("a", in_mode("CLIENT") + filtered("x")) + ", " +
                           by("a", in_mode("SERVER") + filtered("y"))),
     "a[x]:client a[y]:server"},
    {"the built-in envoy", logging("foo/ns", by("envoy")), "envoy"},
    {"a provider that is not there: as if nothing were said", logging("foo/ns", by("c")), "file"},
    {"a provider of traces, too", logging("foo/ns", by("trace")), "file"},
    {"a log service: nothing goes to the file", logging("foo/ns", by("otel")), ""},
    {"a log service beside a file", logging("foo/ns", by("otel") + ", " + by("a")), "a"},
    {"the older of the namespace counts", logging("foo/n1", by("a")) + logging("foo/n2", by("b")),
     "a"},
    {"of those that select the workload the last",
     logging("foo/w1", by("a"), web) + logging("foo/w2", by("b"), web), "b"},
    {"a refused one is as if it were not there",
     logging("foo/ns", "{providers: [{}]}") + logging("istio-system/m", by("a")), "a"},
    {"targetRefs are not for sidecars",
     logging("foo/t", by("a"),
             "targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: g}, "),
     "file"},
};
INSTANTIATE_TEST_SUITE_P(Spec, Loggers, testing::ValuesIn(cases));

TEST(AccessLoggingOf, AGatewayIsAClients) {
  const auto seen =
      look(logging("foo/ns", by("a", in_mode("CLIENT")) + ", " + by("b", in_mode("SERVER"))), "",
           [](CompileInput& input) { input.proxy.type = istio::Proxy::Type::router; });
  EXPECT_EQ(seen.loggers, "a:client");
}

TEST(AccessLoggingOf, AGatewayOfTheGatewayApiIsATarget) {
  const auto seen =
      look(logging("foo/t", by("a"),
                   "targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: g}, "),
           "", [](CompileInput& input) {
             input.proxy.type = istio::Proxy::Type::router;
             input.proxy.labels["gateway.networking.k8s.io/gateway-name"] = "g";
           });
  EXPECT_EQ(seen.loggers, "a:client");
}

TEST(AccessLoggingOf, ALoggerHasWhatItsProviderSays) {
  World world;
  world.input.mesh = istio::decode_mesh_config(mesh_yaml, "mesh").config;
  world.input.proxy.namespace_name = "foo";
  world.add(logging("foo/ns", by("b", filtered("x")) + ", " + by("envoy")));
  std::vector<istio::Finding> findings;
  const auto loggers = access_logging(world.input, findings)->loggers;
  ASSERT_EQ(loggers.size(), 2u);
  EXPECT_EQ(loggers[0].path, "/b");
  EXPECT_EQ(loggers[0].format, "{\"p\":\"P\"}");
  EXPECT_TRUE(loggers[0].json);
  EXPECT_TRUE(loggers[0].omit_empty_values);
  EXPECT_EQ(loggers[0].filter_field, "spec.accessLogging[0].filter.expression");
  EXPECT_EQ(loggers[0].filter_from->text(), "Telemetry foo/ns (rules.yaml:2)");
  EXPECT_EQ(loggers[0].filter_line, 5);
  // The built-in one has meshConfig's format, and its own place.
  EXPECT_EQ(loggers[1].path, "/dev/stdout");
  EXPECT_EQ(loggers[1].format, "mesh");
  EXPECT_FALSE(loggers[1].json);
}

struct Told {
  const char* what;
  std::string yaml, finding;
  std::string mesh = "";
};
void PrintTo(const Told& c, std::ostream* out) { *out << c.what; }
class LoggingFindings : public testing::TestWithParam<Told> {};
TEST_P(LoggingFindings, AreNamed) {
  const auto expected = GetParam().finding.empty() ? "" : GetParam().finding + "\n";
  EXPECT_EQ(look(GetParam().yaml, GetParam().mesh).findings, expected);
}
const std::string entry = "rules.yaml:5: warning: Telemetry foo/ns: spec.accessLogging[0].";
const Told told[] = {
    {"nothing is wrong", logging("foo/ns", by("a")), ""},
    {"a provider that is not there", logging("foo/ns", by("c")),
     entry + "providers[0].name: no provider \"c\" is among meshConfig.extensionProviders: nothing "
             "is logged by it"},
    {"a log service", logging("foo/ns", by("otel")),
     entry + "providers[0].name: provider \"otel\" is of kind envoyOtelAls, which is not "
             "supported: nothing is logged by it"},
    {"a tracer", logging("foo/ns", by("trace")),
     entry + "providers[0].name: provider \"trace\" is of kind zipkin, which is not one of access "
             "logs: nothing is logged by it"},
    {"one that is only switched off", logging("foo/ns", by("c", ", disabled: true")), ""},
    {"a filter without a provider", logging("foo/ns", "{filter: {expression: x}}"),
     entry + "filter: has no effect: a filter is for the providers that its entry names, and this "
             "one names none",
     default_a},
    {"no provider at all", logging("foo/ns", "{}"),
     entry + "providers: IST0157: with empty providers, and without "
             "meshConfig.defaultProviders.accessLogging, it is ignored"},
    {"none, but a default", logging("foo/ns", "{}"), "", default_a},
    {"a default that is not there", "",
     "warning: MeshConfig: defaultProviders.accessLogging[1]: no provider \"c\" is among "
     "meshConfig.extensionProviders: nothing is logged by it",
     "defaultProviders: {accessLogging: [a, c]}\n"},
    {"two of the namespace", logging("foo/m", by("a")) + logging("foo/ns", by("b")),
     "rules.yaml:7: warning: Telemetry foo/ns: spec.selector: IST0160: has no effect: Telemetry "
     "foo/m (rules.yaml:2) is older, and a namespace has one Telemetry without a workload "
     "selector"},
    {"two of the workload", logging("foo/m", by("a"), web) + logging("foo/ns", by("b"), web),
     "rules.yaml:7: warning: Telemetry foo/ns: spec.selector: IST0159: selects the same workload "
     "as "
     "the older Telemetry foo/m (rules.yaml:2); both are applied, this one last"},
};
INSTANTIATE_TEST_SUITE_P(Spec, LoggingFindings, testing::ValuesIn(told));

TEST(AccessLoggingOf, ASnapshotIsThere) {
  World world;
  world.input.mesh.access_log_file = "/dev/stdout";
  world.compile();
  ASSERT_TRUE(world.snapshot().access_logging);
  EXPECT_EQ(world.snapshot().access_logging->loggers.size(), 1u);
}

}  // namespace
}  // namespace sallyport::mesh
