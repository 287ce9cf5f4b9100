// `sallyport inject`: which values of Istio's annotations are refused, and what is only warned of.
#include "agent/cli/inject_annotations.h"

#include <gtest/gtest.h>

#include "agent/cli/injector.h"

namespace sallyport::cli {
namespace {

struct Value {
  const char *name, *value;
};
void PrintTo(const Value& value, std::ostream* out) { *out << value.name << ": " << value.value; }

// pkg/kube/inject/inject_test.go's words, and the edges of each rule.
class RefusedAnnotation : public testing::TestWithParam<Value> {};
TEST_P(RefusedAnnotation, IsNamedWithItsValue) {
  const auto refused = refused_annotation({{GetParam().name, GetParam().value}});
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->name, GetParam().name);
  EXPECT_NE(refused->reason.find(GetParam().name), std::string::npos) << refused->reason;
}
INSTANTIATE_TEST_SUITE_P(
    Spec, RefusedAnnotation,
    testing::Values(Value{"traffic.sidecar.istio.io/includeInboundPorts", "80,abc"},
                    Value{"traffic.sidecar.istio.io/includeInboundPorts", "80,,81"},
                    Value{"traffic.sidecar.istio.io/excludeInboundPorts", "*"},
                    Value{"traffic.sidecar.istio.io/excludeInboundPorts", "65536"},
                    Value{"traffic.sidecar.istio.io/excludeOutboundPorts", "-1"},
                    Value{"traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.0"},
                    Value{"traffic.sidecar.istio.io/includeOutboundIPRanges", "*,10.0.0.0/8"},
                    Value{"traffic.sidecar.istio.io/excludeOutboundIPRanges", "*"},
                    Value{"traffic.sidecar.istio.io/excludeOutboundIPRanges", "10.0.0.0/33"},
                    Value{"traffic.sidecar.istio.io/excludeInterfaces", "eth0,"},
                    Value{"traffic.sidecar.istio.io/kubevirtInterfaces", "sixteen-letters0"},
                    Value{"istio.io/reroute-virtual-interfaces", "eth0;reboot"},
                    Value{"sidecar.istio.io/interceptionMode", "redirect"},
                    Value{"status.sidecar.istio.io/port", "http"},
                    Value{"readiness.status.sidecar.istio.io/periodSeconds", "1s"},
                    Value{"readiness.status.sidecar.istio.io/failureThreshold", "-1"},
                    Value{"prometheus.istio.io/merge-metrics", "yes"},
                    Value{"sidecar.istio.io/proxyCPU", "100 m"},
                    Value{"sidecar.istio.io/proxyMemory", "128MB"},
                    Value{"sidecar.istio.io/proxyMemoryLimit", "lots\n"},
                    Value{"proxy.istio.io/config", "concurrency: many"}));

class TakenAnnotation : public testing::TestWithParam<Value> {};
TEST_P(TakenAnnotation, IsTaken) {
  const auto refused = refused_annotation({{GetParam().name, GetParam().value}});
  EXPECT_FALSE(refused) << refused->reason;
}
INSTANTIATE_TEST_SUITE_P(
    Spec, TakenAnnotation,
    testing::Values(
        Value{"traffic.sidecar.istio.io/includeInboundPorts", "*"},
        Value{"traffic.sidecar.istio.io/includeInboundPorts", ""},
        Value{"traffic.sidecar.istio.io/excludeInboundPorts", "80, 443"},
        Value{"traffic.sidecar.istio.io/includeOutboundIPRanges", "*"},
        Value{"traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.0/8,fd00::/8"},
        Value{"traffic.sidecar.istio.io/excludeInterfaces", "eth0, net1.5"},
        Value{"sidecar.istio.io/interceptionMode", "NONE"},
        Value{"status.sidecar.istio.io/port", "0"}, Value{"prometheus.istio.io/merge-metrics", "F"},
        Value{"sidecar.istio.io/proxyCPU", "0.5"}, Value{"sidecar.istio.io/proxyCPULimit", "1500m"},
        Value{"sidecar.istio.io/proxyMemory", "128Mi"},
        Value{"sidecar.istio.io/proxyMemoryLimit", "1e9"},
        Value{"proxy.istio.io/config", "concurrency: 2"}, Value{"proxy.istio.io/config", ""}));

std::string only_note(const std::string& name, const std::string& value) {
  const auto notes = unknown_annotations({{name, value}});
  EXPECT_EQ(notes.size(), 1U) << name;
  return notes.empty() ? "" : notes[0].reason;
}

TEST(UnknownAnnotation, NamesTheOneThatWasMeant) {
  EXPECT_EQ(only_note("traffic.sidecar.istio.io/includeInboundPort", "80"),
            "annotation traffic.sidecar.istio.io/includeInboundPort is not Istio's, has no effect; "
            "did you mean \"traffic.sidecar.istio.io/includeInboundPorts\"?");
  EXPECT_NE(only_note("sidecar.istio.io/excludeOutboundPorts", "80")
                .find("did you mean \"traffic.sidecar.istio.io/excludeOutboundPorts\"?"),
            std::string::npos)
      << "a right name under a wrong prefix";
}

TEST(UnknownAnnotation, AFieldOfTheProxyConfigToo) {
  EXPECT_EQ(only_note("proxy.istio.io/config", "holdApplicationUntilProxyStart: true"),
            "proxy.istio.io/config: holdApplicationUntilProxyStart: unknown field, has no effect; "
            "did you mean \"holdApplicationUntilProxyStarts\"?");
}

TEST(UnknownAnnotation, OthersAnnotationsAreTheirs) {
  EXPECT_TRUE(unknown_annotations({{"prometheus.io/scrape", "true"},
                                   {"example.com/sidecar.istio.io", "x"},
                                   {"sidecar.istio.io/proxyCPU", "1"}})
                  .empty());
}

std::string pod(const std::string& metadata) {
  return "kind: Pod\nmetadata:\n  name: p\n" + metadata + "spec: {containers: [{name: a}]}\n";
}

TEST(InjectAnnotations, ARefusedOneStopsTheInjectionAtItsLine) {
  const auto result =
      inject(pod("  annotations:\n    traffic.sidecar.istio.io/includeInboundPorts: \"80,abc\"\n"),
             "p.yaml");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().context,
            "p.yaml:5: invalid value '80,abc' for annotation "
            "'traffic.sidecar.istio.io/includeInboundPorts': failed parsing port 'abc'");
}

bool has_sidecar(const Injected& injected) {
  return injected.text.find("istio-proxy") != std::string::npos;
}
std::string warning_of(const Injected& injected, const std::string& part) {
  for (const std::string& warning : injected.warnings)
    if (warning.find(part) != std::string::npos) return warning;
  return {};
}

// pkg/kube/inject/inject.go injectRequired, of 1.27 and later.
TEST(InjectWish, OnlyTrueAndFalseAreWords) {
  for (const char* map : {"labels", "annotations"}) {
    const auto wish = [&](const std::string& word) {
      auto result = inject(
          pod("  " + std::string(map) + ":\n    sidecar.istio.io/inject: \"" + word + "\"\n"), "p");
      return result ? *result : Injected{};
    };
    EXPECT_FALSE(has_sidecar(wish("false")));
    EXPECT_TRUE(warning_of(wish("false"), "inject").empty());
    EXPECT_TRUE(has_sidecar(wish("true")));
    EXPECT_TRUE(warning_of(wish("true"), "invalid value").empty());
    for (const char* word : {"False", "no", "off", "0"}) {
      const Injected injected = wish(word);
      EXPECT_TRUE(has_sidecar(injected)) << word;
      EXPECT_EQ(warning_of(injected, "invalid value"),
                "p:5: Pod default/p: invalid value for sidecar.istio.io/inject: \"" +
                    std::string(word) +
                    "\": only 'true' and 'false' are accepted; injected, as pods are that say "
                    "nothing");
    }
  }
}

TEST(InjectIdentity, AMemberOfTheMeshWithoutASourceOfIdentitiesIsWarnedOf) {
  const auto warned = [](const std::string& metadata, const InjectOptions& options = {}) {
    const auto result = inject(pod(metadata), "p", options);
    EXPECT_TRUE(result) << result.error().context;
    EXPECT_NE(result->text.find("security.istio.io/tlsMode"), std::string::npos);
    return !warning_of(*result, "without a source of identities").empty();
  };
  EXPECT_TRUE(warned(""));
  EXPECT_FALSE(
      warned("", {.mesh = {.default_config = "{proxyMetadata: {CA_ADDR: \"ca:15012\"}}"}}));
  EXPECT_FALSE(warned("", {.mesh = {.auto_mtls = false}}));
  const auto config = [](const std::string& metadata) {
    return "  annotations:\n    proxy.istio.io/config: 'proxyMetadata: {" + metadata + "}'\n";
  };
  EXPECT_FALSE(warned(config("CA_ADDR: \"ca:15012\"")));
  EXPECT_FALSE(warned(config("FILE_MOUNTED_CERTS: \"true\"")));
  EXPECT_TRUE(warned(config("FILE_MOUNTED_CERTS: \"false\"")));
  EXPECT_FALSE(warned(config("SPIFFE_ENDPOINT_SOCKET: \"unix:///run/spire/agent.sock\"")));
  EXPECT_FALSE(
      warned("  annotations:\n"
             "    sidecar.istio.io/userVolume: '{\"c\": {\"csi\": {\"driver\": \"d\"}}}'\n"
             "    sidecar.istio.io/userVolumeMount: '{\"c\": {\"mountPath\": "
             "\"/var/run/secrets/workload-spiffe-credentials\"}}'\n"));
}

TEST(Inject, ADeploymentConfigIsInjectedAsADeployment) {
  const auto result = inject(
      "apiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nmetadata: {name: d}\nspec:\n"
      "  template:\n    spec:\n      containers:\n      - name: a\n",
      "d");
  ASSERT_TRUE(result) << result.error().context;
  EXPECT_TRUE(has_sidecar(*result));
  EXPECT_NE(result->text.find(
                "kubernetes://apis/apps.openshift.io/v1/namespaces/default/deploymentconfigs/d"),
            std::string::npos);
}

}  // namespace
}  // namespace sallyport::cli
