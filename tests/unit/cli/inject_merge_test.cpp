// `sallyport inject` of a pod that customizes the sidecar by a container of its name, as Istio's
// documentation has it ("Customizing injection") and its proxy-override*.yaml test.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "agent/cli/injector.h"

namespace sallyport::cli {
namespace {

const std::string head = R"(kind: Deployment
apiVersion: apps/v1
metadata: {name: hello}
spec:
  template:
    metadata:
      annotations:
        sidecar.istio.io/inject: "true"
    spec:
)";

const std::string overriding = head + R"(      initContainers:
      - name: istio-init
        image: example.com/own
        args: [my, own]
      containers:
      - name: hello
        image: example.com/hello
      - image: auto   # the template's
        name: istio-proxy
        resources:
          requests:
            cpu: 123m
        env:
        - name: OWN
          value: mine
        - name: POD_NAME
          value: mine
        volumeMounts:
        - mountPath: /etc/certs
          name: certs
        lifecycle:
          preStop:
            exec:
              command: ["sleep", "10"]
        securityContext: {runAsUser: 1234}
        tty: true
        # the end
      volumes:
      - name: certs
        secret: {secretName: own}
)";

YAML::Node spec_of(const std::string& text) {
  const auto result = inject(text, "t.yaml", {.image = "sallyport:test"});
  EXPECT_TRUE(result) << result.error().context;
  if (!result) return {};
  const auto again = inject(result->text, "t.yaml", {.image = "sallyport:test"});
  EXPECT_TRUE(again && again->text == result->text) << "once is enough\n" << result->text;
  return YAML::Load(result->text)["spec"]["template"]["spec"];
}

YAML::Node named(const YAML::Node& list, const std::string& name) {
  for (const auto& each : list)
    if (each["name"].as<std::string>() == name) return each;
  return YAML::Node(YAML::NodeType::Null);
}

TEST(InjectMerge, TheUsersFieldsLieOverTheTemplates) {
  const YAML::Node spec = spec_of(overriding);
  ASSERT_EQ(spec["containers"].size(), 2U);
  const YAML::Node proxy = named(spec["containers"], "istio-proxy");
  EXPECT_EQ(proxy["image"].as<std::string>(), "sallyport:test") << "auto";
  EXPECT_EQ(proxy["args"][0].as<std::string>(), "sidecar") << "the template's where none are said";
  EXPECT_EQ(proxy["tty"].as<bool>(), true);
  EXPECT_EQ(proxy["resources"]["requests"]["cpu"].as<std::string>(), "123m");
  EXPECT_EQ(proxy["resources"]["requests"]["memory"].as<std::string>(), "128Mi");
  EXPECT_EQ(proxy["resources"]["limits"]["cpu"].as<std::string>(), "2");
  EXPECT_EQ(proxy["securityContext"]["runAsUser"].as<int>(), 1234);
  EXPECT_EQ(proxy["securityContext"]["runAsGroup"].as<int>(), 1337);
  EXPECT_EQ(proxy["lifecycle"]["preStop"]["exec"]["command"].size(), 2U);
  EXPECT_EQ(proxy["readinessProbe"]["httpGet"]["port"].as<int>(), 15021);
}

TEST(InjectMerge, ListsWithAKeyAreMergedItemByItem) {
  const YAML::Node proxy = named(spec_of(overriding)["containers"], "istio-proxy");
  EXPECT_EQ(named(proxy["env"], "OWN")["value"].as<std::string>(), "mine");
  EXPECT_EQ(named(proxy["env"], "POD_NAME")["value"].as<std::string>(), "mine");
  EXPECT_TRUE(named(proxy["env"], "POD_NAMESPACE")["valueFrom"].IsMap());
  EXPECT_EQ(named(proxy["env"], "ISTIO_META_APP_CONTAINERS")["value"].as<std::string>(), "hello");
  EXPECT_TRUE(named(proxy["volumeMounts"], "certs").IsMap());
  EXPECT_TRUE(named(proxy["volumeMounts"], "sallyport-config").IsMap());
}

TEST(InjectMerge, AnInitContainerOfTheTemplatesNameIsMergedToo) {
  const YAML::Node spec = spec_of(overriding);
  ASSERT_EQ(spec["initContainers"].size(), 1U);
  const YAML::Node init = spec["initContainers"][0];
  EXPECT_EQ(init["image"].as<std::string>(), "example.com/own");
  EXPECT_EQ(init["args"].size(), 2U) << "a list without a key is one value";
  EXPECT_EQ(init["securityContext"]["runAsUser"].as<int>(), 0);
}

TEST(InjectMerge, InJsonAsInYaml) {
  const YAML::Node spec =
      spec_of(R"({"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": {"spec":)"
              R"( {"containers": [{"name": "a"}, {"name": "istio-proxy", "image": "auto",)"
              R"( "env": [], "resources": {}}]}}}})");
  const YAML::Node proxy = named(spec["containers"], "istio-proxy");
  EXPECT_EQ(proxy["image"].as<std::string>(), "sallyport:test");
  EXPECT_TRUE(named(proxy["env"], "POD_NAME").IsMap());
  EXPECT_EQ(proxy["resources"]["limits"]["cpu"].as<std::string>(), "2");
}

std::string refusal(const std::string& containers, const std::string& annotations = "") {
  std::string text = head + containers;
  const std::string at = "        sidecar.istio.io/inject: \"true\"\n";
  text.insert(text.find(at), annotations);
  const auto result = inject(text, "t.yaml");
  return result ? "injected" : result.error().context;
}

TEST(InjectMerge, WhatCannotBeMergedIsRefusedByName) {
  EXPECT_NE(refusal("      containers: [{name: istio-proxy, image: auto}]\n")
                .find("a pod needs one beside istio-proxy"),
            std::string::npos);
  EXPECT_NE(refusal("      containers: [{name: a}, {name: istio-proxy}, {name: istio-proxy}]\n")
                .find("two containers are called istio-proxy"),
            std::string::npos);
  EXPECT_NE(refusal("      containers: [{name: a}, {name: istio-proxy}]\n",
                    "        sidecar.istio.io/nativeSidecar: \"true\"\n")
                .find("istio-proxy must be one of spec.initContainers"),
            std::string::npos);
  EXPECT_NE(refusal("      containers: [{name: a}, {name: istio-proxy}]\n",
                    "        proxy.istio.io/config: \"holdApplicationUntilProxyStarts: true\"\n")
                .find("istio-proxy must be the first container"),
            std::string::npos);
  EXPECT_NE(refusal("      containers:\n      - name: a\n        resources: &r {limits: {cpu: 1}}\n"
                    "      - name: istio-proxy\n        resources: *r\n")
                .find("resources: an alias can't be edited"),
            std::string::npos);
}

}  // namespace
}  // namespace sallyport::cli
