// Asks the application what kubelet asked the status port: httpGet, tcpSocket and grpc, from
// 127.0.0.6 (::6), which the pod's redirects let through to the application as it is.
//
// As Istio's agent: HTTPS is not verified, redirects to the same host are followed (up to ten), one
// to another host is a success, the application's status is passed through, its body up to 10 KiB.
// Whoever reaches the port may ask, also for a hook, as there: kubelet comes from the node's
// address and shows nothing that another could not. It can ask only for what the pod declares. But
// that way leads past the pod's policies, in plaintext under STRICT too, so unlike Istio's agent
// nothing goes along by which an application knows whom a proxy let in: x-forwarded-*, among them
// X-Forwarded-Client-Cert, and x-envoy-*.
//
// Threading: the io_context's thread; nothing blocks.
// Limits: limits::app_probes_at_once, app_hooks_at_once (503 beyond), the probe's own timeout over
// all of it.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "agent/admin/app_probes.h"
#include "agent/admin/message.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::admin {

// Counted apart from probes: a hook may take minutes, and liveness must not wait for it. Together
// they are fewer than the connections of a port.
inline constexpr std::size_t app_hooks_at_once = 16;

// Lines for the log; both may be empty. One when a probe begins to fail, with the cause, and one
// when it succeeds again: kubelet asks every few seconds.
struct ProbeLog {
  std::function<void(const std::string&)> info, warn;
};

class Prober {
public:
  Prober(boost::asio::io_context& io, AppProbes probes, const ProbeOptions& options,
         ProbeLog log = {});
  Prober(Prober&&) noexcept;
  ~Prober();  // probes under way go on, and answer
  // Answers 400 where no probe has this path.
  void probe(std::string_view path, const Request& request, const Done& done);

private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::admin
