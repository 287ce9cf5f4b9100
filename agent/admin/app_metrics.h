// The application's own metrics, which the status port (15020) gives out behind the proxy's: where
// they are the injector leaves in ISTIO_PROMETHEUS_ANNOTATIONS, a JSON object of the pod's
// prometheus.io annotations (istio/istio:pilot/cmd/pilot-agent/status/server.go).
//
// Threading: the io_context's thread; nothing blocks.
// Limits: limits::app_metrics_targets, app_metrics_bytes of each answer, app_metrics_time (or what
//         Prometheus says that it waits, at most app_metrics_time_max), app_metrics_at_once.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/admin/message.h"
#include "agent/core/error.h"

namespace boost::asio {
class io_context;
}

namespace sallyport::admin {

struct ScrapeTarget {
  uint16_t port = 80;
  std::string path = "/metrics";
};
using ScrapeTargets = std::vector<ScrapeTarget>;  // empty: the application has no metrics

// {"scrape": "true", "port": "8080", "path": "/metrics", "targets": [{"port": ..., "path": ...}]},
// numbers as texts; an empty text, or scrape "false": none. Error: what is wrong, with the
// variable's name; also a port of the proxy's own, `status_port` among them: it would scrape
// itself.
Result<ScrapeTargets> decode_scrape_targets(std::string_view json, uint16_t status_port);

// What one target said.
struct Scraped {
  std::string problem;  // empty: `body` is its answer
  std::string body, content_type;
};
struct ScrapeCall {
  ScrapeTarget target;
  std::string user_agent, timeout_text;  // handed on, as Istio's agent does; empty: not sent
  std::chrono::steady_clock::time_point deadline;
  std::function<void(Scraped)> done;  // called once, never from within run_scrape()
};
// Over loopback, which nothing redirects: 127.0.0.1, else ::1.
void run_scrape(boost::asio::io_context& io, ScrapeCall call);

class AppMetrics {
public:
  // `warn`: gets a line when a scrape begins to fail; may be empty.
  AppMetrics(boost::asio::io_context& io, ScrapeTargets targets,
             std::function<void(const std::string&)> warn = {});
  // `own` with the targets' metrics behind it, in their order; those that fail are left out and
  // counted. `done` is called at once, or later on the same thread; this may be gone then.
  void merge(const Request& request, Response own, const Done& done);

private:
  struct State;
  struct Merge;
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::admin
