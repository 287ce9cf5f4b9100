// Asks the application what kubelet asked the status port: httpGet, tcpSocket and grpc, from
// 127.0.0.6 (::6), which the pod's redirects let through to the application as it is.
//
// As Istio's agent: HTTPS is not verified, redirects to the same host are followed (up to ten), one
// to another host is a success, the application's status is passed through, its body up to 10 KiB.
//
// Threading: the io_context's thread; nothing blocks.
// Limits: limits::app_probes_at_once (503 beyond), the probe's own timeout over all of it.
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
