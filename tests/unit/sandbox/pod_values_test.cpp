// What a container is given: environment, command line, volumes.
#include "deploy/sandbox/pod_values.h"

#include "deploy/sandbox/token_signer.h"

#include <gtest/gtest.h>

namespace sallyport::sandbox {
namespace {

Pod sleep_pod() {
  Pod pod;
  pod.meta = {"shop", "sleep-1", {{"app", "sleep"}}, {{"note", "say \"hi\"\nplease"}}};
  pod.service_account = "sleeper";
  return pod;
}

const PodStatus status{
    .ips = {"198.18.1.0", "2001:db8:18::1:1"}, .host_ip = "198.18.0.1", .processors = 3};

struct FieldCase {
  const char* path;
  const char* value;
};

class DownwardField : public testing::TestWithParam<FieldCase> {};

TEST_P(DownwardField, IsFilledIn) {
  const auto value = downward_field(sleep_pod(), status, GetParam().path);
  ASSERT_TRUE(value) << value.error().context;
  EXPECT_EQ(*value, GetParam().value);
}

INSTANTIATE_TEST_SUITE_P(
    Spec, DownwardField,
    testing::Values(FieldCase{"metadata.name", "sleep-1"}, FieldCase{"metadata.namespace", "shop"},
                    FieldCase{"metadata.labels['app']", "sleep"},
                    FieldCase{"metadata.labels['none']", ""},
                    FieldCase{"metadata.labels", "app=\"sleep\"\n"},
                    FieldCase{"metadata.annotations", "note=\"say \\\"hi\\\"\\nplease\"\n"},
                    FieldCase{"spec.serviceAccountName", "sleeper"},
                    FieldCase{"status.podIP", "198.18.1.0"},
                    FieldCase{"status.podIPs", "198.18.1.0,2001:db8:18::1:1"},
                    FieldCase{"status.hostIP", "198.18.0.1"}));

TEST(DownwardFields, AnUnknownOneIsAnError) {
  EXPECT_FALSE(downward_field(sleep_pod(), status, "status.moon"));
}

struct ExpandCase {
  const char* text;
  const char* expanded;
};

class Expand : public testing::TestWithParam<ExpandCase> {};

TEST_P(Expand, FollowsKubernetesRules) {
  EXPECT_EQ(expand(GetParam().text, {{"A", "old"}, {"A", "1"}, {"B", "2"}}), GetParam().expanded);
}

INSTANTIATE_TEST_SUITE_P(Spec, Expand,
                         testing::Values(ExpandCase{"$(A)-$(B)", "1-2"},
                                         ExpandCase{"$(UNKNOWN)", "$(UNKNOWN)"},
                                         ExpandCase{"$$(A)", "$(A)"}, ExpandCase{"$A $(", "$A $("},
                                         ExpandCase{"", ""}));

TEST(Environment, ComesFromFieldsSecretsAndLimits) {
  Container container;
  container.env = {{.name = "NAME", .source = EnvVar::Source::field, .key = "metadata.name"},
                   {.name = "GREETING", .value = "hello $(NAME)"},
                   {.name = "KEY", .source = EnvVar::Source::secret_key, .object = "s", .key = "k"},
                   {.name = "CPUS", .source = EnvVar::Source::resource, .key = "limits.cpu"}};
  Manifests manifests;
  manifests.secrets.push_back({{"shop", "s", {}, {}}, {{"k", "v"}}});
  const auto variables = environment(container, sleep_pod(), status, manifests);
  ASSERT_TRUE(variables) << variables.error().context;
  const auto value = [&](const std::string& name) { return expand("$(" + name + ")", *variables); };
  EXPECT_EQ(value("GREETING"), "hello sleep-1");
  EXPECT_EQ(value("KEY"), "v");
  EXPECT_EQ(value("CPUS"), "3") << "no limit: the machine's processors";
  container.cpu_limit = "1500m";
  EXPECT_EQ(expand("$(CPUS)", *environment(container, sleep_pod(), status, manifests)), "2");
}

TEST(Volumes, AServiceAccountsTokenIsForItsAudienceAndStaysTheSameUntilItIsOld) {
  Volume volume{"istio-token",
                {{.kind = VolumeSource::Kind::token, .object = "istio-ca", .items = {{"", "t"}}}}};
  PodStatus with_tokens = status;
  TokenSigner signer;
  int64_t now = 1'000'000;
  with_tokens.token = [&](const std::string& audience, std::chrono::seconds life) {
    return signer.token("shop", "sleep", "sleep-1", audience, life.count(), now);
  };
  const auto token = [&] { return volume_files(volume, sleep_pod(), with_tokens, {})->at("t"); };
  const std::string first = token();
  EXPECT_EQ(std::count(first.begin(), first.end(), '.'), 2);
  EXPECT_TRUE(first.starts_with("eyJhbGciOiJFUzI1NiIs")) << first;  // {"alg":"ES256",
  now += 2879;
  EXPECT_EQ(token(), first);
  now += 2;
  EXPECT_NE(token(), first);
  EXPECT_FALSE(volume_files(volume, sleep_pod(), status, {}));
  EXPECT_TRUE(signer.jwks().starts_with(R"({"keys":[{"kty":"EC","crv":"P-256")"));
}

TEST(Environment, AMissingSecretIsAnErrorUnlessOptional) {
  Container container;
  container.env = {
      {.name = "KEY", .source = EnvVar::Source::secret_key, .object = "s", .key = "k"}};
  EXPECT_FALSE(environment(container, sleep_pod(), status, {}));
  container.env[0].optional = true;
  EXPECT_TRUE(environment(container, sleep_pod(), status, {}));
}

TEST(CommandLine, ComesFromTheManifestOrElseFromTheImage) {
  const Image image{{"/entry"}, {"default"}, 0, {}};
  const auto line = [&](std::vector<std::string> command, std::vector<std::string> args,
                        const Image* of) {
    Container container;
    container.command = std::move(command);
    container.args = std::move(args);
    const auto words = command_line(container, of, {});
    return words ? *words : std::vector<std::string>{"error"};
  };
  using Words = std::vector<std::string>;
  EXPECT_EQ(line({}, {}, &image), (Words{"/entry", "default"}));
  EXPECT_EQ(line({}, {"own"}, &image), (Words{"/entry", "own"}));
  EXPECT_EQ(line({"run"}, {}, &image), (Words{"run"}))
      << "a command replaces the image's arguments too";
  EXPECT_EQ(line({"run"}, {"own"}, nullptr), (Words{"run", "own"}));
  EXPECT_EQ(line({}, {"own"}, nullptr), (Words{"error"})) << "an unknown image says what to do";
}

TEST(ImageNames, AreKnownByTheirLastPartWithoutTagAndDigest) {
  const Images images;
  for (const char* name :
       {"nginx", "nginx:1.27", "docker.io/library/nginx@sha256:00", "localhost:5000/nginx:1"}) {
    EXPECT_NE(images.find(name), nullptr) << name;
  }
  EXPECT_EQ(images.find("nginx-exporter"), nullptr);
}

TEST(Volumes, ShowWholeObjectsOrChosenKeys) {
  Manifests manifests;
  manifests.config_maps.push_back({{"shop", "c", {}, {}}, {{"a", "1"}, {"b", "2"}}});
  VolumeSource source{.kind = VolumeSource::Kind::config_map, .object = "c"};
  EXPECT_EQ(*volume_files({"v", {source}}, sleep_pod(), status, manifests),
            (Files{{"a", "1"}, {"b", "2"}}));
  source.items = {{"a", "deep/er"}};
  EXPECT_EQ(*volume_files({"v", {source}}, sleep_pod(), status, manifests),
            (Files{{"deep/er", "1"}}));
  source.object = "absent";
  EXPECT_FALSE(volume_files({"v", {source}}, sleep_pod(), status, manifests));
  source.optional = true;
  EXPECT_EQ(*volume_files({"v", {source}}, sleep_pod(), status, manifests), Files{});
}

}  // namespace
}  // namespace sallyport::sandbox
