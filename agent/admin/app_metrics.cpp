#include "agent/admin/app_metrics.h"

#include <boost/beast/core/string.hpp>
#include <charconv>

#include "agent/core/limits.h"
#include "certs/describe.h"

namespace sallyport::admin {
namespace {

constexpr std::string_view open_metrics = "application/openmetrics-text";
constexpr std::string_view open_metrics_end = "# EOF";

std::string value_of(const Request& request, std::string_view name) {
  for (const auto& [key, value] : request.headers) {
    if (boost::beast::iequals(key, name)) return value;
  }
  return {};
}

// What Prometheus says that it waits, "9.5"; else ours.
std::chrono::milliseconds time_for(const std::string& seconds_text) {
  double seconds = 0;
  const char* const end = seconds_text.data() + seconds_text.size();
  const auto read = std::from_chars(seconds_text.data(), end, seconds);
  if (seconds_text.empty() || read.ptr != end || !(seconds > 0)) return limits::app_metrics_time;
  constexpr double most = std::chrono::duration<double>(limits::app_metrics_time_max).count();
  return std::chrono::milliseconds(static_cast<int64_t>(std::min(seconds, most) * 1000));
}

// Its end-of-text line goes: others may follow.
void append_metrics(std::string& out, std::string_view body) {
  const auto last = body.find_last_not_of(" \t\r\n");
  const auto trimmed = body.substr(0, last == body.npos ? 0 : last + 1);
  if (trimmed.ends_with(open_metrics_end))
    body = trimmed.substr(0, trimmed.size() - open_metrics_end.size());
  out += body;
  if (!body.empty() && body.back() != '\n') out += '\n';
}

}  // namespace

struct AppMetrics::State {
  boost::asio::io_context& io;
  ScrapeTargets targets;
  std::function<void(const std::string&)> warn;
  std::size_t running = 0;  // merges
  uint64_t scrapes = 0, failures = 0;
  std::string told = {};  // the last problem; empty: all went well
};

// One request of Prometheus under way.
struct AppMetrics::Merge {
  std::shared_ptr<State> state;
  Response answer;
  Done done;
  std::vector<Scraped> scraped = {};  // by target
  std::size_t missing = 0;

  void finish();
};

void AppMetrics::Merge::finish() {
  std::string problem;
  std::string bodies, type;
  for (std::size_t i = 0; i < scraped.size(); i++) {
    const Scraped& one = scraped[i];
    if (!one.problem.empty()) {
      state->failures++;
      problem = "port " + std::to_string(state->targets[i].port) + state->targets[i].path + ": " +
                one.problem;
      continue;
    }
    append_metrics(bodies, one.body);
    if (type.empty() && boost::beast::iequals(one.content_type.substr(0, open_metrics.size()),
                                              std::string(open_metrics)))
      type = one.content_type;
  }
  if (problem != state->told && !problem.empty() && state->warn)
    state->warn("the application's metrics can't be had: " + certs::printable(problem, 300));
  state->told = std::move(problem);
  answer.body += "# TYPE istio_agent_scrapes_total counter\nistio_agent_scrapes_total " +
                 std::to_string(state->scrapes) +
                 "\n# TYPE istio_agent_scrape_failures_total counter\n"
                 "istio_agent_scrape_failures_total{type=\"application\"} " +
                 std::to_string(state->failures) + "\n";
  answer.body += bodies;
  if (!type.empty()) {
    answer.content_type = certs::printable(type, 200);
    answer.body.append(open_metrics_end) += '\n';
  }
  done(std::move(answer));
}

AppMetrics::AppMetrics(boost::asio::io_context& io, ScrapeTargets targets,
                       std::function<void(const std::string&)> warn)
    : state_(std::make_shared<State>(State{io, std::move(targets), std::move(warn)})) {}

void AppMetrics::merge(const Request& request, Response own, const Done& done) {
  if (state_->targets.empty()) return done(std::move(own));
  state_->scrapes++;
  auto merge = std::make_shared<Merge>(Merge{state_, std::move(own), done});
  merge->missing = state_->targets.size();
  merge->scraped.resize(merge->missing);
  if (state_->running >= limits::app_metrics_at_once) {
    for (Scraped& one : merge->scraped) one.problem = "too many scrapes are under way";
    return merge->finish();
  }
  state_->running++;
  const std::string timeout_text = value_of(request, "X-Prometheus-Scrape-Timeout-Seconds");
  for (std::size_t i = 0; i < merge->scraped.size(); i++) {
    run_scrape(state_->io, {.target = state_->targets[i],
                            .user_agent = value_of(request, "User-Agent"),
                            .timeout_text = timeout_text,
                            .deadline = std::chrono::steady_clock::now() + time_for(timeout_text),
                            .done = [merge, i](Scraped scraped) {
                              merge->scraped[i] = std::move(scraped);
                              if (--merge->missing > 0) return;
                              merge->state->running--;
                              merge->finish();
                            }});
  }
}

}  // namespace sallyport::admin
