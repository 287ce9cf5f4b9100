// The sidecar as a process: signals, draining, rotation, wrong command lines.
#include <csignal>

#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

class Process : public Scenario {
protected:
  // Signals the sidecar of the sleep pod, from inside it.
  void signal_sidecar(const char* signal) {
    const auto result = in_sidecar("sleep", std::string("kill -") + signal + " $proxy");
    EXPECT_EQ(result.code, 0) << result.err;
  }
  std::string status_of(const std::string& url) {
    return curl("sleep", {"-o", "/dev/null", "-w", "%{http_code}", url}).out;
  }
};

TEST_F(Process, SigtermDrains) {
  up("egress-mtls");
  signal_sidecar("TERM");
  EXPECT_TRUE(soon([&] { return status_of("http://127.0.0.1:15021/healthz/ready") == "503"; }))
      << "no longer ready";
  const auto answer =
      curl("sleep", {"-D", "-", "http://my-nginx.mesh-external.svc.cluster.local"}).out;
  EXPECT_TRUE(has(answer, "Welcome to nginx!")) << "the app is still served: " << answer;
  EXPECT_FALSE(has(answer, "connection: close")) << "outbound stays as it was: " << answer;
  EXPECT_TRUE(logged("sleep", "istio-proxy", "draining for 5000 ms"));
  EXPECT_TRUE(logged("sleep", "istio-proxy", "stopping"));
}

TEST_F(Process, ASecondSigtermEndsItAtOnce) {
  up("egress-mtls");
  signal_sidecar("TERM");
  EXPECT_TRUE(logged("sleep", "istio-proxy", "draining for 5000 ms"));
  signal_sidecar("TERM");
  EXPECT_TRUE(logged("sleep", "istio-proxy", "stopping"));
}

TEST_F(Process, SighupReadsTheConfigurationAgain) {
  up("egress-mtls");
  signal_sidecar("HUP");
  EXPECT_TRUE(soon([&] {
    const auto stats = curl("sleep", {"http://127.0.0.1:15000/stats/prometheus"}).out;
    return has(stats, "sallyport_config_loads_total{} 2");
  }));
}

TEST_F(Process, QuitquitquitEndsIt) {
  up("egress-mtls");
  curl("sleep", {"-X", "POST", "http://127.0.0.1:15000/quitquitquit"});
  EXPECT_TRUE(logged("sleep", "istio-proxy", "stopping"));
}

TEST_F(Process, AWrongCommandLineIsOneLineAndExitCode2) {
  const std::string program = sandbox::find_program("sallyport");
  ASSERT_FALSE(program.empty());
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"nonsense"}, "no command is called \"nonsense\""},
      {{"sidecar"}, "--config is required"},
      {{"sidecar", "--config", "/x", "--ip", "10.0"}, "\"10.0\" is not an IP address"},
      {{"sidecar", "--config", "/x", "--admin", "here"}, "--admin: \"here\" is not address:port"},
      {{"sidecar", "--config", "/x", "--log-level", "loud"}, "no level is called \"loud\""},
  };
  for (const auto& [words, expected] : cases) {
    std::vector<std::string> argv{program};
    argv.insert(argv.end(), words.begin(), words.end());
    const auto result = sandbox::run_command(argv, "");
    ASSERT_TRUE(result);
    EXPECT_EQ(result->code, 2) << expected;
    EXPECT_TRUE(has(result->err, expected)) << result->err;
  }
}

TEST_F(Process, AConfigurationThatCantBeReadIsSaidAndExitCode1) {
  const auto result = sandbox::run_command(
      {sandbox::find_program("sallyport"), "sidecar", "--config", "/nonexistent/configuration"},
      "");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->code, 1);
  EXPECT_TRUE(has(result->err, "/nonexistent/configuration")) << result->err;
}

}  // namespace
}  // namespace sallyport::behaviour
