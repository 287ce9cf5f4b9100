// Scenarios E3b and E3e: what `sallyport proxy-config` says in a running pod, also of what is not
// there yet.
#include <regex>

#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

const std::string url = "http://my-nginx.mesh-external.svc.cluster.local";

class ProxyConfig : public Scenario {
protected:
  // In the container of the proxy, as one would by kubectl exec.
  sandbox::CommandResult proxy_config(std::vector<std::string> words) {
    words.insert(words.begin(), {"sallyport", "proxy-config"});
    sandbox::ExecOptions options;
    options.container = "istio-proxy";
    auto result = sandbox_->exec("sleep", words, options);
    if (result) return *result;
    ADD_FAILURE() << result.error().context;
    return {};
  }
};

std::string sample_file(const std::string& name) {
  std::ostringstream text;
  text << std::ifstream(SALLYPORT_SOURCE_DIR "/deploy/samples/egress-mtls/" + name).rdbuf();
  return text.str();
}

// The documents of a file but those that have `mark`.
std::string without(const std::string& text, const std::string& mark) {
  const std::string line = "\n---\n";
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find(line, at), text.size());
    const auto document = text.substr(at, end - at);
    if (!has(document, mark)) out += document + line;
    at = std::min(text.size(), end + line.size());
  }
  return out;
}

// A row as istioctl has it: serial in 32 digits, times in UTC.
bool has_active_row(const std::string& text, const std::string& name, const std::string& type) {
  return std::regex_search(
      text,
      std::regex("\n" + name + " +" + type + " +ACTIVE +true +[0-9a-f]{32,} +" +
                 R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ +)" + R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n)"));
}

bool both_active(const std::string& text) {
  return has_active_row(text, "kubernetes://client-credential", "Cert Chain") &&
         has_active_row(text, "kubernetes://client-credential-cacert", "CA");
}

TEST_F(ProxyConfig, E3b_ProxyConfigSecretShowsBothRows) {
  up("egress-mtls");
  const auto result = proxy_config({"secret"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(std::regex_search(
      result.out, std::regex("^RESOURCE NAME +TYPE +STATUS +VALID CERT +SERIAL NUMBER +NOT AFTER "
                             "+NOT BEFORE\n")))
      << result.out;
  EXPECT_TRUE(both_active(result.out)) << result.out;
}

TEST_F(ProxyConfig, E3e_AMissingSecretIsWarmingAndGoesLiveWithoutARestart) {
  const auto certificates = sample_file("certificates.yaml");
  const auto fewer = without(certificates, "name: client-credential");
  ASSERT_NE(fewer.size(), certificates.size());
  up("egress-mtls", {{"certificates.yaml", fewer}});
  const auto before = curl("sleep", {"-D", "-", url});
  EXPECT_TRUE(before.out.starts_with("HTTP/1.1 503 Service Unavailable")) << before.out;
  EXPECT_TRUE(has(before.out, "client-credential")) << before.out;
  EXPECT_TRUE(logged("sleep", "istio-proxy", "client-credential"));
  const auto warming = proxy_config({"secret"});
  EXPECT_EQ(warming.code, 0) << warming.err;
  EXPECT_TRUE(std::regex_search(warming.out,
                                std::regex("\nkubernetes://client-credential +WARMING +false +\n")))
      << warming.out;
  EXPECT_TRUE(std::regex_search(
      warming.out, std::regex("\nkubernetes://client-credential is WARMING: .*client-credential")))
      << "the reason\n"
      << warming.out;
  EXPECT_FALSE(both_active(warming.out));

  apply("certificates.yaml", certificates);
  EXPECT_TRUE(soon([&] { return both_active(proxy_config({"secret"}).out); }))
      << proxy_config({"secret"}).out;
  EXPECT_TRUE(soon([&] { return has(curl("sleep", {url}).out, "Welcome to nginx!"); }));
  EXPECT_EQ(count(logs("sleep", "istio-proxy"), "\tready: "), 1) << "no restart";
}

struct PartCase {
  std::vector<std::string> words;
  const char* row;  // a regular expression
};

const PartCase part_cases[] = {
    {{"cluster", "--fqdn", "my-nginx"},
     R"(\nmy-nginx\.mesh-external\.svc\.cluster\.local +80 +- +outbound +STRICT_DNS +originate)"},
    {{"listener", "--port", "80"},
     R"(\n0\.0\.0\.0 +80 +Trans: raw_buffer; App: http/1\.1,h2c +Route: 80\n)"},
    {{"listener", "--port", "15006"},
     R"(\n0\.0\.0\.0 +15006 +Trans: raw_buffer +InboundPassthroughCluster\n)"},
    {{"route", "--name", "80"},
     R"(\n80 +my-nginx\.mesh-external\.svc\.cluster\.local:80 +my-nginx\.mesh-ext[^ ]*.* +/\*)"},
    {{"endpoint", "--port", "443"},
     R"(\n198\.1[89]\.[0-9.]+:443 +HEALTHY +OK +outbound\|80\|\|my-nginx\.mesh-external)"},
    {{"all", "--with-headers"}, R"(^------ BOOTSTRAP INFO ------\n\nSallyport Version: \d)"},
    {{"log"}, R"(^active loggers:\n  config: info\n  main: info\n)"},
    {{"log", "--level", "config:debug"}, R"(^active loggers:\n  config: debug\n  main: info\n)"},
    {{"log"}, R"(\n  config: debug\n)"},
    {{"log", "--reset"}, R"(\n  config: info\n)"},
};

TEST_F(ProxyConfig, EveryPartAnswersInARunningPod) {
  up("egress-mtls");
  EXPECT_TRUE(has(curl("sleep", {url}).out, "Welcome to nginx!"));
  for (const auto& c : part_cases) {
    const auto result = proxy_config(c.words);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_TRUE(std::regex_search(result.out, std::regex(c.row))) << c.row << "\n" << result.out;
  }
  const auto wrong = proxy_config({"log", "--level", "confg:debug"});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_TRUE(has(wrong.err, "unrecognized logger name: \"confg\"; did you mean \"config\"?"))
      << wrong.err;
}

TEST(Programs, TellAboutThemselvesAndOfWrongWords) {
  const auto version =
      sandbox::run_command({sandbox::find_program("sallyport"), "version", "-h"}, "");
  ASSERT_TRUE(version);
  EXPECT_EQ(version->code, 0);
  EXPECT_TRUE(has(version->out, "Example:\n    sallyport version\n")) << version->out;
  const auto wrong = sandbox::run_command({sandbox::find_program("sallyport-sandbox"), "foo"}, "");
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->code, 2);
  EXPECT_EQ(wrong->err, "sallyport-sandbox: no command is called \"foo\"; see --help\n");
}

TEST_F(ProxyConfig, BashCompletesCommandsPartsAndFlags) {
  const auto program = sandbox::find_program("sallyport");
  ASSERT_FALSE(program.empty());
  const auto folder = program.substr(0, program.rfind('/'));
  const auto completed = [&](const std::string& words, int position) {
    const std::string script =
        "PATH=" + folder + ":$PATH; source <(sallyport completion bash); COMP_WORDS=(" + words +
        "); COMP_CWORD=" + std::to_string(position) + "; _sallyport; echo \" ${COMPREPLY[*]} \"";
    const auto result = sandbox::run_command({"/bin/bash", "-c", script}, "");
    EXPECT_TRUE(result && result->err.empty()) << (result ? result->err : "");
    return result ? result->out : "";
  };
  EXPECT_EQ(completed("sallyport val", 1), " validate \n");
  EXPECT_EQ(completed("sallyport pc se", 2), " secret \n");
  EXPECT_EQ(completed("sallyport pc cluster --sub", 3), " --subset \n");
  EXPECT_EQ(completed("sallyport validate --mesh", 2), " --mesh-config \n");
  EXPECT_EQ(completed("sallyport completion z", 2), " zsh \n");
  EXPECT_EQ(completed("sallyport pc cluster -o y", 4), " yaml \n");
  EXPECT_EQ(completed("sallyport pc cluster -o ''", 4), " short json yaml \n");
  EXPECT_EQ(completed("sallyport analyze -o ''", 3), " log json yaml \n");
  EXPECT_EQ(completed("sallyport pc endpoint --status U", 4), " UNHEALTHY \n");
  EXPECT_FALSE(has(completed("sallyport ''", 1), "kubectl")) << "examples are no commands";
}

}  // namespace
}  // namespace sallyport::behaviour
