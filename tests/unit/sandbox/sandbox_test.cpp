// The sandbox at work: real namespaces, real programs. Needs root, as the sandbox does.
#include "deploy/sandbox/sandbox.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>

#include "deploy/sandbox/founding.h"

namespace sallyport::sandbox {
namespace {

const char* const manifests = R"yaml(
apiVersion: v1
kind: List
items:
- kind: Pod
  apiVersion: v1
  metadata: {name: client, labels: {app: client}}
  spec:
    initContainers:
    - name: first
      image: none
      command: [sh, -c, "echo one > /shared/steps; id -u"]
      volumeMounts: [{name: shared, mountPath: /shared}]
    - name: second
      image: none
      command: [sh, -ec, "echo two >> /shared/steps; ip addr add 192.0.2.9/32 dev lo"]
      securityContext: {capabilities: {add: [NET_ADMIN], drop: [ALL]}}
      volumeMounts: [{name: shared, mountPath: /shared}]
    containers:
    - name: app
      image: none
      command: [sleep, infinity]
      env:
      - {name: GREETING, value: "hello $(POD)"}
      - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
      securityContext: {runAsUser: 4242, runAsGroup: 4243}
      volumeMounts: [{name: shared, mountPath: /shared}, {name: settings, mountPath: /etc/settings}]
    volumes:
    - {name: shared, emptyDir: {}}
    - {name: settings, configMap: {name: settings}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: green}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}, annotations: {sandbox.sallyport.io/hosts: www.outside.example}}
    spec:
      containers:
      - name: nginx
        image: nginx
        ports: [{name: http, containerPort: 80}]
        readinessProbe: {httpGet: {path: /, port: http}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{port: 8080, targetPort: http}]
)yaml";

Options options(const std::string& name) {
  Options options;
  options.name = name + "-" + std::to_string(getpid());
  options.inject = false;
  options.ready_timeout = std::chrono::seconds(30);
  return options;
}

// One sandbox for the tests that only look at it.
class SandboxTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    auto up = Sandbox::up({{"all.yaml", manifests}}, options("unit"));
    if (up) sandbox = std::make_unique<Sandbox>(std::move(*up));
    if (!up) why_not = up.error().context;
  }
  static void TearDownTestSuite() { sandbox.reset(); }
  void SetUp() override { ASSERT_TRUE(sandbox) << why_not; }

  static CommandResult run(const std::vector<std::string>& argv, const ExecOptions& how = {}) {
    auto result = sandbox->exec("client", argv, how);
    return result ? *result : CommandResult{-1, "", result.error().context};
  }
  static std::string shell(const std::string& line) {
    const CommandResult result = run({"sh", "-c", line});
    return result.out + result.err;
  }
  static std::unique_ptr<Sandbox> sandbox;
  static std::string why_not;
};
std::unique_ptr<Sandbox> SandboxTest::sandbox;
std::string SandboxTest::why_not;

TEST_F(SandboxTest, ExecGivesExitCodeOutputAndInput) {
  const CommandResult result = run({"sh", "-c", "cat; echo oops >&2; exit 7"}, {.input = "typed"});
  EXPECT_EQ(result.code, 7);
  EXPECT_EQ(result.out, "typed");
  EXPECT_EQ(result.err, "oops\n");
  EXPECT_EQ(run({"sh", "-c", "kill -TERM $$"}).code, 128 + SIGTERM);
  EXPECT_EQ(run({"/no/such/program"}).code, 127);
}

TEST_F(SandboxTest, LargeInputAndOutputPassWhole) {
  const std::string megabytes(3 * 1024 * 1024, 'm');
  EXPECT_EQ(run({"cat"}, {.input = megabytes}).out.size(), megabytes.size());
}

TEST_F(SandboxTest, ACommandRunsAsTheContainersUserWithItsEnvironment) {
  EXPECT_EQ(shell("id -u; id -g"), "4242\n4243\n");
  EXPECT_EQ(shell("echo $GREETING"), "hello $(POD)\n") << "a variable is known to later ones only";
  EXPECT_EQ(shell("hostname"), "client\n");
}

TEST_F(SandboxTest, InitContainersRunInOrderBeforeTheRest) {
  EXPECT_EQ(shell("cat /shared/steps"), "one\ntwo\n");
  EXPECT_EQ(*sandbox->logs("client", "first"), "0\n")
      << "as root unless the manifest says otherwise";
}

TEST_F(SandboxTest, CapabilitiesAreThoseTheManifestGives) {
  EXPECT_NE(shell("ip addr show lo").find("192.0.2.9"), std::string::npos)
      << "the init container had NET_ADMIN";
  auto in_web = sandbox->exec("shop/web", {"ip", "addr", "add", "192.0.2.9/32", "dev", "lo"});
  ASSERT_TRUE(in_web);
  EXPECT_NE(in_web->code, 0) << "root without NET_ADMIN may not";
}

TEST_F(SandboxTest, ServicesAnswerByNameOverIpv4AndIpv6) {
  for (const char* family : {"-4", "-6"}) {
    const CommandResult result = run({"curl", "-sS", "-m", "10", family, "-o", "/dev/null", "-w",
                                      "%{http_code}", "http://web.shop:8080/"});
    EXPECT_EQ(result.out, "200") << family << " " << result.err;
  }
}

TEST_F(SandboxTest, OutsideNamesAreThoseTheSampleDeclaresAndNoOthers) {
  EXPECT_EQ(run({"curl", "-sS", "-m", "10", "-o", "/dev/null", "http://www.outside.example/"}).code,
            0);
  EXPECT_EQ(run({"curl", "-sS", "-m", "10", "http://example.com/"}).code, 6)
      << "curl: couldn't resolve host";
}

TEST_F(SandboxTest, APodSeesOnlyItsOwnProcessesAndFiles) {
  EXPECT_EQ(shell("ls -A /tmp /run /home | tr -d '\\n'"), "/home:/run:/tmp:");
  EXPECT_EQ(shell("ps ax | grep -c [n]ginx"), "0\n");
  auto written = sandbox->exec("shop/web", {"sh", "-c", "echo x > /etc/left-by-sandbox"});
  ASSERT_TRUE(written);
  EXPECT_EQ(written->code, 0) << written->err;
  EXPECT_FALSE(std::filesystem::exists("/etc/left-by-sandbox")) << "the machine is not touched";
}

TEST_F(SandboxTest, ACaptureHoldsWhatCrossedTheLink) {
  char file[] = "/tmp/sandbox_capture_XXXXXX";
  const UniqueFd made(mkstemp(file));
  {
    auto capture = sandbox->capture("client", file, "tcp port 80");
    ASSERT_TRUE(capture) << capture.error().context;
    EXPECT_EQ(run({"curl", "-sS", "-m", "10", "http://www.outside.example/marker-path"}).code, 0);
  }
  EXPECT_NE(read_file(file).find("GET /marker-path"), std::string::npos);
  unlink(file);
}

TEST_F(SandboxTest, WhatIsAppliedLaterReachesRunningPods) {
  ASSERT_TRUE(sandbox->apply(
      "more.yaml", "kind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: blue}\n"));
  EXPECT_EQ(shell("cat /etc/settings/colour"), "blue");
}

TEST_F(SandboxTest, WhatIsAppliedLaterAndNotRunIsSaid) {
  std::string said;
  auto attached = Sandbox::attach(options("unit").name,
                                  [&said](const std::string& line) { said += line + "\n"; });
  ASSERT_TRUE(attached);
  ASSERT_TRUE(attached->apply("set.yaml", "kind: StatefulSet\nmetadata: {name: s}\n"));
  ASSERT_TRUE(attached->wait_ready(std::chrono::seconds(30)));
  EXPECT_NE(said.find("the sandbox doesn't run kind StatefulSet"), std::string::npos) << said;
}

TEST_F(SandboxTest, WrongNamesSayWhatIsMissing) {
  EXPECT_NE(sandbox->exec("nobody", {"true"}).error().context.find("no pod or Deployment nobody"),
            std::string::npos);
  EXPECT_NE(sandbox->logs("client", "nothing").error().context.find("no container nothing"),
            std::string::npos);
}

TEST_F(SandboxTest, ASecondOneWithTheSameAddressesRunsBesideIt) {
  auto second = Sandbox::up({{"all.yaml", manifests}}, options("second"));
  ASSERT_TRUE(second) << second.error().context;
  EXPECT_EQ(
      second
          ->exec("client", {"curl", "-sS", "-m", "10", "-o", "/dev/null", "http://web.shop:8080/"})
          ->code,
      0);
  EXPECT_EQ(run({"curl", "-sS", "-m", "10", "-o", "/dev/null", "http://web.shop:8080/"}).code, 0);
  const auto same_name = Sandbox::up({{"all.yaml", manifests}}, options("second"));
  ASSERT_FALSE(same_name);
  EXPECT_NE(same_name.error().context.find("is up already"), std::string::npos);
}

// Processes of the supervisor's pid namespace that are still there, seen from outside.
bool any_process_in(const std::string& pid_namespace) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::filesystem::path link =
        std::filesystem::read_symlink(entry.path() / "ns/pid", error);
    if (!error && link == pid_namespace) return true;
  }
  return false;
}

TEST(SandboxEnd, AfterKill9OfTheSupervisorNothingIsLeft) {
  const Options with = options("killed");
  auto founded = start_supervisor(with.name, "");
  ASSERT_TRUE(founded) << founded.error().context;
  ASSERT_TRUE(send_frame(founded->socket.get(), {"apply", manifests, "all.yaml", manifests}));
  ASSERT_EQ(receive_frame(founded->socket.get())->at(0), "ok");
  const std::string ns =
      std::filesystem::read_symlink("/proc/" + std::to_string(founded->pid) + "/ns/pid");
  ASSERT_TRUE(any_process_in(ns));
  const std::string mounts = read_file("/proc/mounts"), links = read_file("/proc/net/dev");
  kill(founded->pid, SIGKILL);
  wait_for(founded->pid);
  EXPECT_FALSE(any_process_in(ns));
  EXPECT_FALSE(connect_to(with.name)) << "its name is free again";
  EXPECT_EQ(read_file("/proc/mounts"), mounts);
}

TEST(SandboxEnd, ItDiesWithTheProcessThatMadeIt) {
  const Options with = options("orphan");
  auto founded = start_supervisor(with.name, "");
  ASSERT_TRUE(founded);
  founded->socket.reset();  // what the kernel does when the process ends
  EXPECT_EQ(wait_for(founded->pid), 0);
}

TEST(SandboxFailures, AContainerThatKeepsEndingIsToldWithItsLog) {
  const auto up =
      Sandbox::up({{"a.yaml",
                    "kind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: c, image: x, "
                    "command: [sh, -c, 'echo the reason; exit 3']}\n"}},
                  options("failing"));
  ASSERT_FALSE(up);
  EXPECT_NE(up.error().context.find("default/p: container c ended with 3"), std::string::npos)
      << up.error().context;
  EXPECT_NE(up.error().context.find("the reason"), std::string::npos) << up.error().context;
}

TEST(SandboxFailures, AMissingSecretAndABadManifestAreTold) {
  const auto told = [](const std::string& text) {
    const auto up = Sandbox::up({{"a.yaml", text}}, options("bad"));
    return up ? std::string("up") : up.error().context;
  };
  EXPECT_NE(told("kind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: c, image: nginx}]\n"
                 "  volumes: [{name: v, secret: {secretName: absent}}]\n")
                .find("Secret absent doesn't exist"),
            std::string::npos);
  EXPECT_NE(told("kind: Pod\nspec: [\n").find("manifests:"), std::string::npos);
}

TEST(SandboxFailures, WhatInjectCannotReadIsNamedWithItsFileAndLine) {
  Options injecting = options("unreadable");
  injecting.inject = true;
  injecting.sallyport = find_program("sallyport");
  const auto up = Sandbox::up({{"a.yaml", "kind: ConfigMap\nmetadata: {name: a}\n"},
                               {"b.yaml", "kind: Pod\nmetadata:\n  name: x\n a: [\n"}},
                              injecting);
  ASSERT_FALSE(up);
  EXPECT_NE(up.error().context.find("b.yaml is \"-\""), std::string::npos) << up.error().context;
  EXPECT_NE(up.error().context.find("-:4: "), std::string::npos) << up.error().context;
}

TEST(SandboxFailures, APodThatIsNeverReadyIsNamedWhenTimeIsUp) {
  Options with = options("slow");
  with.ready_timeout = std::chrono::milliseconds(300);
  const auto up =
      Sandbox::up({{"a.yaml",
                    "kind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: c, image: x, "
                    "command: [sleep, infinity], ports: [{containerPort: 81}]}\n"}},
                  with);
  ASSERT_FALSE(up);
  EXPECT_NE(up.error().context.find("default/p  Waiting:c"), std::string::npos)
      << up.error().context;
}

std::string sleeper(const std::string& metadata, const std::string& more = "") {
  return "kind: Pod\napiVersion: v1\nmetadata: {" + metadata +
         "}\nspec:\n  containers:\n  - {name: c, image: x, command: [sleep, infinity]" + more +
         "}\n";
}

TEST(SandboxChanges, APodIsTakenBackReadyOrNotWhateverFileGaveIt) {
  auto up = Sandbox::up({{"a.yaml", sleeper("name: base")}}, options("delete"));
  ASSERT_TRUE(up) << up.error().context;
  const std::string never = sleeper("name: never", ", ports: [{containerPort: 81}]");
  ASSERT_TRUE(up->apply("stdin", never));
  EXPECT_FALSE(up->wait_ready(std::chrono::milliseconds(300)));
  EXPECT_FALSE(up->remove("never.yaml")) << "nothing came from a file of that name";
  const auto removed = up->remove("never.yaml", never);
  ASSERT_TRUE(removed) << removed.error().context;
  EXPECT_EQ(up->status()->size(), 1U);
  EXPECT_TRUE(up->wait_ready(std::chrono::seconds(10)));
}

TEST(SandboxChanges, ALaterPodIsInjectedAsTheClustersNamespacesSay) {
  Options injecting = options("namespaces");
  injecting.inject = true;
  auto up = Sandbox::up(
      {{"a.yaml",
        "kind: Namespace\nmetadata: {name: plain, labels: {istio-injection: disabled}}\n---\n" +
            sleeper("name: base, labels: {sidecar.istio.io/inject: \"false\"}")}},
      injecting);
  ASSERT_TRUE(up) << up.error().context;
  const auto applied = up->apply("b.yaml", sleeper("name: later, namespace: plain"));
  ASSERT_TRUE(applied) << applied.error().context;
  EXPECT_FALSE(up->logs("plain/later", "istio-proxy")) << "no sidecar";
}

}  // namespace
}  // namespace sallyport::sandbox
