#include "agent/admin/pages.h"

#include <algorithm>
#include <ctime>
#include <set>

#include "agent/admin/certificates.h"
#include "agent/admin/clusters.h"
#include "agent/admin/config_dump.h"
#include "agent/admin/egress.h"
#include "agent/admin/json.h"
#include "certs/expiry.h"

namespace sallyport::admin {
namespace {

constexpr const char* json_type = "application/json";
constexpr const char* prometheus_type = "text/plain; version=0.0.4; charset=UTF-8";

Response json(std::string body) { return {200, std::move(body), json_type}; }

void put(std::string& out, std::string_view name, std::string_view type, std::string_view labels,
         int64_t value) {
  out += "# TYPE " + std::string(name) + " " + std::string(type) + "\n" + std::string(name) + "{" +
         std::string(labels) + "} " + std::to_string(value) + "\n";
}

// A label's value in Prometheus' text format.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

void put_expiries(std::string& out, const certs::Vault& vault, int64_t now) {
  constexpr std::string_view name = "istio_agent_cert_expiry_seconds";
  std::string lines;
  std::set<std::string> seen;  // a bundle may hold a certificate twice; a series is listed once
  for (const certs::Expiry& expiry : certs::expiries(vault)) {
    if (expiry.serial.empty()) continue;  // a CRL
    const std::string series = std::string(name) + "{resource_name=" + quoted(expiry.resource) +
                               ",serial_number=" + quoted(expiry.serial) +
                               ",subject=" + quoted(expiry.subject) + "} ";
    if (seen.insert(series).second) lines += series + std::to_string(expiry.until - now) + "\n";
  }
  if (!lines.empty()) out += "# TYPE " + std::string(name) + " gauge\n" + lines;
}

}  // namespace

const Pages::Page Pages::pages[] = {
    {"/", "this list", false, &Pages::help},
    {"/certs", "certificates in use, with their expiry", false, &Pages::certs},
    {"/clusters", "endpoints of each cluster (?format=json)", false, &Pages::clusters},
    {"/config_dump", "the configuration in force, with the resources it came from", false,
     &Pages::config_dump},
    {"/debug/egressz", "destinations beyond the registry that were talked to (--learn)", false,
     &Pages::egress},
    {"/drain_listeners",
     "stop taking connections (?inboundonly), answers ask clients to leave first (?graceful)", true,
     &Pages::drain},
    {"/healthcheck/fail", "answer readiness checks with 503", true, &Pages::fail},
    {"/healthcheck/ok", "answer readiness checks truthfully again", true, &Pages::recover},
    {"/help", "this list", false, &Pages::help},
    {"/logging", "log levels; sets them too (?level=debug for all, ?config=debug for one)", true,
     &Pages::logging},
    {"/quitquitquit", "end the process", true, &Pages::quit},
    {"/ready", "200 LIVE when traffic can be taken, else 503", false, &Pages::ready},
    {"/server_info", "version, state, uptime", false, &Pages::server_info},
    {"/stats", "counters (?format=prometheus)", false, &Pages::stats},
    {"/stats/prometheus", "counters in Prometheus' text format", false, &Pages::stats_prometheus},
};

Pages::Pages(Sources sources) : sources_(std::move(sources)) {}

std::string_view Pages::Query::get(std::string_view name) const {
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto one = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    const auto equals = std::min(one.find('='), one.size());
    if (one.substr(0, equals) == name) return one.substr(std::min(one.size(), equals + 1));
  }
  return {};
}

bool Pages::Query::has(std::string_view name) const {
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto one = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    if (one.substr(0, one.find('=')) == name) return true;
  }
  return false;
}

void Pages::answer(const Request& request, const Done& done) {
  const std::string_view target = request.target;
  const auto path = target.substr(0, target.find('?'));
  const Query query{target.substr(std::min(target.size(), path.size() + 1))};
  const auto page = std::find_if(std::begin(pages), std::end(pages),
                                 [path](const Page& one) { return one.path == path; });
  if (page == std::end(pages)) {
    return done({404, "no such page; there are:\n" + list()});
  }
  if (page->mutates ? request.method != "POST" : request.method != "GET") {
    const std::string allowed = page->mutates ? "POST" : "GET";
    return done(
        {405, "only " + allowed + " is allowed here\n", "text/plain; charset=UTF-8", allowed});
  }
  (this->*page->handler)(query, done);
}

Response Pages::answer_health(const Request& request) {
  const std::string_view target = request.target;
  if (target.substr(0, target.find('?')) != "/healthz/ready") return {404, "only /healthz/ready\n"};
  if (request.method != "GET") return {405, "", "text/plain; charset=UTF-8", "GET"};
  const auto now = state();
  if (now == "LIVE") return {200, ""};
  return {503, std::string(now) + "\n" + missing()};
}

Response Pages::answer_metrics(const Request& request) {
  const std::string_view target = request.target;
  if (target.substr(0, target.find('?')) != "/stats/prometheus")
    return {404, "only /stats/prometheus\n"};
  if (request.method != "GET") return {405, "", "text/plain; charset=UTF-8", "GET"};
  return metrics();
}

std::string Pages::list() {
  std::string out;
  for (const Page& page : pages) {
    const std::string what = std::string(page.path) + (page.mutates ? " (POST)" : "");
    out += "  " + what + ": " + std::string(page.help) + "\n";
  }
  return out;
}

std::string_view Pages::state() {
  const std::string lacks = missing();
  const std::string_view now = sources_.draining() || failing_ ? "DRAINING"
                               : lacks.empty()                 ? "LIVE"
                                                               : "INITIALIZING";
  tell(now, lacks);
  return now;
}

std::string Pages::missing() const {
  std::string lines;
  for (const Condition& condition : sources_.conditions) {
    const std::string why = condition.missing();
    if (!why.empty()) lines += condition.name + ": " + why + "\n";
  }
  return lines;
}

// What readiness waits for, each time that it has changed: a probe a second must not fill the log.
void Pages::tell(std::string_view state, const std::string& missing) {
  std::string line = state == "LIVE" ? "the proxy is ready" : "the proxy is NOT ready";
  if (state == "DRAINING") line += ": draining";
  for (std::string_view rest = state == "LIVE" ? std::string_view() : missing; !rest.empty();) {
    const auto end = rest.find('\n');
    line.append(line.ends_with("ready") ? ": " : "; ").append(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  if (line == told_) return;
  told_ = line;
  if (sources_.log) sources_.log(line);
}

void Pages::help(Query, const Done& done) { done({200, "admin commands are:\n" + list()}); }

void Pages::ready(Query, const Done& done) {
  const auto now = state();
  done({now == "LIVE" ? 200 : 503,
        std::string(now) + "\n" + (now == "LIVE" ? std::string() : missing())});
}

void Pages::config_dump(Query, const Done& done) {
  done(json(admin::config_dump(*sources_.config.snapshots().current(),
                               *sources_.config.vault().current(), sources_.config.findings())));
}

void Pages::clusters(Query query, const Done& done) {
  const bool as_json = query.get("format") == "json";
  // The snapshot of now: the workers may answer when these pages are gone.
  sources_.clusters(
      [done, as_json, snapshot = sources_.config.snapshots().current()](const ClusterInfos& infos) {
        const auto all = merged(*snapshot, infos);
        done(as_json ? json(clusters_json(all)) : Response{200, clusters_text(*snapshot, all)});
      });
}

void Pages::egress(Query, const Done& done) {
  if (!sources_.egress)
    return done(
        {404, "nothing is learned: start the sidecar with --learn (EGRESS_LEARNING=true)\n"});
  sources_.egress([done, snapshot = sources_.config.snapshots().current()](auto report) {
    judge(*snapshot, report);
    done(json(egress_json(report)));
  });
}

void Pages::certs(Query, const Done& done) {
  done(json(certificates_json(*sources_.config.vault().current(), std::time(nullptr))));
}

std::string Pages::prometheus() const {
  std::string out = observe::prometheus_text(sources_.workers);
  const auto uptime = std::chrono::steady_clock::now() - started_;
  put(out, "istio_build", "gauge", "component=\"proxy\",tag=\"" SALLYPORT_VERSION "\"", 1);
  put(out, "envoy_server_uptime", "gauge", "",
      std::chrono::duration_cast<std::chrono::seconds>(uptime).count());
  put(out, "envoy_server_concurrency", "gauge", "", int64_t(sources_.workers.size()));
  put(out, "sallyport_config_loads_total", "counter", "", int64_t(sources_.config.loads()));
  put(out, "sallyport_config_rejected_total", "counter", "", int64_t(sources_.config.rejected()));
  put_expiries(out, *sources_.config.vault().current(), std::time(nullptr));
  if (sources_.more_metrics) out += sources_.more_metrics();
  return out;
}

Response Pages::metrics() { return {200, prometheus(), prometheus_type}; }

void Pages::stats_prometheus(Query, const Done& done) { done(metrics()); }

// "name: value", as Envoy's plain listing, of what Prometheus is told; labels stay behind the name.
void Pages::stats(Query query, const Done& done) {
  if (query.get("format") == "prometheus") return stats_prometheus(query, done);
  std::string out;
  const std::string all = prometheus();
  for (std::string_view rest = all; !rest.empty();) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const auto space = line.rfind(' ');
    if (line.starts_with('#') || space == line.npos) continue;
    std::string_view name = line.substr(0, space);
    if (name.ends_with("{}")) name.remove_suffix(2);
    out += std::string(name) + ": " + std::string(line.substr(space + 1)) + "\n";
  }
  done({200, std::move(out)});
}

void Pages::server_info(Query, const Done& done) {
  const auto snapshot = sources_.config.snapshots().current();
  const auto uptime = std::chrono::steady_clock::now() - started_;
  const auto seconds =
      std::to_string(std::chrono::duration_cast<std::chrono::seconds>(uptime).count()) + "s";
  JsonWriter out;
  out.object([&] {
    out.field("version", "sallyport/" SALLYPORT_VERSION);
    out.field("state", failing_ ? "DRAINING" : state());
    out.field("uptime_current_epoch", seconds);
    out.field("uptime_all_epochs", seconds);
    out.object("node", [&] {
      out.field("id", node_id(*snapshot));
      dump_node_metadata(out, snapshot->proxy);
    });
  });
  done(json(out.take()));
}

void Pages::logging(Query query, const Done& done) {
  if (!sources_.set_log_level || !sources_.log_levels) {
    return done({501, "log levels can't be changed at run time\n"});
  }
  const auto equals = std::min(query.text.find('='), query.text.size());
  const std::string logger(query.text.substr(0, equals));
  const std::string level(query.text.substr(std::min(query.text.size(), equals + 1)));
  if (!logger.empty() && !sources_.set_log_level(logger == "level" ? "" : logger, level)) {
    return done({400,
                 "usage: /logging?level=<level> (all loggers)\n"
                 "usage: /logging?<logger>=<level> (one of those that /logging lists)\n"
                 "levels: trace debug info warning error critical off\n"});
  }
  std::string out = "active loggers:\n";
  for (const auto& [name, now] : sources_.log_levels()) out += "  " + name + ": " + now + "\n";
  done({200, std::move(out)});
}

void Pages::quit(Query, const Done& done) {
  done({200, "OK\n", "text/plain; charset=UTF-8", {}, sources_.quit});
}

// Envoy's words and rules.
void Pages::drain(Query query, const Done& done) {
  const Drain how{.inbound_only = query.has("inboundonly"),
                  .graceful = query.has("graceful"),
                  .keep_listening = query.has("skip_exit")};
  if (how.keep_listening && !how.graceful) {
    return done({400, "skip_exit requires graceful\n"});
  }
  sources_.drain(how);
  done({200, "OK\n"});
}

void Pages::fail(Query, const Done& done) {
  failing_ = true;
  done({200, "OK\n"});
}

void Pages::recover(Query, const Done& done) {
  failing_ = false;
  done({200, "OK\n"});
}

}  // namespace sallyport::admin
