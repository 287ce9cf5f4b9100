#include "agent/admin/status.h"

namespace sallyport::admin {
namespace {

constexpr const char* plain = "text/plain; charset=UTF-8";

// As Istio's agent, also in the order of its checks.
Response act(const Request& request, const std::function<void()>& action) {
  if (!request.from_loopback) return {403, "Only requests from localhost are allowed\n"};
  if (request.method != "POST") return {405, "Method Not Allowed\n", plain, "POST"};
  return {200, "OK", plain, {}, action};
}

// istio-agent's /debug/ndsz.
Response show_names(const Request& request, const std::string& names) {
  if (!request.from_loopback) return {403, "Only requests from localhost are allowed\n"};
  if (names.empty()) return {404, "{}", "application/json"};
  return {200, names, "application/json"};
}

}  // namespace

StatusPages::StatusPages(std::shared_ptr<Pages> pages, Prober prober, AppMetrics app_metrics,
                         StatusActions actions)
    : pages_(std::move(pages)),
      prober_(std::move(prober)),
      app_metrics_(std::move(app_metrics)),
      actions_(std::move(actions)) {}

void StatusPages::answer(const Request& request, const Done& done) {
  const std::string_view target = request.target;
  const auto path = target.substr(0, target.find('?'));
  if (path == "/healthz/ready") return done(pages_->answer_health(request));
  if (path == "/quitquitquit") return done(act(request, actions_.quit));
  if (path == "/drain") return done(act(request, actions_.drain));
  if (path == "/debug/ndsz") return done(show_names(request, actions_.names()));
  if (path.starts_with("/app-health/") || path.starts_with("/app-lifecycle/"))
    return prober_.probe(path, request, done);
  if (path == "/stats/prometheus" || path == "/metrics") {
    if (request.method == "GET") return app_metrics_.merge(request, pages_->metrics(), done);
    return done({405, "only GET is allowed here\n", plain, "GET"});
  }
  done({404,
        "no such page; there are:\n  /healthz/ready\n  /stats/prometheus\n  /drain (POST)\n"
        "  /quitquitquit (POST)\n  /app-health/CONTAINER/{livez,readyz,startupz}\n"
        "  /app-lifecycle/CONTAINER/{prestopz,poststartz}\n  /debug/ndsz\n"});
}

}  // namespace sallyport::admin
