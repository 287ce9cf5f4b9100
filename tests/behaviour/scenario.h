// A sample running in a sandbox of its own, and what the scenarios ask of it.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "deploy/sandbox/sandbox.h"
#include "tests/support/indented.h"

namespace sallyport::behaviour {

// Calls `ask` until it says yes, for at most 20 s: for what another process does soon.
template <class Ask>
bool soon(Ask ask) {
  for (int i = 0; i < 400; i++) {
    if (ask()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

inline bool has(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

inline int count(const std::string& text, std::string_view part) {
  int found = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) found++;
  return found;
}

using test::indented;

class Scenario : public testing::Test {
protected:
  // `sample`: a folder of deploy/samples. `more`: further manifests, or other text for a file of
  // the sample; both by file name.
  void up(const std::string& sample, const sandbox::Files& more = {}) {
    auto manifests = sandbox::read_manifests(SALLYPORT_SOURCE_DIR "/deploy/samples/" + sample);
    ASSERT_TRUE(manifests) << manifests.error().context;
    for (const auto& [file, text] : more) (*manifests)[file] = text;
    start(*manifests);
  }

  void start(const sandbox::Files& manifests) {
    static int number = 0;
    sandbox::Options options;
    options.name = "test-" + std::to_string(getpid()) + "-" + std::to_string(++number);
    auto started = sandbox::Sandbox::up(manifests, options);
    ASSERT_TRUE(started) << started.error().context;
    sandbox_.emplace(std::move(*started));
  }

  sandbox::CommandResult exec(const std::string& pod, const std::vector<std::string>& argv,
                              const std::string& input = {}) {
    sandbox::ExecOptions options;
    options.input = input;
    auto result = sandbox_->exec(pod, argv, options);
    if (result) return *result;
    ADD_FAILURE() << result.error().context;
    return {};
  }

  // curl with a time limit; `more` behind it.
  sandbox::CommandResult curl(const std::string& pod, std::vector<std::string> more) {
    more.insert(more.begin(), {"curl", "-sS", "-m", "20"});
    return exec(pod, more);
  }

  // A shell command in the pod's sidecar container; $proxy is the sidecar's pid there.
  sandbox::CommandResult in_sidecar(const std::string& pod, const std::string& command) {
    const std::string find =
        "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline | grep -q 'sallyport [s]idecar' && "
        "proxy=${p#/proc/}; done; ";
    sandbox::ExecOptions options;
    options.container = "istio-proxy";
    auto result = sandbox_->exec(pod, {"sh", "-c", find + command}, options);
    if (result) return *result;
    ADD_FAILURE() << result.error().context;
    return {};
  }

  std::string logs(const std::string& pod, const std::string& container) {
    auto text = sandbox_->logs(pod, container);
    return text ? *text : "no log: " + text.error().context;
  }

  // The proxy's access log is written off the workers: a line is there soon, not at once.
  ::testing::AssertionResult logged(const std::string& pod, const std::string& container,
                                    std::string_view part) {
    if (soon([&] { return has(logs(pod, container), part); })) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << logs(pod, container);
  }

  void apply(const std::string& file, const std::string& text) {
    auto applied = sandbox_->apply(file, text);
    ASSERT_TRUE(applied) << applied.error().context;
  }

  // What crossed the pod's link while `action` ran: a packet at least, else whoever looks for what
  // must not be readable there would find nothing in nothing.
  template <class Action>
  std::string captured(const std::string& pod, Action action) {
    const std::string bytes = captured_if_any(pod, action);
    constexpr std::size_t file_header = 24;
    EXPECT_GT(bytes.size(), file_header) << "no packet was captured";
    return bytes;
  }
  template <class Action>
  std::string captured_if_any(const std::string& pod, Action action) {
    const std::string file =
        testing::TempDir() + "sallyport-wire-" + std::to_string(getpid()) + ".pcap";
    auto capture = sandbox_->capture(pod, file);
    if (!capture) {
      ADD_FAILURE() << capture.error().context;
      return {};
    }
    action();
    capture->stop();
    std::ostringstream bytes;
    bytes << std::ifstream(file, std::ios::binary).rdbuf();
    unlink(file.c_str());
    return bytes.str();
  }

  std::optional<sandbox::Sandbox> sandbox_;
};

}  // namespace sallyport::behaviour
