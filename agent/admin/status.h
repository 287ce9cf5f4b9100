// The status port (15020): /healthz/ready, /metrics and /stats/prometheus (the proxy's own and the
// application's), /quitquitquit and /drain
// (POST, from this pod only), and the application's probes under /app-health/ and /app-lifecycle/.
//
// Threading: the configuration thread.
#pragma once
#include <functional>
#include <memory>

#include "agent/admin/app_metrics.h"
#include "agent/admin/pages.h"
#include "agent/admin/prober.h"

namespace sallyport::admin {

struct StatusActions {
  std::function<void()> drain, quit;   // called once the answer is out
  std::function<std::string()> names;  // the DNS proxy's, as JSON; empty: DNS is not captured
};

class StatusPages {
public:
  StatusPages(std::shared_ptr<Pages> pages, Prober prober, AppMetrics app_metrics,
              StatusActions actions);
  StatusPages(const StatusPages&) = delete;

  // `done` is called at once, or later on the same thread; then the StatusPages may be gone.
  void answer(const Request& request, const Done& done);

private:
  std::shared_ptr<Pages> pages_;
  Prober prober_;
  AppMetrics app_metrics_;
  StatusActions actions_;
};

}  // namespace sallyport::admin
