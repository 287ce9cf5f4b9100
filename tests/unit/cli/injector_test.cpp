// `sallyport inject`: what it adds, what it leaves alone, and that the author's text stays.
#include "agent/cli/injector.h"
#include "agent/cli/inject_mesh.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

namespace sallyport::cli {
namespace {

const char* const deployment = R"(# Our client.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: sleep   # as in the docs
spec:
  replicas: 1
  template:
    metadata:
      labels:
        app: sleep
        version: "1.10"
    spec:
      containers:
      - name: sleep
        image: curlimages/curl
        command: ["/bin/sleep", 'infinity']
        unknownField: {kept: yes}
      # the end of the containers
      terminationGracePeriodSeconds: 0
---
# not a workload
kind: ConfigMap
apiVersion: v1
)";

std::string injected(const std::string& text) {
  const auto result = inject(text, "t.yaml");
  EXPECT_TRUE(result) << result.error().context;
  return result ? result->text : std::string();
}

std::string mesh_of(const std::string& default_config) {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
         "data:\n  mesh: |\n    trustDomain: here\n    defaultConfig: " +
         default_config + "\n";
}

TEST(Inject, TheMeshsDefaultConfigLiesUnderThePodsOwn) {
  const auto found = mesh_settings_among(
      std::string(deployment) + "---\n" +
          mesh_of("{proxyMetadata: {CA_ADDR: \"ca:15012\", A: mesh, B: mesh}, statusPort: 15099}"),
      "all.yaml");
  ASSERT_TRUE(found && *found);
  std::string text = deployment;
  const std::string labels = "      labels:\n";
  text.insert(text.find(labels),
              "      annotations: {proxy.istio.io/config: \"proxyMetadata: {B: pod}\"}\n");
  const auto result = inject(text, "t.yaml", {.mesh = **found});
  ASSERT_TRUE(result) << result.error().context;
  const auto pod = YAML::LoadAll(result->text)[0]["spec"]["template"]["spec"];
  std::map<std::string, std::string> environment;
  for (const auto& container : pod["containers"]) {
    if (container["name"].as<std::string>() != "istio-proxy") continue;
    for (const auto& each : container["env"])
      environment[each["name"].as<std::string>()] = each["value"].as<std::string>("");
  }
  EXPECT_EQ(environment["A"], "mesh");
  EXPECT_EQ(environment["B"], "pod");
  EXPECT_EQ(environment["CA_ADDR"], "ca:15012");
  EXPECT_EQ(environment["PROXY_CONFIG"], "proxyMetadata: {B: pod}") << "the annotation's alone";
  EXPECT_NE(result->text.find("15099"), std::string::npos) << "the status port";
  EXPECT_NE(result->text.find("istio-token"), std::string::npos);
}

TEST(Inject, TheMeshsSettingsComeFromAFileOfEitherForm) {
  EXPECT_EQ(mesh_settings_of_file("defaultConfig: {statusPort: 1}", "m.yaml")->default_config,
            mesh_settings_of_file(mesh_of("{statusPort: 1}"), "m.yaml")->default_config);
  EXPECT_EQ(mesh_settings_of_file("trustDomain: here", "m.yaml")->default_config, "{}");
  const auto broken = mesh_settings_of_file("defaultConfig: {statusPort: 1", "m.yaml");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().context.rfind("m.yaml:", 0), 0u) << broken.error().context;
  const auto other = mesh_settings_among(
      "kind: ConfigMap\nmetadata: {name: istio, namespace: other}\ndata: {mesh: \"{}\"}\n", "m");
  EXPECT_FALSE(*other) << "another namespace's";
}

TEST(Inject, APodThatNamesACaGetsItsTokenAndTheCasRoot) {
  const std::string plain = injected(deployment);
  EXPECT_EQ(plain.find("istio-token"), std::string::npos);
  std::string text = deployment;
  const std::string labels = "      labels:\n";
  text.insert(text.find(labels),
              "      annotations:\n        proxy.istio.io/config: |\n          proxyMetadata: "
              "{CA_ADDR: \"istiod.istio-system.svc:15012\"}\n");
  const auto pod = YAML::LoadAll(injected(text))[0]["spec"]["template"]["spec"];
  std::map<std::string, YAML::Node> volumes;
  for (const auto& volume : pod["volumes"])
    volumes[volume["name"].as<std::string>()] = static_cast<const YAML::Node&>(volume);
  const auto token = volumes["istio-token"]["projected"]["sources"][0]["serviceAccountToken"];
  EXPECT_EQ(token["audience"].as<std::string>(), "istio-ca");
  EXPECT_EQ(token["path"].as<std::string>(), "istio-token");
  EXPECT_EQ(volumes["istiod-ca-cert"]["configMap"]["name"].as<std::string>(), "istio-ca-root-cert");
  std::map<std::string, std::string> mounts;
  for (const auto& container : pod["containers"]) {
    if (container["name"].as<std::string>() != "istio-proxy") continue;
    for (const auto& mount : container["volumeMounts"])
      mounts[mount["name"].as<std::string>()] = mount["mountPath"].as<std::string>();
  }
  EXPECT_EQ(mounts["istio-token"], "/var/run/secrets/tokens");
  EXPECT_EQ(mounts["istiod-ca-cert"], "/var/run/secrets/istio");
}

YAML::Node pod_spec(const std::string& text) {
  return YAML::LoadAll(text).at(0)["spec"]["template"]["spec"];
}

YAML::Node container(const YAML::Node& list, const std::string& name) {
  for (const auto& each : list) {
    if (each["name"].as<std::string>() == name) return each;
  }
  return YAML::Node(YAML::NodeType::Null);
}

std::string arguments(const YAML::Node& list) {
  std::string joined;
  for (const auto& each : list) joined += (joined.empty() ? "" : " ") + each.as<std::string>();
  return joined;
}

TEST(Inject, AddsTheInitContainerAsIstioDoes) {
  const YAML::Node init = container(pod_spec(injected(deployment))["initContainers"], "istio-init");
  ASSERT_TRUE(init.IsMap());
  EXPECT_EQ(arguments(init["args"]),
            "init -p 15001 -z 15006 -u 1337 -m REDIRECT -i * -x  -b * -d 15090,15021,15020");
  EXPECT_EQ(arguments(init["securityContext"]["capabilities"]["add"]), "NET_ADMIN NET_RAW");
  EXPECT_EQ(init["securityContext"]["runAsUser"].as<int>(), 0);
}

TEST(Inject, AddsTheSidecarAsUid1337WithItsIdentityAndProbe) {
  const YAML::Node spec = pod_spec(injected(deployment)),
                   proxy = container(spec["containers"], "istio-proxy");
  ASSERT_TRUE(proxy.IsMap());
  EXPECT_EQ(arguments(proxy["args"]).substr(0, 8), "sidecar ");
  EXPECT_EQ(proxy["securityContext"]["runAsUser"].as<int>(), 1337);
  EXPECT_EQ(proxy["readinessProbe"]["httpGet"]["path"].as<std::string>(), "/healthz/ready");
  EXPECT_EQ(proxy["readinessProbe"]["httpGet"]["port"].as<int>(), 15021);
  for (const char* name : {"POD_NAME", "POD_NAMESPACE", "INSTANCE_IP", "SERVICE_ACCOUNT"}) {
    EXPECT_TRUE(container(proxy["env"], name)["valueFrom"]["fieldRef"].IsMap()) << name;
  }
  EXPECT_EQ(spec["volumes"].size(), 3U);
  EXPECT_EQ(spec["containers"][0]["name"].as<std::string>(), "sleep")
      << "the application stays first";
}

TEST(Inject, KeepsEveryByteOfTheAuthors) {
  const std::string text = deployment, result = injected(text);
  std::size_t at = 0;
  for (std::size_t start = 0; start < text.size();) {  // every line, in order, unchanged
    const std::size_t end = text.find('\n', start) + 1;
    at = result.find(text.substr(start, end - start), at);
    ASSERT_NE(at, std::string::npos) << text.substr(start, end - start);
    at += end - start;
    start = end;
  }
}

TEST(Inject, TwiceIsAsOnce) {
  const std::string once = injected(deployment);
  EXPECT_EQ(injected(once), once);
}

TEST(Inject, LeavesTextWithoutWorkloadsAsItIs) {
  for (const char* text : {"", "# nothing\n", "kind: Service\n", "a: 1\n---\n- b\n", "just text"}) {
    EXPECT_EQ(injected(text), text);
  }
}

struct Layout {
  const char* what;
  const char* text;
};

class InjectLayout : public testing::TestWithParam<Layout> {};

TEST_P(InjectLayout, IsEditedInItsOwnStyle) {
  const std::string result = injected(GetParam().text);
  const YAML::Node object = YAML::Load(result);
  const YAML::Node pod = object["items"] ? object["items"][0] : object;
  const YAML::Node owner = pod["spec"]["template"] ? pod["spec"]["template"] : pod;
  EXPECT_TRUE(container(owner["spec"]["containers"], "a").IsMap()) << result;
  EXPECT_TRUE(container(owner["spec"]["containers"], "istio-proxy").IsMap()) << result;
  EXPECT_TRUE(container(owner["spec"]["initContainers"], "istio-init").IsMap()) << result;
  EXPECT_TRUE(owner["metadata"]["annotations"]["sidecar.istio.io/status"].IsDefined()) << result;
  EXPECT_EQ(injected(result), result) << "idempotent";
}

INSTANTIATE_TEST_SUITE_P(
    Spec, InjectLayout,
    testing::Values(
        Layout{"JSON",
               R"({"kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"a"}]}})"},
        Layout{"flow inside block",
               "kind: Pod\nmetadata: {name: p, labels: {}}\nspec: {containers: [{name: a}]}\n"},
        Layout{"a sequence as deep as its key",
               "kind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n  - name: a\n"},
        Layout{"a deeper sequence",
               "kind: Pod\nmetadata:\n  name: p\nspec:\n    containers:\n      -   name: a\n"},
        Layout{"no newline at the end",
               "kind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n  - name: a"},
        Layout{"no metadata at all", "kind: Pod\nspec:\n  containers:\n  - name: a\n"},
        Layout{"keys with nothing behind",
               "kind: Pod\nmetadata:\n  labels:\n  annotations:\n  name: p\nspec:\n"
               "  volumes:\n  initContainers: []\n  containers:\n  - name: a\n"},
        Layout{"a List",
               "kind: List\nitems:\n- kind: Pod\n  metadata:\n    name: p\n  spec:\n    "
               "containers:\n    - name: a\n"},
        Layout{"a block scalar in the last container",
               "kind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: a\n    command:\n  "
               "  - sh\n    - |\n"
               "      # not a comment\n\n      echo\n  restartPolicy: Always\n"},
        Layout{"Windows line ends",
               "kind: Pod\r\nmetadata:\r\n  name: p\r\nspec:\r\n  containers:\r\n  - name: a\r\n"},
        Layout{"a comment on every line",
               "kind: Pod # 1\nmetadata: # 2\n  name: p # 3\nspec: # 4\n  containers: # 5\n  # 6\n "
               " - name: a # 7\n# 8\n"}));

struct Exclusion {
  const char* what;
  const char* text;
};

class InjectExclusion : public testing::TestWithParam<Exclusion> {};

TEST_P(InjectExclusion, LeavesThePodAlone) {
  EXPECT_EQ(injected(GetParam().text), GetParam().text);
}

#define POD_WITH(metadata, spec) \
  "kind: Pod\nmetadata: {name: p" metadata "}\nspec: {" spec "containers: [{name: a}]}\n"
INSTANTIATE_TEST_SUITE_P(
    Spec, InjectExclusion,
    testing::Values(Exclusion{"the label",
                              POD_WITH(", labels: {sidecar.istio.io/inject: 'false'}", "")},
                    Exclusion{"the older annotation",
                              POD_WITH(", annotations: {sidecar.istio.io/inject: 'false'}", "")},
                    Exclusion{"host network", POD_WITH("", "hostNetwork: true, ")},
                    Exclusion{"a system namespace", POD_WITH(", namespace: kube-system", "")},
                    Exclusion{"injected by Istio",
                              POD_WITH(", annotations: {sidecar.istio.io/status: '{}'}, x: 1", "")},
                    Exclusion{"a namespace that says so",
                              "kind: Namespace\nmetadata: {name: n, labels: {istio-injection: "
                              "disabled}}\n---\n" POD_WITH(", namespace: n", "")}));

TEST(InjectAnnotations, SetTheRedirectsFlags) {
  const std::string text =
      "kind: Pod\nmetadata:\n  name: p\n  annotations:\n"
      "    traffic.sidecar.istio.io/includeOutboundIPRanges: 10.0.0.0/8\n"
      "    traffic.sidecar.istio.io/excludeOutboundIPRanges: 10.1.0.0/16\n"
      "    traffic.sidecar.istio.io/includeInboundPorts: ''\n"
      "    traffic.sidecar.istio.io/excludeInboundPorts: '81,82'\n"
      "    traffic.sidecar.istio.io/excludeOutboundPorts: '3306'\n"
      "    traffic.sidecar.istio.io/includeOutboundPorts: '8080'\n"
      "spec:\n  containers:\n  - name: a\n";
  const YAML::Node spec = YAML::Load(injected(text))["spec"];
  EXPECT_EQ(arguments(container(spec["initContainers"], "istio-init")["args"]),
            "init -p 15001 -z 15006 -u 1337 -m REDIRECT -i 10.0.0.0/8 -x 10.1.0.0/16 -b  -d "
            "15090,15021,15020,81,82 "
            "-q 8080 -o 3306");
}

TEST(InjectAnnotations, ProxyConfigAndVolumesReachTheSidecar) {
  const std::string text =
      "kind: Pod\nmetadata:\n  name: p\n  annotations:\n"
      "    proxy.istio.io/config: |\n      concurrency: 3\n      proxyMetadata: {SOME_VARIABLE: "
      "'on'}\n"
      "    sidecar.istio.io/userVolume: '{\"certs\": {\"secret\": {\"secretName\": \"s\"}}}'\n"
      "    sidecar.istio.io/userVolumeMount: '{\"certs\": {\"mountPath\": \"/etc/certs\", "
      "\"readOnly\": true}}'\n"
      "spec:\n  containers:\n  - name: a\n";
  const YAML::Node spec = YAML::Load(injected(text))["spec"],
                   proxy = container(spec["containers"], "istio-proxy");
  EXPECT_NE(arguments(proxy["args"]).find("--concurrency 3"), std::string::npos);
  EXPECT_EQ(container(proxy["env"], "SOME_VARIABLE")["value"].as<std::string>(), "on");
  EXPECT_EQ(container(spec["volumes"], "certs")["secret"]["secretName"].as<std::string>(), "s");
  EXPECT_EQ(container(proxy["volumeMounts"], "certs")["mountPath"].as<std::string>(), "/etc/certs");
}

TEST(InjectAnnotations, InterceptionModeNoneMeansNoRules) {
  const std::string text =
      injected(POD_WITH(", annotations: {sidecar.istio.io/interceptionMode: NONE}", ""));
  EXPECT_EQ(text.find("istio-init\""), text.rfind("istio-init\"")) << "no init container: " << text;
  EXPECT_FALSE(YAML::Load(text)["spec"]["initContainers"].IsDefined());
}

// Istio's template: marks and other people's addresses take NET_ADMIN, and the rules know the proxy
// by its group then.
TEST(InjectAnnotations, TproxyRunsTheProxyAsRootOfItsGroup) {
  const YAML::Node spec = YAML::Load(
      injected(POD_WITH(", annotations: {sidecar.istio.io/interceptionMode: TPROXY}", "")))["spec"];
  EXPECT_NE(
      arguments(container(spec["initContainers"], "istio-init")["args"]).find("-u 1337 -m TPROXY"),
      std::string::npos);
  const YAML::Node proxy = container(spec["containers"], "istio-proxy"),
                   security = proxy["securityContext"];
  EXPECT_EQ(container(proxy["env"], "ISTIO_META_INTERCEPTION_MODE")["value"].as<std::string>(),
            "TPROXY");
  EXPECT_EQ(arguments(security["capabilities"]["add"]), "NET_ADMIN");
  EXPECT_EQ(security["runAsUser"].as<int>(), 0);
  EXPECT_EQ(security["runAsGroup"].as<int>(), 1337);
  EXPECT_FALSE(security["runAsNonRoot"].as<bool>());
}

// It starts as root and goes on as its own user: NET_ADMIN is for the kernel's queue.
TEST(InjectAnnotations, AUdpPolicyGivesTheCapabilitiesThatItTakes) {
  const auto proxy_of = [](const std::string& policy, const std::string& mode) {
    const YAML::Node spec = YAML::Load(injected(POD_WITH(
        ", annotations: {sidecar.istio.io/interceptionMode: " + mode +
            ", proxy.istio.io/config: '{proxyMetadata: {UDP_POLICY: \"" + policy + "\"}}'}",
        "")))["spec"];
    EXPECT_EQ(
        container(container(spec["initContainers"], "istio-init")["env"], "UDP_POLICY")["value"]
            .as<std::string>(),
        policy);
    return YAML::Clone(container(spec["containers"], "istio-proxy"));
  };
  for (const char* policy : {"log", "enforce"}) {
    const YAML::Node proxy = proxy_of(policy, "REDIRECT");
    EXPECT_EQ(arguments(proxy["securityContext"]["capabilities"]["add"]), "NET_ADMIN SETUID");
    EXPECT_EQ(proxy["securityContext"]["runAsUser"].as<int>(), 0);
    EXPECT_EQ(container(proxy["env"], "PROXY_UID")["value"].as<std::string>(), "1337");
  }
  EXPECT_EQ(arguments(proxy_of("log", "TPROXY")["securityContext"]["capabilities"]["add"]),
            "NET_ADMIN")
      << "stays root";
  EXPECT_EQ(proxy_of("off", "REDIRECT")["securityContext"]["runAsUser"].as<int>(), 1337);
}

TEST(InjectAnnotations, CapNetBindServiceGivesTheCapabilityAndRoot) {
  const YAML::Node spec = YAML::Load(injected(
      POD_WITH(", annotations: {sidecar.istio.io/capNetBindService: 'true'}", "")))["spec"];
  const YAML::Node security = container(spec["containers"], "istio-proxy")["securityContext"];
  EXPECT_EQ(arguments(security["capabilities"]["add"]), "NET_BIND_SERVICE");
  EXPECT_EQ(security["runAsUser"].as<int>(), 0);
}

TEST(InjectAnnotations, ANativeSidecarIsAnInitContainerThatStays) {
  const YAML::Node spec = YAML::Load(
      injected(POD_WITH(", annotations: {sidecar.istio.io/nativeSidecar: 'true'}", "")))["spec"];
  EXPECT_EQ(spec["initContainers"][1]["name"].as<std::string>(), "istio-proxy");
  EXPECT_EQ(spec["initContainers"][1]["restartPolicy"].as<std::string>(), "Always");
  EXPECT_EQ(spec["containers"].size(), 1U);
}

class InjectMistake : public testing::TestWithParam<Layout> {};

TEST_P(InjectMistake, IsAnErrorWithItsPlace) {
  const auto result = inject(GetParam().text, "m.yaml");
  ASSERT_FALSE(result) << GetParam().what;
  EXPECT_EQ(result.error().context.substr(0, 7), "m.yaml:") << result.error().context;
}

INSTANTIATE_TEST_SUITE_P(
    Spec, InjectMistake,
    testing::Values(
        Layout{"broken YAML", "kind: Pod\n a: [\n"},
        Layout{"no containers", "kind: Pod\nmetadata: {name: p}\nspec: {containers: []}\n"},
        Layout{"no spec", "kind: Pod\nmetadata: {name: p}\n"},
        Layout{"a mode that isn't there",
               POD_WITH(", annotations: {sidecar.istio.io/interceptionMode: TRANSPARENT}", "")},
        Layout{"broken proxy config", POD_WITH(", annotations: {proxy.istio.io/config: '{'}", "")},
        Layout{"a proxy already",
               "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: istio-proxy}]}\n"},
        Layout{"a written null", "kind: Pod\nmetadata: null\nspec: {containers: [{name: a}]}\n"}));

}  // namespace
}  // namespace sallyport::cli
