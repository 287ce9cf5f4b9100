// Telemetry and meshConfig's providers: what is read, and what Istio's validation refuses
// (istio/istio:pkg/config/validation, and the CRD).
#include "agent/istio/telemetry.h"

#include "tests/unit/istio/decoding.h"

namespace sallyport::istio {
namespace {

// `spec` in flow style, on line 4.
std::string telemetry(const std::string& spec, const std::string& version = "v1") {
  return "apiVersion: telemetry.istio.io/" + version +
         "\nkind: Telemetry\nmetadata: {name: x, namespace: foo}\nspec: " + spec + "\n";
}

TEST(TelemetryDecoding, ReadsAccessLogging) {
  const auto read = only<Telemetry>(
      "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: x}\n"
      "spec:\n"
      "  selector: {matchLabels: {app: web}}\n"
      "  accessLogging:\n"
      "  - providers: [{name: envoy}, {name: otel}]\n"
      "    match: {mode: CLIENT}\n"
      "    filter:\n"
      "      expression: response.code >= 400\n"
      "  - disabled: true\n");
  EXPECT_EQ(read.selector->at("app"), "web");
  EXPECT_FALSE(is_for_all(read));
  ASSERT_EQ(read.access_logging.size(), 2u);
  const AccessLogging& first = read.access_logging[0];
  EXPECT_EQ(first.providers, (std::vector<std::string>{"envoy", "otel"}));
  EXPECT_EQ(first.mode, WorkloadMode::client);
  EXPECT_FALSE(first.disabled);
  EXPECT_EQ(first.filter, "response.code >= 400");
  EXPECT_EQ(first.filter_line, 10);
  EXPECT_EQ(first.line, 7);
  const AccessLogging& second = read.access_logging[1];
  EXPECT_TRUE(second.providers.empty());
  EXPECT_EQ(second.mode, WorkloadMode::client_and_server);
  EXPECT_EQ(second.disabled, true);
}

TEST(TelemetryDecoding, ReadsMetrics) {
  const auto read = only<Telemetry>(telemetry(
      "{metrics: [{providers: [{name: prometheus}], reportingInterval: 10s, overrides: ["
      "{match: {metric: REQUEST_COUNT, mode: SERVER}, disabled: false, tagOverrides: "
      "{destination_port: {value: string(destination.port)}, source_app: {operation: REMOVE}}},"
      "{match: {customMetric: mine}}]}]}"));
  ASSERT_EQ(read.metrics.size(), 1u);
  const Metrics& metrics = read.metrics[0];
  EXPECT_EQ(metrics.providers, std::vector<std::string>{"prometheus"});
  EXPECT_EQ(metrics.reporting_interval, std::chrono::milliseconds(10'000));
  ASSERT_EQ(metrics.overrides.size(), 2u);
  const MetricsOverride& count = metrics.overrides[0];
  EXPECT_EQ(count.metric, IstioMetric::request_count);
  EXPECT_EQ(count.mode, WorkloadMode::server);
  EXPECT_EQ(count.disabled, false);
  ASSERT_EQ(count.tags.size(), 2u);
  EXPECT_EQ(count.tags[0].name, "destination_port");
  EXPECT_EQ(count.tags[0].expression, "string(destination.port)");
  EXPECT_TRUE(count.tags[1].remove);
  EXPECT_EQ(metrics.overrides[1].custom_metric, "mine");
}

TEST(TelemetryDecoding, ReadsTracing) {
  const auto read = only<Telemetry>(
      telemetry("{tracing: [{providers: [{name: zipkin}], match: {mode: CLIENT}, "
                "randomSamplingPercentage: 12.5, disableSpanReporting: false, "
                "useRequestIdForTraceSampling: true, enableIstioTags: false, "
                "disableContextPropagation: true, customTags: {a: {literal: {value: x}}, "
                "b: {environment: {name: E, defaultValue: e}}, c: {header: {name: h}}, "
                "d: {formatter: {value: '%REQ(A)%'}}}}]}"));
  ASSERT_EQ(read.tracing.size(), 1u);
  const Tracing& tracing = read.tracing[0];
  EXPECT_EQ(tracing.sampling_percentage, 12.5);
  EXPECT_EQ(tracing.disable_span_reporting, false);
  EXPECT_EQ(tracing.request_id_sampling, true);
  EXPECT_EQ(tracing.istio_tags, false);
  EXPECT_EQ(tracing.disable_context_propagation, true);
  EXPECT_EQ(tracing.mode, WorkloadMode::client);
  ASSERT_EQ(tracing.custom_tags.size(), 4u);
  EXPECT_EQ(tracing.custom_tags[1].from, TracingTag::From::environment);
  EXPECT_EQ(tracing.custom_tags[1].value, "E");
  EXPECT_EQ(tracing.custom_tags[1].default_value, "e");
  EXPECT_EQ(tracing.custom_tags[3].from, TracingTag::From::formatter);
}

TEST(TelemetryDecoding, ReadsTargetRefs) {
  const std::string gateway = "{group: gateway.networking.k8s.io, kind: Gateway, name: g}";
  for (const auto& spec : {"{targetRef: " + gateway + "}", "{targetRefs: [" + gateway + "]}"}) {
    const auto read = only<Telemetry>(telemetry(spec));
    ASSERT_EQ(read.target_refs.size(), 1u) << spec;
    EXPECT_EQ(read.target_refs[0].kind, "Gateway");
    EXPECT_EQ(read.target_refs[0].name, "g");
    EXPECT_FALSE(is_for_all(read));
  }
}

TEST(TelemetryDecoding, AnEmptyOneIsForAll) {
  for (const char* spec : {"{}", "", "{selector: {}}"})
    EXPECT_TRUE(is_for_all(only<Telemetry>(telemetry(spec)))) << spec;
}

TEST(TelemetryDecoding, HasTwoVersions) {
  for (const char* version : {"v1", "v1alpha1"})
    EXPECT_TRUE(complaints(telemetry("{}", version)).empty()) << version;
  EXPECT_EQ(
      complaints(telemetry("{}", "v1beta1")),
      std::vector<std::string>{"1: apiVersion: no such version: \"telemetry.istio.io/v1beta1\""});
}

struct Case {
  const char* name;
  std::string spec;
  std::vector<std::string> complaints;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const std::string log_is = "4: spec.accessLogging[0]";
const std::string tracing_later = "4: spec.tracing: not supported yet, has no effect";
const std::string tag = "4: spec.tracing[0].customTags.a";
const std::string target = "{group: gateway.networking.k8s.io, kind: Gateway, name: g}";
const Case cases[] = {
    {"a provider without a name",
     "{accessLogging: [{providers: [{}]}]}",
     {log_is + ".providers[0].name: providers.name may not be empty"}},
    {"a mode that is none",
     "{accessLogging: [{match: {mode: INBOUND}}]}",
     {log_is + ".match.mode: unsupported value \"INBOUND\", supported: CLIENT_AND_SERVER, CLIENT, "
               "SERVER"}},
    {"an empty filter",
     "{accessLogging: [{filter: {}}]}",
     {log_is + ".filter.expression: must be a valid CEL expression"}},
    {"a misspelt field warns",
     "{accessLogging: [{disable: true}]}",
     {log_is + ".disable: unknown field, has no effect; did you mean \"disabled\"?"}},
    {"tracing is read, and said to wait", "{metrics: [{}], tracing: [{}]}", {tracing_later}},
    {"an upsert without a value",
     "{metrics: [{overrides: [{tagOverrides: {a: {}}}]}]}",
     {"4: spec.metrics[0].overrides[0].tagOverrides.a.value: tagOverrides.value must be set when "
      "operation is UPSERT"}},
    {"a removal with a value",
     "{metrics: [{overrides: [{tagOverrides: {a: {operation: REMOVE, value: b}}}]}]}",
     {"4: spec.metrics[0].overrides[0].tagOverrides.a.value: tagOverrides.value may only be set "
      "when operation is UPSERT"}},
    {"a tag of null",
     "{metrics: [{overrides: [{tagOverrides: {a: }}]}]}",
     {"4: spec.metrics[0].overrides[0].tagOverrides.a: may not be null"}},
    {"two metrics in one match",
     "{metrics: [{overrides: [{match: {metric: REQUEST_COUNT, customMetric: a}}]}]}",
     {"4: spec.metrics[0].overrides[0].match.customMetric: only one of metric, customMetric can be "
      "set"}},
    {"a percentage beyond 100",
     "{tracing: [{randomSamplingPercentage: 101}]}",
     {"4: spec.tracing[0].randomSamplingPercentage: 101 is not a number from 0 to 100",
      tracing_later}},
    {"an empty literal",
     "{tracing: [{customTags: {a: {literal: {}}}}]}",
     {tag + ".literal.value: literal tag value may not be empty", tracing_later}},
    {"a tag from two places",
     "{tracing: [{customTags: {a: {literal: {value: b}, header: {name: c}}}}]}",
     {tag + ": only one of literal, environment, header, formatter can be set", tracing_later}},
    {"several tracings, several providers",
     "{tracing: [{providers: [{name: a}, {name: b}]}, {}]}",
     {"4: spec.tracing[0].providers: multiple providers is not currently supported",
      "4: spec.tracing: multiple tracing is not currently supported", tracing_later}},
    {"a selector and a target",
     "{selector: {matchLabels: {a: b}}, targetRef: " + target + "}",
     {"4: spec.selector: only one of targetRefs or workloadSelector can be set"}},
    {"a target of another kind",
     "{targetRef: {kind: Pod, name: p}}",
     {"4: spec.targetRef.kind: targetRef must be to a Service, ServiceEntry, Gateway or "
      "GatewayClass but was \"/Pod\""}},
    {"a selector with a wildcard",
     "{selector: {matchLabels: {a: '*'}}}",
     {"4: spec.selector.matchLabels: wildcard is not supported in selector: \"a=*\""}},
};
class TelemetryFindings : public testing::TestWithParam<Case> {};
TEST_P(TelemetryFindings, NameTheField) {
  EXPECT_EQ(complaints(telemetry(GetParam().spec)), GetParam().complaints);
}
INSTANTIATE_TEST_SUITE_P(Spec, TelemetryFindings, testing::ValuesIn(cases));

TEST(Providers, OfFilesAreRead) {
  const auto read = decode_mesh_config(
      "extensionProviders:\n"
      "- name: text\n"
      "  envoyFileAccessLog:\n"
      "    path: /var/log/a\n"
      "    logFormat:\n"
      "      text: '%PROTOCOL%'\n"
      "    omitEmptyValues: true\n"
      "- name: labels\n"
      "  envoyFileAccessLog:\n"
      "    logFormat: {labels: {a: '%REQ(\"x)%', n: 0x10, r: 1.50, t: yes, e: , o: {l: [a, 1]}}}\n"
      "- name: default-labels\n"
      "  envoyFileAccessLog: {logFormat: {labels: {}}}\n"
      "- name: plain\n"
      "  envoyFileAccessLog: {}\n"
      "- name: trace\n"
      "  zipkin: {service: z, port: 9411}\n"
      "defaultProviders: {accessLogging: [text], metrics: [prometheus], tracing: [trace]}\n",
      "mesh.yaml");
  EXPECT_TRUE(read.findings.empty()) << testing::PrintToString(texts(read.findings));
  const auto& all = read.config.extension_providers;
  ASSERT_EQ(all.size(), 5u);
  EXPECT_EQ(all[0].path, "/var/log/a");
  EXPECT_EQ(all[0].format, "%PROTOCOL%");
  EXPECT_TRUE(all[0].omit_empty_values);
  EXPECT_FALSE(all[0].json);
  EXPECT_TRUE(all[1].json);
  EXPECT_EQ(all[1].path, "/dev/stdout");
  EXPECT_EQ(all[1].format,
            "{\"a\":\"%REQ(\\\"x)%\",\"n\":16,\"r\":1.5,\"t\":true,\"e\":null,\"o\":{\"l\":[\"a\","
            "1]}}");
  EXPECT_TRUE(all[2].json);
  EXPECT_EQ(all[2].format, "");
  EXPECT_FALSE(all[3].has_format);
  EXPECT_EQ(all[4].kind, "zipkin");
  EXPECT_EQ(read.config.default_providers.access_logging, std::vector<std::string>{"text"});
  EXPECT_EQ(read.config.default_providers.metrics, std::vector<std::string>{"prometheus"});
  EXPECT_EQ(read.config.default_providers.tracing, std::vector<std::string>{"trace"});
}

TEST(Providers, ThatAreWrongAreNamed) {
  const auto read = decode_mesh_config(
      "extensionProviders:\n"
      "- name: a\n"
      "  prometheus: {}\n"
      "- name: a\n"
      "  envoyFileAccessLog: {logFormat: {text: a, labels: {}}}\n"
      "- zipkin: {}\n"
      "- name: b\n"
      "- name: c\n"
      "  zipkin: {}\n"
      "  datadog: {}\n"
      "- name: d\n"
      "  envoyFileAccessLog: {paht: b}\n",
      "m");
  const std::string of = "MeshConfig: extensionProviders";
  EXPECT_EQ(texts(read.findings),
            (std::vector<std::string>{
                "m:5: " + of +
                    "[1].envoyFileAccessLog.logFormat.labels: only one of text, labels can be set",
                "m:4: " + of + "[1].name: duplicate extension provider name a",
                "m:6: " + of + "[2].name: empty extension provider name",
                "m:7: " + of + "[3]: unsupported provider: none that is known is given",
                "m:10: " + of + "[4].datadog: only one of zipkin, datadog can be set",
                "m:12: warning: " + of +
                    "[5].envoyFileAccessLog.paht: unknown field, has no effect; did you mean "
                    "\"path\"?"}));
}

TEST(Providers, AreFoundByNameBesideTheBuiltInOnes) {
  const auto* envoy = find_provider({}, "Envoy");
  ASSERT_TRUE(envoy);
  EXPECT_EQ(envoy->kind, file_access_log);
  EXPECT_EQ(envoy->path, "/dev/stdout");
  EXPECT_TRUE(uses_mesh_format(*envoy));
  EXPECT_EQ(find_provider({}, "prometheus")->kind, "prometheus");
  EXPECT_FALSE(find_provider({}, "mine"));
  const std::vector<ExtensionProvider> given{
      {.name = "mine", .kind = "zipkin"},
      {.name = "envoy", .kind = std::string(file_access_log), .path = "/f", .has_format = true}};
  EXPECT_EQ(find_provider(given, "MINE")->kind, "zipkin");
  EXPECT_EQ(find_provider(given, "envoy")->path, "/f");
  EXPECT_FALSE(uses_mesh_format(*find_provider(given, "envoy")));
}

}  // namespace
}  // namespace sallyport::istio
