// How the proxy's container is started before the application's and ended after it: hooks that
// `inject` writes, run as kubelet would.
#include <filesystem>

#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

// At its start the application says whether the proxy is ready; at its end it waits until the proxy
// drains, and writes that down in `notes`.
std::string pod(const std::string& annotations, const std::string& notes) {
  const std::string ask =
      "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:15021/healthz/ready";
  return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: job\n  annotations: {" + annotations +
         "}\nspec:\n"
         "  terminationGracePeriodSeconds: 20\n"
         "  containers:\n"
         "  - name: app\n"
         "    image: curl\n"
         "    securityContext: {runAsUser: 0}\n"
         "    command:\n"
         "    - sh\n"
         "    - -c\n"
         "    - |\n"
         "      trap 'until [ $(" +
         ask +
         ") = 503 ]; do sleep 0.1; done; "
         "echo drained first > /notes/end; exit 0' TERM\n"
         "      echo proxy: $(" +
         ask +
         ")\n"
         "      while :; do sleep 0.1; done\n"
         "    volumeMounts: [{name: notes, mountPath: /notes}]\n"
         "  volumes: [{name: notes, hostPath: {path: " +
         notes + "}}]\n";
}

class Lifecycle : public Scenario {
protected:
  Lifecycle() : notes_(testing::TempDir() + "sallyport-lifecycle-" + std::to_string(getpid())) {
    std::filesystem::create_directories(notes_);
  }
  ~Lifecycle() override {
    sandbox_.reset();
    std::filesystem::remove_all(notes_);
  }
  void up_with(const std::string& annotations) {
    up("egress-mtls", {{"job.yaml", pod(annotations, notes_)}});
    EXPECT_TRUE(logged("job", "app", "proxy: 200")) << "the proxy was there first";
  }
  std::string note() const {
    std::string line;
    std::getline(std::ifstream(notes_ + "/end") >> std::ws, line);
    return line;
  }

  const std::string notes_;
};

TEST_F(Lifecycle, HoldApplicationUntilProxyStarts) {
  up_with("proxy.istio.io/config: '{holdApplicationUntilProxyStarts: true}'");
}

TEST_F(Lifecycle, ANativeSidecarDrainsFirstAndEndsLast) {
  up_with("sidecar.istio.io/nativeSidecar: 'true'");
  ASSERT_TRUE(sandbox_->remove("job.yaml"));
  EXPECT_TRUE(soon([&] { return note() == "drained first"; }));
}

}  // namespace
}  // namespace sallyport::behaviour
