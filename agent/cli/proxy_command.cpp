#include "agent/cli/proxy_command.h"

#include <sched.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "agent/cli/command_line.h"
#include "agent/cli/identity.h"
#include "agent/cli/logging.h"
#include "agent/cli/process.h"
#include "agent/cli/workload_identity.h"
#include "tls/record_memory.h"

namespace sallyport::cli {
namespace {

// The cgroup's CPU limit rounded up, as Istio counts it; without one the processors this process
// may run on. At least 1.
int cpu_limit() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0)
    return std::max(1, int(std::ceil(std::strtod(quota.c_str(), nullptr) / period)));
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set)) return 1;
  return std::max(1, CPU_COUNT(&set));
}

// Istio passes $(POD_NAMESPACE).svc.cluster.local; the cluster's own domain is what follows
// `.svc.`.
std::string cluster_domain(const std::string& given) {
  const auto at = given.find(".svc.");
  return at == given.npos ? given : given.substr(at + 5);
}

struct ProxyFlags {
  IdentityFlags identity;
  WorkloadIdentityFlags workload;
  std::string config, mesh_config, domain = "cluster.local", log_level = "info",
                                   admin = "127.0.0.1:15000", ignored;
  std::vector<std::string> dns_servers;
  int concurrency = -1, outbound_port = -1, inbound_port = -1, health_port = 15021,
      status_port = -1, metrics_port = 15090;
  double drain_seconds = -1;
  uint32_t proxy_uid = 0;
  bool learn = false;
};

void add_workload_options(CLI::App& app, WorkloadIdentityFlags& f) {
  app.add_option("--ca-address", f.ca_address,
                 "host:port of the CA that gives the workload's certificate (else CA_ADDR)");
  app.add_option("--ca-root", f.ca_root,
                 "PEM file to verify the CA's server, or SYSTEM (else CA_ROOT_CA, "
                 "/var/run/secrets/istio/root-cert.pem)");
  app.add_option("--ca-token", f.ca_token,
                 "file with the token for the CA (else /var/run/secrets/tokens/istio-token)");
  app.add_option("--identity-cert", f.chain,
                 "PEM file of the workload's certificate chain, followed live "
                 "(FILE_MOUNTED_CERTS: /etc/certs/cert-chain.pem)");
  app.add_option("--identity-key", f.key, "PEM file of its private key");
  app.add_option("--identity-root", f.roots, "PEM file of the mesh's roots");
  app.add_option("--workload-socket", f.workload_socket,
                 "SPIFFE Workload API, unix:///PATH or tcp://ADDRESS:PORT (else "
                 "SPIFFE_ENDPOINT_SOCKET)");
  app.add_option("--mesh-roots", f.more_roots,
                 "PEM file of roots to trust beside those that come with the certificate");
  app.add_option("--trust-domain", f.trust_domain,
                 "of the workload's SPIFFE id (else TRUST_DOMAIN, meshConfig.trustDomain)");
}

void add_proxy_options(CLI::App& app, ProxyFlags& f) {
  app.add_option("--config", f.config,
                 "directory with Istio's resources and Secrets (YAML, JSON); followed live")
      ->required();
  app.add_option("--mesh-config", f.mesh_config,
                 "MeshConfig file, or the ConfigMap istio with key mesh; followed live");
  app.add_option("--concurrency", f.concurrency,
                 "worker threads; 0: all processors; default: the CPU limit")
      ->check(CLI::Range(0, 1024));
  app.add_option("--domain", f.domain, "cluster domain, or Istio's NAMESPACE.svc.DOMAIN")
      ->capture_default_str();
  app.add_option("--log-level,--proxyLogLevel", f.log_level,
                 "trace, debug, info, warning, error, critical or off")
      ->capture_default_str();
  app.add_option("--proxyComponentLogLevel,--log_output_level", f.ignored,
                 "taken from Istio's template, without effect");
  app.add_option("--name", f.identity.name, "pod name (else POD_NAME)");
  app.add_option("--namespace", f.identity.namespace_name,
                 "pod namespace (else POD_NAMESPACE, else default)");
  app.add_option("--service-account", f.identity.service_account,
                 "service account (else SERVICE_ACCOUNT, else default)");
  app.add_option("--ip", f.identity.addresses,
                 "the pod's own addresses (else INSTANCE_IPS, INSTANCE_IP)")
      ->delimiter(',');
  app.add_option("--labels", f.identity.labels, "key=value,... over those of the labels file")
      ->delimiter(',');
  app.add_option("--labels-file", f.identity.labels_file,
                 "downward API file (else /etc/istio/pod/labels)");
  app.add_option("--admin", f.admin, "address:port of the admin interface")->capture_default_str();
  app.add_option("--health-port", f.health_port, "port of /healthz/ready on every address; 0: none")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--metrics-port", f.metrics_port,
                 "port of /stats/prometheus on every address; 0: none")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--status-port", f.status_port,
                 "port of probes, metrics and /drain on every address; 0: none (else "
                 "defaultConfig.statusPort, 15020)")
      ->check(CLI::Range(0, 65535));
  app.add_option("--dns-server", f.dns_servers, "address:port,... to ask (else /etc/resolv.conf)")
      ->delimiter(',');
  app.add_option("--drain-time", f.drain_seconds,
                 "seconds between SIGTERM and the end (else terminationDrainDuration)")
      ->check(CLI::Range(0.0, 86400.0));
}

// Of a sidecar: where the redirects lead.
void add_capture_options(CLI::App& app, ProxyFlags& f) {
  app.add_option("--outbound-port", f.outbound_port,
                 "capture port (else MeshConfig's proxyListenPort, 15001)")
      ->check(CLI::Range(1, 65535));
  app.add_option("--inbound-port", f.inbound_port,
                 "capture port (else MeshConfig's proxyInboundListenPort, 15006)")
      ->check(CLI::Range(1, 65535));
  app.add_option("--udp-policy", f.identity.udp_policy,
                 "of UDP and QUIC, which would go round the sidecar: off, log or enforce (else "
                 "UDP_POLICY, off); init needs the same, the sidecar NET_ADMIN");
  app.add_option(
         "--proxy-uid", f.proxy_uid,
         "with --udp-policy: started as root, it goes on as this user, with NET_ADMIN alone")
      ->envname("PROXY_UID");
  app.add_flag("--learn", f.learn,
               "remember where the application talks to beyond the registry: sallyport "
               "egress-report shows it (else EGRESS_LEARNING)")
      ->envname("EGRESS_LEARNING");
}

std::optional<std::string> to_options(const ProxyFlags& f, ProcessOptions& options) {
  auto proxy = find_identity(
      f.identity, [](const char* name) { return static_cast<const char*>(std::getenv(name)); });
  if (!proxy) return proxy.error().context;
  options.proxy = std::move(*proxy);
  auto workload = find_workload_identity(
      f.workload, [](const char* name) { return static_cast<const char*>(std::getenv(name)); },
      [](const std::string& path) {
        std::error_code ignored;
        return std::filesystem::exists(path, ignored);
      });
  if (!workload) return workload.error().context;
  options.identity = std::move(*workload);
  options.config_directory = f.config;
  options.proxy_uid = f.proxy_uid;
  options.learn = f.learn;
  options.mesh_config_file = f.mesh_config;
  options.cluster_domain = cluster_domain(f.domain);
  options.concurrency = f.concurrency > 0 ? f.concurrency : cpu_limit();
  if (f.outbound_port > 0) options.outbound_port = uint16_t(f.outbound_port);
  if (f.inbound_port > 0) options.inbound_port = uint16_t(f.inbound_port);
  options.health_port = uint16_t(f.health_port);
  options.metrics_port = uint16_t(f.metrics_port);
  if (f.status_port >= 0) options.status_port = uint16_t(f.status_port);
  if (f.drain_seconds >= 0)
    options.drain_time = std::chrono::milliseconds(int64_t(f.drain_seconds * 1000));
  const auto admin = SocketAddress::parse(f.admin);
  if (!admin) return "--admin: \"" + f.admin + "\" is not address:port";
  options.admin = *admin;
  for (const auto& text : f.dns_servers) {
    auto server = SocketAddress::parse(text);
    if (const auto ip = IpAddress::parse(text); !server && ip) server = SocketAddress(*ip, 53);
    if (!server) return "--dns-server: \"" + text + "\" is not address:port";
    options.dns_servers.push_back(*server);
  }
  return std::nullopt;
}

struct ProxyCommand {
  istio::Proxy::Type type;
  const char *what, *name, *example;
};
constexpr ProxyCommand of_sidecar = {
    istio::Proxy::Type::sidecar,
    "Captures a pod's connections and originates the TLS that ServiceEntry and DestinationRule ask "
    "for.",
    "sallyport sidecar",
    "    sallyport sidecar --config /etc/istio/config --mesh-config /etc/istio/mesh/mesh\n\n"};
constexpr ProxyCommand of_gateway = {
    istio::Proxy::Type::router,
    "Serves the Gateways whose selector takes this pod's labels: ends TLS or passes it through, "
    "and "
    "sends where VirtualServices say.",
    "sallyport gateway",
    "    sallyport gateway --config /etc/istio/config --labels istio=ingressgateway\n\n"};

// The parser and what it knows are gone before the process runs: 40 KiB. Set: the exit code.
std::optional<int> read_command_line(const ProxyCommand& command, int argc, char** argv,
                                     ProcessOptions& options) {
  CLI::App app(command.what, command.name);
  ProxyFlags flags;
  add_proxy_options(app, flags);
  if (command.type == istio::Proxy::Type::sidecar) add_capture_options(app, flags);
  add_workload_options(app, flags.workload);
  app.footer(std::string("\nExample:\n") + command.example +
             "Exit codes: 0 ended as asked, 1 could not start (the log says why), 2 wrong command "
             "line");
  if (const auto code = parse(app, argc, argv)) return *code;
  if (!start_logging(flags.log_level)) {
    return wrong_usage(app, "--log-level: no level is called \"" + flags.log_level + "\"");
  }
  if (const auto wrong = to_options(flags, options)) return wrong_usage(app, *wrong);
  options.proxy.type = command.type;
  return std::nullopt;
}

int run_proxy(const ProxyCommand& command, int argc, char** argv) {
  tls::recycle_record_memory();
  ProcessOptions options;
  if (const auto code = read_command_line(command, argc, argv, options)) return *code;
  return run_process(options);
}

}  // namespace

int run_sidecar(int argc, char** argv) { return run_proxy(of_sidecar, argc, argv); }
int run_gateway(int argc, char** argv) { return run_proxy(of_gateway, argc, argv); }

}  // namespace sallyport::cli
