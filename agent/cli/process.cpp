#include "agent/cli/process.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <thread>

#include "agent/admin/server.h"
#include "agent/cli/agent_settings.h"
#include "agent/cli/ask_workers.h"
#include "agent/cli/dns_proxy.h"
#include "agent/cli/gateway_listeners.h"
#include "agent/cli/learning.h"
#include "agent/cli/listening.h"
#include "agent/cli/logging.h"
#include "agent/cli/mesh_config.h"
#include "agent/cli/os_limits.h"
#include "agent/cli/shutdown.h"
#include "agent/cli/udp_policy.h"
#include "agent/cli/workload_identity.h"
#include "agent/config/service.h"
#include "agent/core/spiffe.h"
#include "agent/net/listener.h"
#include "agent/observe/access_log.h"
#include "agent/proxy/worker.h"
#include "certs/ca/identity_manager.h"

namespace sallyport::cli {
namespace {

namespace asio = boost::asio;
using ClusterInfos = std::vector<upstream::Upstreams::ClusterInfo>;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::optional<istio::Finding> check_log_format(const istio::MeshConfig& mesh) {
  const auto findings = log_format_findings(mesh, "");
  const auto* error = first_error(findings);
  return error ? std::optional(*error) : std::nullopt;
}

class Process {
public:
  explicit Process(const ProcessOptions& options)
      : options_(options),
        config_(io_,
                {.directory = options.config_directory,
                 .mesh_config_file = options.mesh_config_file,
                 .proxy = options.proxy,
                 .cluster_domain = options.cluster_domain,
                 .outbound_port = options.outbound_port,
                 .inbound_port = options.inbound_port,
                 .check_mesh = check_log_format,
                 .info = [](const std::string& line) { log_info(line, Logger::config); }},
                [](const std::string& line) { log_warning(line, Logger::config); }),
        gateway_listeners_(io_, workers_, options.proxy,
                           {.info = [](const std::string& line) { log_info(line); },
                            .warn = [](const std::string& line) { log_warning(line); }}),
        signals_(io_, SIGTERM, SIGINT),
        requests_(io_, SIGHUP, SIGUSR1),
        shutdown_(io_, {.drain = [this](const auto& what) { drain_workers(what); },
                        .connections = [this] { return connections(); },
                        .end = [this] { io_.stop(); },
                        .log = [](const std::string& line) { log_info(line); }}) {}
  ~Process();

  Result<void> start();
  void run();

private:
  void start_identity(const istio::MeshConfig& mesh);
  void lack_identity(const istio::MeshConfig& mesh);
  bool has_certificate() const;  // or needs none
  std::string missing_certificate() const;
  bool of_gateway() const { return options_.proxy.type == istio::Proxy::Type::router; }
  Result<void> open_workers(const istio::MeshConfig& mesh);
  void judge_udp(rules::UdpPolicy::Kernel kernel);
  Result<void> open_admin();
  uint16_t status_port() const;
  admin::Ports ports() const;
  void follow(const mesh::Snapshot& snapshot);
  void follow_log(const mesh::Snapshot& snapshot);
  void tell_log(const mesh::AccessLogging& logging);
  void tell_metrics(const mesh::StandardMetricsConfig& metrics);
  void await_end();
  void await_requests();
  ShutdownTimes shutdown_times() const;
  void drain_workers(const proxy::Worker::Drain& what);
  uint64_t connections() const;
  std::vector<admin::Condition> conditions() const;
  void collect_clusters(std::function<void(ClusterInfos)> done);
  std::string more_metrics() const;

  const ProcessOptions& options_;
  asio::io_context io_{1};
  config::Service config_;
  std::unique_ptr<ca::IdentityManager> identity_;  // null: the workload has no certificate
  std::unique_ptr<observe::AccessLog> access_log_;
  std::vector<std::unique_ptr<observe::WorkerMetrics>> metrics_;
  std::vector<std::unique_ptr<proxy::Worker>> workers_;
  std::unique_ptr<Learning> learning_;            // null: not asked for
  std::unique_ptr<rules::UdpPolicy> udp_policy_;  // null: UDP passes by
  GatewayListeners gateway_listeners_;            // none of a sidecar
  std::vector<std::thread> threads_;
  std::unique_ptr<admin::Server> admin_;
  asio::signal_set signals_, requests_;
  Shutdown shutdown_;
  AgentSettings settings_;                  // as of the start
  std::vector<observe::LogSettings> told_;  // tell_log's last
  std::vector<std::string> told_of_metrics_;
  bool started_ = false;
};

Result<void> Process::start() {
  auto udp = open_udp_policy(options_.proxy, options_.proxy_uid);
  if (!udp) return udp.error();
  raise_descriptor_limit();
  if (auto loaded = config_.start(); !loaded) return loaded.error();
  const istio::MeshConfig mesh = config_.snapshots().current()->mesh;
  auto settings = agent_settings(mesh, environment);
  if (!settings) return settings.error();
  settings_ = std::move(*settings);
  const auto logging = config_.snapshots().current()->access_logging;
  auto log = observe::AccessLog::open(log_settings(*logging),
                                      [](const std::string& line) { log_warning(line); });
  if (!log) return while_doing("access log", log.error());
  access_log_ = std::move(*log);
  tell_log(*logging);
  tell_metrics(*config_.snapshots().current()->metrics);
  start_identity(mesh);
  config_.on_publish([this](const mesh::Snapshot& snapshot) { follow(snapshot); });
  if (options_.learn) learning_ = std::make_unique<Learning>(io_, workers_);
  if (auto opened = open_workers(mesh); !opened) return opened;
  if (*udp) judge_udp(std::move(**udp));
  if (auto opened = open_admin(); !opened) return opened;
  // Behind our own ports: a Gateway that names one of them does not get it.
  gateway_listeners_.follow(*config_.snapshots().current());
  config_.settle();
  for (auto& worker : workers_) threads_.emplace_back([&worker] { worker->run(); });
  give_way_to_workers();
  await_end();
  await_requests();
  started_ = true;
  const char* const state =
      has_certificate() ? "ready: " : "serving, not ready before there is a workload certificate: ";
  log_info(state + std::to_string(workers_.size()) + " workers, proxy " + options_.proxy.name +
           "." + options_.proxy.namespace_name + ", configuration " + options_.config_directory);
  if (options_.proxy.labels.empty())
    log_warning("no labels of this pod are known (--labels-file): selectors don't select it");
  return {};
}

// Before the workers: a certificate from files is there for the first connection.
void Process::start_identity(const istio::MeshConfig& mesh) {
  if (!options_.identity.any()) return lack_identity(mesh);
  const auto warn = [](const std::string& line) { log_warning(line, Logger::config); };
  const std::string& domain = options_.identity.trust_domain;
  const SpiffeId id{domain.empty() ? mesh.trust_domain : domain, options_.proxy.namespace_name,
                    options_.proxy.service_account};
  identity_ = std::make_unique<ca::IdentityManager>(
      io_, ca::make_source(io_, options_.identity, id.text(), warn), options_.identity.rotation,
      ca::IdentitySinks{[this](certs::VaultEntry pair, certs::VaultEntry roots) {
                          config_.set_identity(std::move(pair), std::move(roots));
                        },
                        [](const std::string& line) { log_info(line, Logger::config); }, warn});
  identity_->start();
}

// So that what needs it can say why it is not there.
void Process::lack_identity(const istio::MeshConfig& mesh) {
  const certs::VaultEntry none{.pair = nullptr, .roots = nullptr, .problem = no_identity_source};
  config_.set_identity(none, none);
  if (!mesh.enable_auto_mtls) return;
  log_warning(std::string(no_identity_source) +
                  ": there is no workload certificate, so mutual TLS with other pods of the mesh "
                  "fails; set CA_ADDR (meshConfig.defaultConfig.proxyMetadata, or the annotation "
                  "proxy.istio.io/config), or enableAutoMtls: false without a mesh",
              Logger::config);
}

std::string Process::missing_certificate() const {
  if (has_certificate()) return {};
  return identity_->problem().empty() ? "none yet" : "none yet: " + identity_->problem();
}

bool Process::has_certificate() const { return !identity_ || identity_->ready(); }

Result<void> Process::open_workers(const istio::MeshConfig& mesh) {
  for (int i = 0; i < options_.concurrency; i++) {
    proxy::Worker::Sockets sockets;
    const auto open = [](uint16_t port, std::vector<int>& into,
                         bool transparent = false) -> Result<void> {
      for (const auto& address : everywhere(port)) {
        auto fd = net::open_listening_socket(address, {.transparent = transparent});
        if (!fd) return fd.error();
        into.push_back(*fd);
      }
      return {};
    };
    if (!of_gateway()) {
      if (auto opened = open(mesh.proxy_listen_port, sockets.outbound); !opened) return opened;
      auto opened =
          open(mesh.proxy_inbound_listen_port, sockets.inbound, options_.proxy.tproxy_mark != 0);
      if (!opened) return opened;
    }
    metrics_.push_back(std::make_unique<observe::WorkerMetrics>());
    const proxy::Worker::Sources sources{config_.snapshots(), config_.vault(), *access_log_,
                                         *metrics_.back()};
    const auto dns = resolver_options(options_.proxy, options_.dns_servers);
    workers_.push_back(std::make_unique<proxy::Worker>(sources, sockets, dns));
    if (learning_) learning_->begin(*workers_.back());
    auto answering = answer_dns(*workers_.back(), options_.proxy, environment, dns);
    if (!answering) return answering;
  }
  return {};
}

// One worker's work: a flow asks once.
void Process::judge_udp(rules::UdpPolicy::Kernel kernel) {
  auto& worker = *workers_.front();
  udp_policy_ = std::make_unique<rules::UdpPolicy>(
      rules::UdpPolicy::Sources{worker.loop(), config_.snapshots(), worker.metrics(), worker.log(),
                                worker.egress(),
                                [](const std::string& line) { log_warning(line); }},
      std::move(kernel));
}

Result<void> Process::open_admin() {
  std::vector<const observe::WorkerMetrics*> metrics;
  for (const auto& worker : metrics_) metrics.push_back(worker.get());
  admin::Sources sources{
      .config = config_,
      .workers = std::move(metrics),
      .clusters =
          [this](std::function<void(ClusterInfos)> done) { collect_clusters(std::move(done)); },
      .conditions = conditions(),
      .draining = [this] { return shutdown_.draining(); },
      .drain = [this](const admin::Drain& how) { shutdown_.drain(how, shutdown_times()); },
      .drain_agent = [this] { shutdown_.drain_now(shutdown_times()); },
      .quit = [this] { shutdown_.quit(); },
      .more_metrics = [this] { return more_metrics(); },
      .set_log_level = [](const std::string& logger,
                          const std::string& level) { return set_log_level(logger, level); },
      .log_levels = log_levels,
      .log = [](const std::string& line) { log_info(line); },
      .probes = settings_.probes,
      .probe_options = {admin::probe_destination(options_.proxy.addresses,
                                                 settings_.probe_localhost),
                        status_port()},
      // As istio-agent: a gateway's status port is reached by others than Prometheus.
      .scrape_targets = of_gateway() ? admin::ScrapeTargets() : settings_.scrape_targets,
      .warn = [](const std::string& line) { log_warning(line); },
  };
  if (learning_) sources.egress = [this](auto done) { learning_->collect(std::move(done)); };
  auto server = admin::Server::start(io_, ports(), std::move(sources));
  if (!server) return while_doing("admin, health or status port", server.error());
  admin_ = std::move(*server);
  return {};
}

uint16_t Process::status_port() const {
  return options_.status_port.value_or(settings_.proxy.status_port);
}

admin::Ports Process::ports() const {
  admin::Ports ports{.admin = options_.admin};
  if (options_.health_port) ports.health = everywhere(options_.health_port);
  if (status_port()) ports.status = everywhere(status_port());
  if (options_.metrics_port) ports.metrics = everywhere(options_.metrics_port);
  return ports;
}

// Both ports answer before the workers run.
std::vector<admin::Condition> Process::conditions() const {
  return {{"workers", [this] { return started_ ? "" : "not started yet"; }},
          {"workload certificate", [this] { return missing_certificate(); }}};
}

void Process::await_end() {
  signals_.async_wait([this](boost::system::error_code failed, int signal) {
    if (failed) return;
    if (signal == SIGINT) return shutdown_.quit();
    shutdown_.terminate(shutdown_times());
    await_end();
  });
}

void Process::await_requests() {
  requests_.async_wait([this](boost::system::error_code failed, int signal) {
    if (failed) return;
    if (signal == SIGHUP) {
      config_.reload();
      if (identity_) identity_->reload();
    }
    if (signal == SIGUSR1) {
      follow_log(*config_.snapshots().current());  // a file that could not be opened then
      access_log_->reopen();
    }
    await_requests();
  });
}

// Operators that are always absent here and filters that can't be read, once a change.
void Process::tell_log(const mesh::AccessLogging& logging) {
  auto settings = log_settings(logging);
  if (settings == told_) return;
  told_ = std::move(settings);
  for (const auto& line : log_warnings(logging)) log_warning(line);
}

void Process::tell_metrics(const mesh::StandardMetricsConfig& metrics) {
  auto warnings = metric_warnings(metrics);
  if (warnings == told_of_metrics_) return;
  told_of_metrics_ = std::move(warnings);
  for (const auto& line : told_of_metrics_) log_warning(line);
}

void Process::follow(const mesh::Snapshot& snapshot) {
  follow_log(snapshot);
  tell_metrics(*snapshot.metrics);
  gateway_listeners_.follow(snapshot);
}

void Process::follow_log(const mesh::Snapshot& snapshot) {
  tell_log(*snapshot.access_logging);
  if (const auto changed = access_log_->change(log_settings(*snapshot.access_logging)); !changed)
    log_warning(changed.error().context + "; the log goes on as before, SIGUSR1 tries again");
}

// The mesh configuration may have changed since the start.
ShutdownTimes Process::shutdown_times() const {
  const auto now = agent_settings(config_.snapshots().current()->mesh, environment);
  ShutdownTimes times = now ? now->shutdown : settings_.shutdown;
  times.termination = options_.drain_time.value_or(times.termination);
  return times;
}

void Process::drain_workers(const proxy::Worker::Drain& what) {
  if (what.stop_accepting) gateway_listeners_.stop();
  for (auto& worker : workers_) worker->drain(what);
}

uint64_t Process::connections() const {
  uint64_t sum = 0;
  for (const auto& worker : metrics_) sum += worker->downstream_cx_active.get();
  return sum;
}

void Process::run() { io_.run(); }

Process::~Process() {
  for (auto& worker : workers_) worker->stop();
  for (auto& thread : threads_) thread.join();
  admin_.reset();
  udp_policy_.reset();
  learning_.reset();
  workers_.clear();
}

void Process::collect_clusters(std::function<void(ClusterInfos)> done) {
  ask_workers<ClusterInfos>(
      io_, workers_, [](proxy::Worker& worker) { return worker.upstreams().describe(); },
      [done = std::move(done)](std::vector<ClusterInfos> told) {
        ClusterInfos all;
        for (auto& infos : told)
          all.insert(all.end(), std::make_move_iterator(infos.begin()),
                     std::make_move_iterator(infos.end()));
        done(std::move(all));
      });
}

std::string Process::more_metrics() const {
  return "# TYPE envoy_access_logs_write_dropped counter\nenvoy_access_logs_write_dropped " +
         std::to_string(access_log_->dropped()) +
         "\n# TYPE envoy_access_logs_write_failed counter\nenvoy_access_logs_write_failed " +
         std::to_string(access_log_->write_errors()) + "\n";
}

}  // namespace

int run_process(const ProcessOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  Process process(options);
  if (auto started = process.start(); !started) {
    log_error(started.error().context);
    return 1;
  }
  process.run();
  return 0;
}

}  // namespace sallyport::cli
