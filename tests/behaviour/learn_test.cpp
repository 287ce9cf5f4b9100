// From ALLOW_ANY to REGISTRY_ONLY by what --learn saw: the ServiceEntries that egress-report prints
// allow the same traffic, and nothing else.
#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

class Learn : public Scenario {
protected:
  static std::string mesh(const std::string& mode) {
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
           "data:\n  mesh: |-\n    accessLogFile: /dev/stdout\n"
           "    outboundTrafficPolicy: {mode: " +
           mode +
           "}\n    defaultConfig:\n      proxyMetadata:\n        EGRESS_LEARNING: \"true\"\n"
           "        ISTIO_META_DNS_CAPTURE: \"true\"\n";
  }
  std::string code_of(const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"-k", "-o", "/dev/null", "-w", "%{http_code}"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return curl("sleep", all).out;
  }
  std::string report(const std::string& output) {
    return in_sidecar("sleep", "sallyport egress-report -o " + output).out;
  }
  std::string address_of(const std::string& host) {
    const auto text = exec("sleep", {"getent", "ahostsv4", host}).out;
    return text.substr(0, text.find(' '));
  }
};

TEST_F(Learn, WhatWasSeenUnderAllowAnyIsAllowedUnderRegistryOnlyAndNothingElse) {
  up("egress-plain", {{"mesh.yaml", mesh("ALLOW_ANY")}});
  const auto plain = std::vector<std::string>{"http://unlisted.example.net/"},
             tls = std::vector<std::string>{"https://unlisted.example.net/"};
  EXPECT_EQ(code_of(plain), "301");
  EXPECT_EQ(code_of(tls), "200");
  const std::string ip = address_of("unlisted.example.net");
  const auto by_address = std::vector<std::string>{"http://" + ip + "/"};
  EXPECT_EQ(code_of(by_address), "301") << ip;

  const std::string table = report("table");
  for (const char* row : {"unlisted.example.net   80 ", "unlisted.example.net   443 "})
    EXPECT_TRUE(has(table, row)) << table;
  EXPECT_TRUE(has(table, " would refuse")) << table;
  EXPECT_TRUE(has(table, "outboundTrafficPolicy REGISTRY_ONLY would refuse them")) << table;
  const std::string yaml = report("yaml");

  apply("mesh.yaml", mesh("REGISTRY_ONLY"));
  EXPECT_TRUE(soon([&] { return code_of(plain) == "502"; }));
  EXPECT_TRUE(has(report("table"), "outboundTrafficPolicy REGISTRY_ONLY refuses them"));
  apply("egress.yaml", yaml);
  EXPECT_TRUE(soon([&] { return code_of(plain) == "301"; })) << yaml;
  EXPECT_EQ(code_of(tls), "200") << yaml;
  EXPECT_EQ(code_of(by_address), "301") << yaml;
  EXPECT_EQ(code_of({"--resolve", "other.example.net:80:" + ip, "http://other.example.net/"}),
            "502");
  EXPECT_EQ(curl("sleep",
                 {"-k", "--resolve", "other.example.net:443:" + ip, "https://other.example.net/"})
                .code,
            35);
  const std::string now = report("table");
  EXPECT_TRUE(has(now, " declared")) << now;
  EXPECT_TRUE(has(now, "other.example.net")) << now;
}

TEST_F(Learn, TlsWithoutANameIsAllowedAtItsAddress) {
  up("egress-plain", {{"mesh.yaml", mesh("REGISTRY_ONLY")}});
  const std::string ip = address_of("unlisted.example.net");
  const auto ask = [&] { return code_of({"https://" + ip + "/"}); };
  EXPECT_EQ(ask(), "000") << "refused, and remembered so";
  const std::string yaml = report("yaml");
  EXPECT_TRUE(has(yaml, "addresses:\n  - \"" + ip + "\"")) << yaml;
  apply("egress.yaml", yaml);
  EXPECT_TRUE(soon([&] { return ask() == "200"; })) << yaml;
}

TEST_F(Learn, WithoutTheFlagNothingIsRememberedAndThatIsSaid) {
  up("egress-plain");
  const auto result = in_sidecar("sleep", "sallyport egress-report; echo code $?");
  EXPECT_TRUE(has(result.out, "code 1")) << result.out;
  EXPECT_TRUE(has(result.err, "start the sidecar with --learn (EGRESS_LEARNING=true)"))
      << result.err;
}

}  // namespace
}  // namespace sallyport::behaviour
