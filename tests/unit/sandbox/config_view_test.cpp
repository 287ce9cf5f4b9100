// What a sidecar sees of a sample's files.
#include "deploy/sandbox/config_view.h"

#include <gtest/gtest.h>

#include "agent/istio/decode.h"

#include <algorithm>

namespace sallyport::sandbox {
namespace {

const char* const mixed =
    "kind: Deployment\nmetadata: {name: d}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: se, namespace: "
    "other}\n---\n"
    "apiVersion: v1\nkind: Secret\nmetadata: {name: mine}\n---\n"
    "apiVersion: v1\nkind: Secret\nmetadata: {name: theirs, namespace: other}\n";

TEST(ConfigView, IstiosResourcesAreSeenWhateverTheirNamespace) {
  EXPECT_NE(config_view({{"a.yaml", mixed}}, "default").at("a.yaml").find("ServiceEntry"),
            std::string::npos);
}

TEST(ConfigView, InjectionIsJudgedByNamespacesAndTheMeshConfigOnly) {
  const std::string context = injection_context(
      {{"a.yaml", std::string(mixed) +
                      "---\nkind: Namespace\nmetadata: {name: plain, labels: {istio-injection: "
                      "disabled}}\n"},
       {"b.yaml",
        "kind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n---\n"
        "kind: ConfigMap\nmetadata: {name: istio, namespace: other}"}});
  EXPECT_NE(context.find("istio-injection: disabled"), std::string::npos);
  EXPECT_NE(context.find("namespace: istio-system"), std::string::npos);
  for (const char* other : {"Deployment", "ServiceEntry", "Secret", "namespace: other"})
    EXPECT_EQ(context.find(other), std::string::npos) << other;
}

TEST(ConfigView, SecretsAreSeenOnlyInTheirOwnNamespace) {
  const std::string own = config_view({{"a.yaml", mixed}}, "default").at("a.yaml");
  EXPECT_NE(own.find("mine"), std::string::npos);
  EXPECT_EQ(own.find("theirs"), std::string::npos);
  const std::string other = config_view({{"a.yaml", mixed}}, "other").at("a.yaml");
  EXPECT_EQ(other.find("mine"), std::string::npos);
  EXPECT_NE(other.find("theirs"), std::string::npos);
}

TEST(ConfigView, WhatIsSeenStandsInTheLineWhereTheAuthorWroteIt) {
  const std::string text = mixed, view = config_view({{"a.yaml", text}}, "default").at("a.yaml");
  const auto line = [](const std::string& in, const char* what) {
    return std::count(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(in.find(what)), '\n');
  };
  EXPECT_EQ(line(view, "mine"), line(text, "mine"));
  EXPECT_EQ(view.find("Deployment"), std::string::npos);
}

TEST(ConfigView, SecretsOfOthersAreTakenOutOfLists) {
  const std::string list =
      "kind: List\napiVersion: v1\nitems:\n"
      "- {apiVersion: v1, kind: Secret, metadata: {name: mine}}\n"
      "- {apiVersion: v1, kind: Secret, metadata: {name: theirs, namespace: other}}\n";
  const std::string view = config_view({{"a.yaml", list}}, "default").at("a.yaml");
  EXPECT_NE(view.find("mine"), std::string::npos);
  EXPECT_EQ(view.find("theirs"), std::string::npos);
}

TEST(ConfigView, BrokenTextIsSeenUnlessItMightBeASecret) {
  EXPECT_EQ(config_view({{"a", "kind: ServiceEntry\n a: [\n"}}, "x").at("a"),
            "kind: ServiceEntry\n a: [\n");
  EXPECT_EQ(config_view({{"a", "kind: Secret\n a: [\n"}}, "x").at("a"), "\n\n");
}

TEST(ConfigView, ANewerVersionTakesThePlaceOfTheOlder) {
  Files sources = {{"a.yaml", mixed}};
  supersede(sources, "apiVersion: v1\nkind: Secret\nmetadata: {name: mine}\n");
  EXPECT_EQ(sources.at("a.yaml").find("mine"), std::string::npos);
  EXPECT_NE(sources.at("a.yaml").find("theirs"), std::string::npos);
}

TEST(ConfigView, ServicesAreWrittenWithTheirClusterAddresses) {
  auto read = parse_manifests(
      "kind: Service\nmetadata: {name: s}\nspec: {selector: {a: b}, ports: [{port: 80}]}\n", "s");
  const std::string text =
      services_with_addresses(read->services, {{"default/s", {{"198.19.0.1"}}}});
  EXPECT_NE(text.find("clusterIP: 198.19.0.1"), std::string::npos) << text;
  EXPECT_NE(text.find("targetPort: 80"), std::string::npos) << text;
}

TEST(ConfigView, PodsAreWrittenWithTheirAddressesForTheDecoderOfResources) {
  const auto read = parse_manifests(
      "kind: Pod\nmetadata: {name: p, namespace: n, labels: {app: web, flag: 'true'}}\nspec: "
      "{serviceAccountName: s, containers: [{name: a, image: i, ports: [{containerPort: 80, name: "
      "http}]}]}\n",
      "p");
  ASSERT_TRUE(read) << read.error().context;
  const auto text = pods_with_addresses({{&read->pods.at(0), {"198.18.0.7"}, false}});
  const auto decoded = istio::decode(text, "sandbox-pods.yaml");
  ASSERT_EQ(decoded.resources.size(), 1u) << text;
  const auto& pod = std::get<istio::Pod>(decoded.resources[0]);
  EXPECT_EQ(pod.metadata.namespace_name(), "n");
  EXPECT_EQ(pod.metadata.labels.at("flag"), "true");
  EXPECT_EQ(pod.ips, std::vector<std::string>{"198.18.0.7"});
  EXPECT_EQ(pod.service_account, "s");
  EXPECT_EQ(pod.ports.at(0).number, 80);
  EXPECT_FALSE(pod.ready);
  EXPECT_TRUE(decoded.findings.empty());
}

TEST(ConfigView, ADeploymentsPodsNameTheirOwner) {
  const auto read = parse_manifests(
      "kind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n"
      "  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: i}]}}\n",
      "p");
  ASSERT_TRUE(read) << read.error().context;
  const auto text = pods_with_addresses({{&read->pods.at(0), {"198.18.0.7"}, true}});
  const auto decoded = istio::decode(text, "sandbox-pods.yaml");
  ASSERT_EQ(decoded.resources.size(), 1u) << text;
  EXPECT_EQ(std::get<istio::Pod>(decoded.resources[0]).owner, "web") << text;
}

}  // namespace
}  // namespace sallyport::sandbox
