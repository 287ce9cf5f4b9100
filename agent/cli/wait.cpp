#include "agent/cli/wait.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <thread>

#include "agent/cli/admin_client.h"
#include "agent/cli/command_line.h"

namespace sallyport::cli {
namespace {

using std::chrono::milliseconds;

struct WaitUrl {
  std::vector<SocketAddress> addresses;  // to be tried in this order
  std::string target;
};

// http://ADDRESS[:PORT][/PATH]; localhost is both loopback addresses.
std::optional<WaitUrl> parse_wait_url(std::string_view text) {
  constexpr std::string_view scheme = "http://";
  if (!text.starts_with(scheme)) return std::nullopt;
  text.remove_prefix(scheme.size());
  const auto slash = std::min(text.find('/'), text.size());
  std::string host(text.substr(0, slash));
  if (host.find_first_of(":]", host.rfind(']') + 1) == host.npos || host.ends_with(']'))
    host += ":80";
  WaitUrl url{.target = slash == text.size() ? "/" : std::string(text.substr(slash))};
  const bool local = host.starts_with("localhost:");
  for (const char* name : {"127.0.0.1", "[::1]"}) {
    const auto address = SocketAddress::parse(
        local ? name + host.substr(std::string_view("localhost").size()) : host);
    if (!address) return std::nullopt;
    url.addresses.push_back(*address);
    if (!local) break;
  }
  return url;
}

Result<std::string> ask(const WaitUrl& url, const std::string& method, milliseconds time) {
  auto answer = ask_admin(url.addresses.front(), method, url.target, time);
  for (std::size_t i = 1; i < url.addresses.size() && !answer; ++i) {
    auto other = ask_admin(url.addresses[i], method, url.target, time);
    if (other) return other;
  }
  return answer;
}

}  // namespace

int run_wait(int argc, char** argv) {
  CLI::App app("Waits until the proxy of this pod is ready.", "sallyport wait");
  std::string url_text = "http://localhost:15021/healthz/ready";
  int timeout_seconds = 60, request_timeout_ms = 500, period_ms = 500;
  app.add_option("--timeoutSeconds", timeout_seconds, "seconds to wait for at most")
      ->check(CLI::Range(0, 86'400))
      ->capture_default_str();
  app.add_option("--requestTimeoutMillis", request_timeout_ms, "milliseconds for one answer")
      ->check(CLI::Range(1, 3'600'000))
      ->capture_default_str();
  app.add_option("--periodMillis", period_ms, "milliseconds between two requests")
      ->check(CLI::Range(1, 3'600'000))
      ->capture_default_str();
  app.add_option("--url", url_text, "what to ask")->capture_default_str();
  app.footer(
      "\nExamples:\n"
      "    sallyport wait\n"
      "    sallyport wait --timeoutSeconds 10 --url http://127.0.0.1:15020/healthz/ready\n\n"
      "Exit codes: 0 ready, 1 not in time (with what it last said), 2 wrong command line");
  if (const auto code = parse(app, argc, argv)) return *code;
  const auto url = parse_wait_url(url_text);
  if (!url) return wrong_usage(app, "--url: \"" + url_text + "\" is not http://ADDRESS:PORT/PATH");

  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_seconds);
  for (;;) {
    const auto answer = ask(*url, "GET", milliseconds(request_timeout_ms));
    if (answer) return 0;
    if (std::chrono::steady_clock::now() + milliseconds(period_ms) >= end) {
      std::fprintf(stderr, "sallyport wait: not ready within %d seconds: %s\n", timeout_seconds,
                   answer.error().context.c_str());
      return 1;
    }
    std::this_thread::sleep_for(milliseconds(period_ms));
  }
}

int run_request(int argc, char** argv) {
  CLI::App app("Makes a request to the proxy of this pod and prints the answer.",
               "sallyport request");
  std::string method, path;
  int port = 15000;
  app.add_option("METHOD", method, "GET or POST")->required();
  app.add_option("PATH", path, "as /stats or drain")->required();
  app.add_option("--debug-port", port, "15000 admin, 15020 status, 15021 health")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  app.footer(
      "\nExamples:\n"
      "    sallyport request GET /stats\n"
      "    sallyport request --debug-port=15020 POST drain\n\n"
      "Exit codes: 0 answered with 200, 1 not, 2 wrong command line");
  if (const auto code = parse(app, argc, argv)) return *code;
  const auto url = parse_wait_url("http://localhost:" + std::to_string(port) +
                                  (path.starts_with('/') ? "" : "/") + path);
  const auto answer = ask(*url, method, milliseconds(60'000));
  if (!answer) {
    std::fprintf(stderr, "sallyport request: %s\n", answer.error().context.c_str());
    return 1;
  }
  std::fwrite(answer->data(), 1, answer->size(), stdout);
  return 0;
}

}  // namespace sallyport::cli
