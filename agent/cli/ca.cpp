#include "agent/cli/ca.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>

#include "agent/cli/command_line.h"
#include "agent/cli/logging.h"
#include "agent/core/limits.h"
#include "agent/istio/scalar.h"
#include "certs/ca/ca_server.h"

namespace sallyport::cli {
namespace {

struct CaFlags {
  ca::CaServerOptions options;
  std::string listen = ":15012", ttl = "24h", ttl_max = "2160h", log_level = "info";
};

void add_ca_options(CLI::App& app, CaFlags& f) {
  ca::CaServerOptions& o = f.options;
  app.add_option("--listen", f.listen,
                 "address:port of the certificate service; without an address: all of them")
      ->capture_default_str();
  app.add_option("--ca-dir", o.directory,
                 "directory of the CA in Istio's plug-in form: ca-cert.pem, ca-key.pem, "
                 "cert-chain.pem, root-cert.pem (istiod: /etc/cacerts); followed live");
  app.add_flag("--self-signed", o.self_signed,
               "a root of its own: kept in --ca-dir if given, else in memory alone (then a restart "
               "makes another)");
  app.add_option(
      "--root-out", o.root_file,
      "a file that gets the roots' certificates (never a key), for those who verify this "
      "CA: kubectl create configmap istio-ca-root-cert --from-file=root-cert.pem=FILE");
  app.add_option("--trust-domain", o.trust_domain, "of the SPIFFE ids that it signs")
      ->envname("TRUST_DOMAIN")
      ->capture_default_str();
  app.add_option("--default-ttl", f.ttl, "of certificates whose request wishes none")
      ->envname("DEFAULT_WORKLOAD_CERT_TTL")
      ->capture_default_str();
  app.add_option("--max-ttl", f.ttl_max, "requests that wish more are refused")
      ->envname("MAX_WORKLOAD_CERT_TTL")
      ->capture_default_str();
  app.add_option("--jwt-keys", o.keys_file,
                 "public keys of service accounts' tokens, JWKS or PEM; the API server has them: "
                 "kubectl get --raw /openid/v1/jwks; followed live");
  app.add_option("--audience", o.audiences, "one of them must be among a token's")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--issuer", o.issuer, "of tokens; default: any")->envname("TOKEN_ISSUER");
  app.add_option("--tokens", o.tokens_file,
                 "file of lines TOKEN NAMESPACE/SERVICEACCOUNT, for machines without Kubernetes, "
                 "tokens of at least 16 characters; followed live");
  app.add_option("--dns-name", o.dns_names,
                 "of its own certificate, beside localhost and istiod, istio-ca and sallyport-ca, "
                 "each alone and with .istio-system, .istio-system.svc and "
                 ".istio-system.svc.cluster.local")
      ->delimiter(',');
  app.add_option("--ip", o.addresses,
                 "addresses of its own certificate, beside 127.0.0.1, ::1 and INSTANCE_IPS")
      ->delimiter(',');
  app.add_option("--log-level", f.log_level, "trace, debug, info, warning, error, critical or off")
      ->capture_default_str();
}

std::optional<std::string> read_duration(const char* flag, const std::string& text,
                                         std::chrono::seconds& into) {
  const auto time = istio::duration_value(text);
  if (!time || *time < std::chrono::seconds(1))
    return std::string(flag) + ": \"" + text + "\" is not a duration of a second or more";
  into = std::chrono::duration_cast<std::chrono::seconds>(*time);
  return std::nullopt;
}

void add_own_names(ca::CaServerOptions& options) {
  for (const char* service : {"istiod", "istio-ca", "sallyport-ca"}) {
    const std::string name = service;
    for (const char* suffix :
         {"", ".istio-system", ".istio-system.svc", ".istio-system.svc.cluster.local"})
      options.dns_names.push_back(name + suffix);
  }
  options.dns_names.emplace_back("localhost");
  options.addresses.insert(options.addresses.end(), {"127.0.0.1", "::1"});
  const char* own = std::getenv("INSTANCE_IPS");
  std::string_view rest = own ? own : "";
  while (!rest.empty()) {
    const auto one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    if (IpAddress::parse(one)) options.addresses.emplace_back(one);
  }
}

std::optional<std::string> to_options(CaFlags& f) {
  ca::CaServerOptions& o = f.options;
  const bool has_ipv6 = access("/proc/net/if_inet6", F_OK) == 0;
  const auto listen = SocketAddress::parse(
      f.listen.starts_with(':') ? (has_ipv6 ? "[::]" : "0.0.0.0") + f.listen : f.listen);
  if (!listen) return "--listen: \"" + f.listen + "\" is not address:port";
  o.listen = *listen;
  if (o.directory.empty() && !o.self_signed) return "either --ca-dir or --self-signed";
  if (auto wrong = read_duration("--default-ttl", f.ttl, o.ttl)) return wrong;
  if (auto wrong = read_duration("--max-ttl", f.ttl_max, o.ttl_max)) return wrong;
  if (o.ttl > o.ttl_max) return "--default-ttl is longer than --max-ttl";
  for (const std::string& address : o.addresses)
    if (!IpAddress::parse(address)) return "--ip: \"" + address + "\" is not an IP address";
  add_own_names(o);
  return std::nullopt;
}

// SIGHUP reads all files again; SIGTERM and SIGINT end it.
void await_signal(boost::asio::signal_set& signals, boost::asio::io_context& io,
                  ca::CaServer& server) {
  signals.async_wait([&](const boost::system::error_code& failed, int signal) {
    if (failed) return;
    if (signal != SIGHUP) return io.stop();
    server.reload();
    await_signal(signals, io, server);
  });
}

}  // namespace

int run_ca(int argc, char** argv) {
  CLI::App app("Signs workloads' certificates by Istio's certificate service.", "sallyport ca");
  CaFlags flags;
  add_ca_options(app, flags);
  app.footer(
      "\nA caller is who its client certificate (of this CA), its service account's JWT or its "
      "line "
      "in the\nfile of tokens says; what the CSR asks for beside that is refused.\n\n"
      "Examples:\n"
      "    sallyport ca --self-signed --ca-dir /var/lib/sallyport-ca --jwt-keys /etc/ca/jwks.json\n"
      "    sallyport ca --ca-dir /etc/cacerts --tokens /etc/ca/tokens\n\n"
      "Exit codes: 0 ended as asked, 1 could not start (the log says why), 2 wrong command line");
  if (const auto code = parse(app, argc, argv)) return *code;
  if (!start_logging(flags.log_level))
    return wrong_usage(app, "--log-level: no level is called \"" + flags.log_level + "\"");
  if (const auto wrong = to_options(flags)) return wrong_usage(app, *wrong);
  std::signal(SIGPIPE, SIG_IGN);
  boost::asio::io_context io(1);
  auto server = ca::CaServer::start(
      io, flags.options, [](const std::string& line) { log_info(line); },
      [](const std::string& line) { log_warning(line); });
  if (!server) {
    log_error(server.error().context);
    return 1;
  }
  if (flags.options.self_signed && flags.options.directory.empty()) {
    log_warning(
        "--self-signed without --ca-dir: the root is in memory alone, a restart makes another, and "
        "then each certificate of this one is refused" +
        std::string(flags.options.root_file.empty()
                        ? "; --root-out gives it to who verifies this CA"
                        : ""));
  }
  if (flags.options.keys_file.empty() && flags.options.tokens_file.empty()) {
    log_warning(
        "neither --jwt-keys nor --tokens: only who has a certificate of this CA gets another");
  }
  boost::asio::signal_set signals(io, SIGTERM, SIGINT, SIGHUP);
  await_signal(signals, io, **server);
  io.run();
  return 0;
}

}  // namespace sallyport::cli
