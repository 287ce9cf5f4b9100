// Kubernetes manifests as the sandbox reads them.
#include "deploy/sandbox/manifest.h"

#include <gtest/gtest.h>

namespace sallyport::sandbox {
namespace {

TEST(Manifests, ADeploymentIsAsManyPodsAsItHasReplicas) {
  const auto manifests = parse_manifests(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
      - {name: nginx, image: nginx, ports: [{name: http, containerPort: 80}]}
)",
                                         "a.yaml");
  ASSERT_TRUE(manifests) << manifests.error().context;
  ASSERT_EQ(manifests->pods.size(), 2U);
  EXPECT_EQ(manifests->pods[0].meta.key(), "shop/web-1");
  EXPECT_EQ(manifests->pods[1].meta.key(), "shop/web-2");
  EXPECT_EQ(manifests->pods[0].workload, "web");
  EXPECT_EQ(manifests->pods[0].service_account, "web");
  EXPECT_EQ(manifests->pods[0].meta.labels.at("app"), "web");
  EXPECT_EQ(manifests->pods[0].containers[0].ports[0].number, 80);
}

TEST(Manifests, ListsJsonAndSeveralDocumentsAreRead) {
  const auto manifests = parse_manifests(
      "---\n{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": ["
      "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"a\"}, "
      "\"data\": {\"k\": \"v\"}},"
      "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"n\"}}]}\n"
      "---\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n",
      "a.json");
  ASSERT_TRUE(manifests) << manifests.error().context;
  EXPECT_EQ(manifests->config_maps.at(0).data.at("k"), "v");
  EXPECT_EQ(manifests->namespaces.size(), 1U);
  EXPECT_EQ(manifests->services.at(0).ports.at(0).target, "80")
      << "targetPort is the port unless said";
}

TEST(Manifests, ASecretIsDecodedAndStringDataWins) {
  const auto manifests = parse_manifests(
      "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: aGVsbG8=, b: "
      "b25l}\nstringData: {b: two}\n",
      "s.yaml");
  ASSERT_TRUE(manifests) << manifests.error().context;
  EXPECT_EQ(manifests->secrets.at(0).data, (StringMap{{"a", "hello"}, {"b", "two"}}));
}

TEST(Manifests, ServicesAreSingleStackUnlessTheySayOtherwise) {
  const auto families = [](const std::string& spec) {
    const auto read = parse_manifests(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {" + spec + "}\n", "s");
    return std::pair(read->services.at(0).ipv4, read->services.at(0).ipv6);
  };
  EXPECT_EQ(families(""), std::pair(true, false));
  EXPECT_EQ(families("ipFamilies: [IPv6]"), std::pair(false, true));
  EXPECT_EQ(families("ipFamilyPolicy: PreferDualStack"), std::pair(true, true));
}

struct Mistake {
  const char* what;
  const char* text;
  const char* told;
};

class MistakeTest : public testing::TestWithParam<Mistake> {};

TEST_P(MistakeTest, IsRefusedWithItsPlace) {
  const auto manifests = parse_manifests(GetParam().text, "m.yaml");
  ASSERT_FALSE(manifests) << GetParam().what;
  EXPECT_NE(manifests.error().context.find(GetParam().told), std::string::npos)
      << manifests.error().context;
}

INSTANTIATE_TEST_SUITE_P(
    Spec, MistakeTest,
    testing::Values(
        Mistake{"broken YAML", "a: [1\nb: 2\n", "m.yaml:"},
        Mistake{"no containers", "kind: Pod\nmetadata: {name: p}\nspec: {containers: []}\n",
                "m.yaml:3: spec.containers"},
        Mistake{"host network",
                "kind: Pod\nspec:\n  hostNetwork: true\n  containers: [{name: a}]\n",
                "m.yaml:3: spec.hostNetwork"},
        Mistake{"an unknown volume",
                "kind: Pod\nspec:\n  containers: [{name: a}]\n  volumes:\n  - {name: v, nfs: {}}\n",
                "m.yaml:5: volume v"},
        Mistake{"a number that is none",
                "kind: Pod\nspec:\n  containers:\n  - {name: a, ports: [{containerPort: x}]}\n",
                "m.yaml:4: a number"},
        Mistake{"Secret data that is not base64",
                "kind: Secret\nmetadata: {name: s}\ndata: {a: '!!'}\n", "data.a"}));

TEST(Manifests, IstiosResourcesArePassedOverAndUnknownKindsAreNamed) {
  const auto manifests = parse_manifests(
      "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\n---\nkind: "
      "StatefulSet\n",
      "x.yaml");
  ASSERT_TRUE(manifests);
  ASSERT_EQ(manifests->warnings.size(), 1U);
  EXPECT_NE(manifests->warnings[0].find("x.yaml: line 5: the sandbox doesn't run kind StatefulSet"),
            std::string::npos)
      << manifests->warnings[0];
}

TEST(Manifests, ANewerObjectReplacesTheOlderOfItsName) {
  auto older = parse_manifests("kind: ConfigMap\nmetadata: {name: a}\ndata: {k: old}\n", "a");
  merge(*older, *parse_manifests("kind: ConfigMap\nmetadata: {name: a}\ndata: {k: new}\n", "a"));
  ASSERT_EQ(older->config_maps.size(), 1U);
  EXPECT_EQ(older->config_maps[0].data.at("k"), "new");
}

}  // namespace
}  // namespace sallyport::sandbox
