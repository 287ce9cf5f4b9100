// `sallyport inject` and the application's probes and hooks; the shapes are those of Istio's own
// golden files (pkg/kube/inject/testdata/inject).
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "agent/cli/injector.h"

namespace sallyport::cli {
namespace {

YAML::Node injected_pod(const std::string& text) {
  const auto result = inject(text, "t.yaml");
  EXPECT_TRUE(result) << result.error().context;
  if (!result) return YAML::Node(YAML::NodeType::Map);
  const auto again = inject(result->text, "t.yaml");
  EXPECT_TRUE(again && again->text == result->text) << "idempotent";
  return YAML::Load(result->text);
}

YAML::Node named(const YAML::Node& list, const std::string& name) {
  for (const auto& each : list) {
    if (each["name"].as<std::string>() == name) return each;
  }
  return YAML::Node(YAML::NodeType::Map);
}

std::string env(const YAML::Node& pod, const std::string& name) {
  for (const char* list : {"containers", "initContainers"}) {
    const YAML::Node proxy = named(pod["spec"][list], "istio-proxy");
    if (proxy["env"]) return named(proxy["env"], name)["value"].as<std::string>("");
  }
  return "no proxy";
}

std::string with_container(const std::string& fields, const std::string& annotations = "") {
  return "kind: Pod\nmetadata:\n  name: p\n  annotations: {" + annotations +
         "}\nspec:\n  containers:\n  - name: web\n    ports:\n    - name: http\n      "
         "containerPort: 8080\n" +
         fields + "    image: web # the end\n";
}

const char* const three_probes =
    "    readinessProbe:\n"
    "      httpGet:\n"
    "        path: /ready  # slow\n"
    "        port: http\n"
    "        scheme: HTTPS\n"
    "        httpHeaders:\n"
    "        - name: Host\n"
    "          value: web.test\n"
    "      timeoutSeconds: 3\n"
    "    livenessProbe:\n"
    "      tcpSocket: {port: 8080, host: other}\n"
    "    startupProbe:\n"
    "      periodSeconds: 2\n"
    "      grpc:\n"
    "        port: 9000\n"
    "        service: 'it is'\n";

TEST(InjectProbes, PointsThemAtTheStatusPort) {
  const YAML::Node web = injected_pod(with_container(three_probes))["spec"]["containers"][0];
  const YAML::Node ready = web["readinessProbe"];
  EXPECT_EQ(ready["httpGet"]["path"].as<std::string>(), "/app-health/web/readyz");
  EXPECT_EQ(ready["httpGet"]["port"].as<int>(), 15020);
  EXPECT_EQ(ready["httpGet"]["scheme"].as<std::string>(), "HTTP");
  EXPECT_EQ(ready["httpGet"]["httpHeaders"][0]["value"].as<std::string>(), "web.test");
  EXPECT_EQ(ready["timeoutSeconds"].as<int>(), 3);
  const YAML::Node live = web["livenessProbe"];
  EXPECT_FALSE(live["tcpSocket"].IsDefined());
  EXPECT_EQ(live["httpGet"]["path"].as<std::string>(), "/app-health/web/livez");
  EXPECT_FALSE(live["httpGet"]["host"].IsDefined()) << "kubelet asks the pod";
  const YAML::Node startup = web["startupProbe"];
  EXPECT_FALSE(startup["grpc"].IsDefined());
  EXPECT_EQ(startup["httpGet"]["path"].as<std::string>(), "/app-health/web/startupz");
  EXPECT_EQ(startup["periodSeconds"].as<int>(), 2);
}

TEST(InjectProbes, TellsTheSidecarWhatTheyWere) {
  EXPECT_EQ(env(injected_pod(with_container(three_probes)), "ISTIO_KUBE_APP_PROBERS"),
            R"({"/app-health/web/livez":{"tcpSocket":{"port":8080,"host":"other"}},)"
            R"("/app-health/web/readyz":{"httpGet":{"path":"/ready","port":8080,"scheme":"HTTPS",)"
            R"("httpHeaders":[{"name":"Host","value":"web.test"}]},"timeoutSeconds":3},)"
            R"("/app-health/web/startupz":{"grpc":{"port":9000,"service":"it is"}}})");
}

TEST(InjectProbes, LifecycleHooksGoTheSameWay) {
  const YAML::Node pod =
      injected_pod(with_container("    lifecycle:\n"
                                  "      preStop: {httpGet: {path: /bye, port: http}}\n"
                                  "      postStart:\n        tcpSocket:\n          port: 8080\n"));
  const YAML::Node hooks = pod["spec"]["containers"][0]["lifecycle"];
  EXPECT_EQ(hooks["preStop"]["httpGet"]["path"].as<std::string>(), "/app-lifecycle/web/prestopz");
  EXPECT_EQ(hooks["postStart"]["httpGet"]["path"].as<std::string>(),
            "/app-lifecycle/web/poststartz");
  EXPECT_EQ(env(pod, "ISTIO_KUBE_APP_PROBERS"),
            R"({"/app-lifecycle/web/poststartz":{"tcpSocket":{"port":8080}},)"
            R"("/app-lifecycle/web/prestopz":{"httpGet":{"path":"/bye","port":8080}}})");
}

TEST(InjectProbes, ExecStays) {
  const std::string probe = "    readinessProbe:\n      exec: {command: [cat, /ready]}\n";
  const auto result = inject(with_container(probe), "t.yaml");
  ASSERT_TRUE(result);
  EXPECT_NE(result->text.find(probe), std::string::npos);
  EXPECT_EQ(result->text.find("ISTIO_KUBE_APP_PROBERS"), std::string::npos);
}

TEST(InjectProbes, WorksInJsonToo) {
  const YAML::Node pod = injected_pod(
      R"({"kind":"Pod","metadata":{"name":"p"},"spec":{"initContainers":[{"name":"early",)"
      R"("restartPolicy":"Always","startupProbe":{"httpGet":{"port":81,"path":"/{x"}}}],)"
      R"("containers":[{"name":"web","livenessProbe":{"tcpSocket":{"port":82}}}]}})");
  EXPECT_EQ(pod["spec"]["initContainers"][0]["startupProbe"]["httpGet"]["path"].as<std::string>(),
            "/app-health/early/startupz");
  EXPECT_EQ(env(pod, "ISTIO_KUBE_APP_PROBERS"),
            R"({"/app-health/early/startupz":{"httpGet":{"path":"/{x","port":81}},)"
            R"("/app-health/web/livez":{"tcpSocket":{"port":82}}})");
}

TEST(InjectProbes, AnAnnotationTurnsThemOff) {
  for (const char* no :
       {"sidecar.istio.io/rewriteAppHTTPProbers: 'false'", "status.sidecar.istio.io/port: '0'"}) {
    const YAML::Node pod = injected_pod(with_container(three_probes, no));
    EXPECT_EQ(pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"].as<std::string>(),
              "/ready")
        << no;
    EXPECT_EQ(env(pod, "ISTIO_KUBE_APP_PROBERS"), "") << no;
  }
}

TEST(InjectProbes, AnotherStatusPortIsAskedAndExcludedFromCapture) {
  const YAML::Node pod =
      injected_pod(with_container(three_probes, "status.sidecar.istio.io/port: '15099'"));
  const YAML::Node spec = pod["spec"];
  EXPECT_EQ(spec["containers"][0]["livenessProbe"]["httpGet"]["port"].as<int>(), 15099);
  bool excluded = false, told = false;
  for (const auto& word : spec["initContainers"][0]["args"])
    excluded |= word.as<std::string>() == "15090,15021,15099";
  for (const auto& word : named(spec["containers"], "istio-proxy")["args"])
    told |= word.as<std::string>() == "--status-port=15099";
  EXPECT_TRUE(excluded);
  EXPECT_TRUE(told);
}

struct Refused {
  const char* fields;
  const char* reason;
};
class InjectProbesRefused : public testing::TestWithParam<Refused> {};

TEST_P(InjectProbesRefused, SaysWhy) {
  const auto result = inject(with_container(GetParam().fields), "t.yaml");
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().context.find(GetParam().reason), std::string::npos)
      << result.error().context;
}

INSTANTIATE_TEST_SUITE_P(
    Spec, InjectProbesRefused,
    testing::Values(
        Refused{"    livenessProbe: {httpGet: {port: metrics}}\n",
                "web.livenessProbe: the container has no port named \"metrics\""},
        Refused{"    livenessProbe: {httpGet: {port: '8080'}}\n", "no port named \"8080\""},
        Refused{"    livenessProbe: &same\n      httpGet: {port: 1}\n    readinessProbe: *same\n",
                "can't edit"},
        Refused{"    livenessProbe:\n      httpGet: &same {port: 1}\n    readinessProbe:\n      "
                "httpGet: *same\n",
                "can't edit"},
        Refused{"    livenessProbe:\n      httpGet:\n        port: 1\n        path: |\n          "
                "/a\n",
                "can't edit"}));

TEST(InjectTemplate, MarksThePodForTheMesh) {
  const YAML::Node metadata = injected_pod(with_container(""))["metadata"];
  EXPECT_EQ(metadata["labels"]["security.istio.io/tlsMode"].as<std::string>(), "istio");
  EXPECT_EQ(metadata["labels"]["service.istio.io/canonical-name"].as<std::string>(), "p");
  EXPECT_EQ(metadata["labels"]["service.istio.io/canonical-revision"].as<std::string>(), "latest");
  EXPECT_EQ(metadata["annotations"]["istio.io/rev"].as<std::string>(), "default");
}

TEST(InjectTemplate, HoldApplicationPutsTheProxyFirstAndWaits) {
  const YAML::Node pod = injected_pod(
      with_container("", "proxy.istio.io/config: '{holdApplicationUntilProxyStarts: true}'"));
  const YAML::Node first = pod["spec"]["containers"][0];
  EXPECT_EQ(first["name"].as<std::string>(), "istio-proxy");
  EXPECT_EQ(first["lifecycle"]["postStart"]["exec"]["command"][1].as<std::string>(), "wait");
  EXPECT_EQ(pod["spec"]["containers"][1]["name"].as<std::string>(), "web");
}

TEST(InjectTemplate, ANativeSidecarComesFirstOfTheInitContainersAndDrainsBeforeItEnds) {
  const YAML::Node pod = injected_pod(
      "kind: Pod\nmetadata:\n  name: p\n  annotations: {sidecar.istio.io/nativeSidecar: 'true'}\n"
      "spec:\n  initContainers:\n  - name: own\n  containers:\n  - name: web\n");
  const YAML::Node inits = pod["spec"]["initContainers"];
  ASSERT_EQ(inits.size(), 3U);
  EXPECT_EQ(inits[0]["name"].as<std::string>(), "istio-init");
  EXPECT_EQ(inits[1]["name"].as<std::string>(), "istio-proxy");
  EXPECT_EQ(inits[2]["name"].as<std::string>(), "own");
  std::string command;
  for (const auto& word : inits[1]["lifecycle"]["preStop"]["exec"]["command"])
    command += word.as<std::string>() + " ";
  EXPECT_EQ(command, "/usr/local/bin/sallyport request --debug-port=15020 POST drain ");
}

TEST(InjectTemplate, ReadinessFollowsItsAnnotations) {
  const YAML::Node pod =
      injected_pod(with_container("",
                                  "readiness.status.sidecar.istio.io/periodSeconds: '2', "
                                  "readiness.status.sidecar.istio.io/failureThreshold: '30'"));
  const YAML::Node probe = named(pod["spec"]["containers"], "istio-proxy")["readinessProbe"];
  EXPECT_EQ(probe["periodSeconds"].as<int>(), 2);
  EXPECT_EQ(probe["failureThreshold"].as<int>(), 30);
  EXPECT_FALSE(
      inject(with_container("", "readiness.status.sidecar.istio.io/periodSeconds: 'often'"), ""));
}

}  // namespace
}  // namespace sallyport::cli
