// A mesh changes its root while requests go on: the new one is trusted first, signs then, and the
// old one is dropped at last (Istio's "root transition").
#include "tests/behaviour/identity_scenario.h"

namespace sallyport::behaviour {
namespace {

class RootRotation : public IdentityScenario {
protected:
  // Both pods have certificates that they asked for after now.
  void await_new_certificates() {
    for (const std::string pod : {"a", "b"}) {
      for (int renewed = 0; renewed < 2; renewed++) {  // the first may have been under way
        const auto last = serial(pod);
        ASSERT_TRUE(soon([&] { return serial(pod) != last; })) << logs(pod, "istio-proxy");
      }
    }
  }
  // As `proxy-config secret` shows it.
  bool trusts_only(const std::string& pod, const test::Authority& root) {
    std::ostringstream number;
    number << std::hex << root.serial();
    const std::regex row("ROOTCA +CA +ACTIVE +true +0*" + number.str() + " ");
    return std::regex_search(secrets(pod), row);
  }
};

TEST_F(RootRotation, NoRequestFailsWhileTheMeshChangesItsRoot) {
  ASSERT_NO_FATAL_FAILURE(up_with("8s"));
  exec("b", {"sh", "-c", "python3 -c \"$0\" >/dev/null 2>&1 &", web_server});
  ASSERT_TRUE(soon([&] { return has(curl("a", {"http://b/"}).out, "ok"); }));
  const auto stop = "/tmp/stop";
  exec("a", {"sh", "-c", "python3 -c \"$0\" 600 $1 > /tmp/load 2>&1 &", load, stop});

  const auto next = test::Authority::root("Next Mesh Root");
  apply("cacerts.yaml", ca_files(root_, root_.pem() + next.pem()));
  ASSERT_NO_FATAL_FAILURE(await_new_certificates());
  apply("cacerts.yaml", ca_files(next, root_.pem() + next.pem()));
  ASSERT_NO_FATAL_FAILURE(await_new_certificates());
  apply("cacerts.yaml", ca_files(next, next.pem()));
  ASSERT_NO_FATAL_FAILURE(await_new_certificates());

  exec("a", {"touch", stop});
  ASSERT_TRUE(soon([&] { return has(exec("a", {"cat", "/tmp/load"}).out, "failed"); }));
  const auto result = exec("a", {"cat", "/tmp/load"}).out;
  EXPECT_TRUE(has(result, " requests, 0 failed\n")) << result;
  for (const std::string pod : {"a", "b"}) EXPECT_TRUE(trusts_only(pod, next)) << secrets(pod);
  std::cout << result;
}

}  // namespace
}  // namespace sallyport::behaviour
