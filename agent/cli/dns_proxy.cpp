#include "agent/cli/dns_proxy.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "agent/cli/logging.h"
#include "agent/istio/scalar.h"

namespace sallyport::cli {
namespace {

constexpr std::string_view own_host = "localhost:";

std::string variable_text(const Lookup& environment, const char* variable, const char* otherwise) {
  const std::string value = environment(variable);
  return value.empty() ? otherwise : value;
}

// A worker's own.
Result<dns::ProxySockets> open_sockets(const DnsProxyPlan& plan) {
  dns::ProxySockets sockets;
  for (const auto& address : plan.addresses) {
    if (plan.only_those_there && !dns::is_own_address(address.ip())) continue;
    if (auto opened = dns::open_proxy_sockets(address, sockets); !opened) return opened.error();
  }
  if (!sockets.udp.empty()) return sockets;
  return Error{.fault = Fault::internal,
               .side = Side::local,
               .context = "DNS proxy: there is neither 127.0.0.1 nor ::1 here"};
}

// Where the proxy is the machine's own server resolv.conf names itself: istio-agent's place for
// what stood there before.
std::string resolv_conf_for(uint16_t port) {
  constexpr const char* usual = "/etc/resolv.conf";
  constexpr const char* before = "/var/lib/istio/resolv.conf";
  constexpr uint16_t dns_port = 53;
  return port == dns_port && access(before, R_OK) == 0 ? before : usual;
}

Error wrong_variable(const std::string& variable, const std::string& value, const char* wanted) {
  return {.fault = Fault::internal,
          .side = Side::local,
          .context = variable + ": \"" + value + "\" is not " + wanted};
}

}  // namespace

Result<std::optional<DnsProxyPlan>> plan_dns_proxy(const istio::Proxy& proxy,
                                                   const Lookup& environment) {
  if (!proxy.dns_capture || proxy.type != istio::Proxy::Type::sidecar)
    return std::optional<DnsProxyPlan>();
  DnsProxyPlan plan;
  const auto where = variable_text(environment, "DNS_PROXY_ADDR", "localhost:15053");
  plan.only_those_there = where.starts_with(own_host);
  const std::string port = where.substr(plan.only_those_there ? own_host.size() : 0);
  const std::vector<std::string> wanted =
      plan.only_those_there ? std::vector<std::string>{"127.0.0.1:" + port, "[::1]:" + port}
                            : std::vector<std::string>{where};
  for (const auto& text : wanted) {
    const auto address = SocketAddress::parse(text);
    // A datagram to any address would be answered from another than it was sent to.
    if (!address || address->port() == 0 || address->ip().is_unspecified())
      return wrong_variable("DNS_PROXY_ADDR", where, "localhost:PORT or ADDRESS:PORT");
    plan.addresses.push_back(*address);
  }
  const auto parallel = variable_text(environment, "DNS_FORWARD_PARALLEL", "false");
  const auto wish = istio::go_boolean(parallel);
  if (!wish) return wrong_variable("DNS_FORWARD_PARALLEL", parallel, "true or false");
  plan.forwarding.parallel = *wish;
  const auto time = variable_text(environment, "DNS_FORWARD_TIMEOUT", "5s");
  const auto duration = istio::duration_value(time);
  if (!duration || duration->count() <= 0)
    return wrong_variable("DNS_FORWARD_TIMEOUT", time, "a duration such as 5s");
  plan.forwarding.time = std::chrono::ceil<std::chrono::milliseconds>(*duration);
  plan.forwarding.resolv_conf = resolv_conf_for(plan.addresses.front().port());
  return std::optional<DnsProxyPlan>(std::move(plan));
}

dns::ResolverOptions resolver_options(const istio::Proxy& proxy,
                                      const std::vector<SocketAddress>& servers) {
  dns::ResolverOptions dns;
  dns.servers = servers;
  dns.warn = [](const std::string& line) { log_warning(line); };
  const auto& own = proxy.addresses;
  if (own.empty()) return dns;
  const auto has = [&own](bool v4) {
    return std::any_of(own.begin(), own.end(),
                       [v4](const std::string& a) { return IpAddress::parse(a)->is_v4() == v4; });
  };
  dns.want_v4 = has(true);
  dns.want_v6 = has(false);
  return dns;
}

Result<void> answer_dns(proxy::Worker& worker, const istio::Proxy& proxy, const Lookup& environment,
                        const dns::ResolverOptions& options) {
  auto plan = plan_dns_proxy(proxy, environment);
  if (!plan) return plan.error();
  if (!*plan) return {};
  auto sockets = open_sockets(**plan);
  if (!sockets) return sockets.error();
  auto& forwarding = (*plan)->forwarding;
  forwarding.servers = options.servers;
  if (!options.resolv_conf.empty()) forwarding.resolv_conf = options.resolv_conf;
  forwarding.warn = options.warn;
  forwarding.own = (*plan)->addresses;
  worker.answer_dns(std::move(*sockets), std::move(forwarding));
  return {};
}

}  // namespace sallyport::cli
