#include "agent/mesh/explain_gateway.h"

#include <algorithm>
#include <set>

#include "agent/istio/labels.h"
#include "agent/mesh/explain_inbound.h"
#include "agent/mesh/explain_plan.h"
#include "agent/mesh/gateway_rules.h"
#include "agent/mesh/gateway_servers.h"
#include "agent/mesh/host_names.h"

namespace sallyport::mesh {
namespace {

constexpr std::size_t names_told = 8;  // of those that are served instead

const char* name_of(istio::ServerTlsMode mode) {
  switch (mode) {
    case istio::ServerTlsMode::simple:
      return "SIMPLE";
    case istio::ServerTlsMode::mutual:
      return "MUTUAL";
    case istio::ServerTlsMode::optional_mutual:
      return "OPTIONAL_MUTUAL";
    case istio::ServerTlsMode::istio_mutual:
      return "ISTIO_MUTUAL";
    default:
      return "PASSTHROUGH";
  }
}

std::string termination_text(const TlsTermination& tls) {
  std::string out = std::string(name_of(tls.mode)) + ": ended here with";
  for (const auto& name : tls.certificates)
    out += (&name == tls.certificates.data() ? " " : " and ") + name;
  if (!tls.asks_for_client()) return out + "; clients need no certificate";
  out += tls.needs_client() ? "; clients need a certificate" : "; clients may show a certificate";
  out += tls.skip_verify ? ", whoever signed it" : " that " + tls.roots + " verifies";
  if (tls.names.empty()) return out;
  out += " and that has one of the names";
  for (const auto& name : tls.names) out += " " + name;
  return out;
}

// The names that a listener takes TLS by, a few of them.
std::string names_served(const GatewayListener& listener) {
  std::set<std::string> names;
  for (const auto& [name, chain] : listener.by_sni.exact) names.insert(name);
  for (const auto& [suffix, chain] : listener.by_sni.suffix) names.insert("*" + suffix);
  std::string out;
  std::size_t count = 0;
  for (const auto& name : names) {
    if (count++ == names_told)
      return out + ", and " + std::to_string(names.size() - names_told) + " more";
    out += (out.empty() ? "" : ", ") + name;
  }
  return out.empty() ? "none" : out;
}

// Gateways for other proxies that have the port, and the host where one is given.
std::vector<std::string> gateways_of_others(const CompileInput& input, uint16_t number,
                                            std::string_view host) {
  std::vector<std::string> out;
  for (const auto& resource : input.resources) {
    const auto* gateway = std::get_if<istio::Gateway>(resource.get());
    if (!gateway || istio::selects(gateway->selector, input.proxy.labels)) continue;
    for (const auto& server : gateway->servers) {
      const BoundServer bound{gateway, &server, "", server.hosts, server.port};
      if (server.port != number || (!host.empty() && !has_host(bound, host))) continue;
      out.push_back(text_at(gateway->metadata.ref, server.line) + " has it, and its selector (" +
                    istio::text_of(gateway->selector) + ") does not select this proxy");
      break;
    }
  }
  return out;
}

class GatewayExplainer {
public:
  GatewayExplainer(const CompileInput& input, const Snapshot& snapshot,
                   const std::vector<istio::Finding>& findings, const Question& question)
      : input_(input),
        snapshot_(snapshot),
        findings_(findings),
        question_(question),
        servers_(input, told_elsewhere_),
        words_(input, false),
        passed_words_(input, true) {}
  GatewayExplanation run();

private:
  const GatewayListener* listener();
  void no_listener(uint16_t bound);
  void server(const GatewayListener& listener, const GatewayPlan& plan);
  void refused(const GatewayListener& listener, const GatewayPlan& plan, ExplainedStep& step);
  bool policies_refuse(const GatewayChain& chain, const InboundQuestion& asked, PlanWords& words);
  InboundQuestion as_client(const RequestFacts& request, std::string_view scheme) const;
  void requests(const GatewayChain& chain, bool https);
  void bytes(const GatewayChain& chain, PlanWords& words);
  std::vector<std::string> said_of_servers(uint16_t bound) const;

  const CompileInput& input_;
  const Snapshot& snapshot_;
  const std::vector<istio::Finding>& findings_;
  const Question& question_;
  std::vector<istio::Finding> told_elsewhere_;
  GatewayServers servers_;
  PlanWords words_;         // TLS that the client began has ended
  PlanWords passed_words_;  // or goes on
};

// What compiling said of Gateways with a server on that port: it is skipped, closed, or serves
// nothing. And those that were refused.
std::vector<std::string> GatewayExplainer::said_of_servers(uint16_t bound) const {
  std::vector<std::string> out;
  for (const auto& resource : input_.resources) {
    const auto* gateway = std::get_if<istio::Gateway>(resource.get());
    if (!gateway) continue;
    const auto& servers = gateway->servers;
    if (std::none_of(servers.begin(), servers.end(),
                     [&](const auto& server) { return servers_.bound_port(server.port) == bound; }))
      continue;
    for (const auto& one : findings_) {
      const bool its_own = one.kind == "Gateway" && one.name == gateway->metadata.name() &&
                           one.namespace_name == gateway->metadata.namespace_name();
      if (its_own) out.push_back(one.text());
    }
  }
  for (const auto* one : servers_.refused()) {
    const bool has = std::any_of(one->servers.begin(), one->servers.end(), [&](const auto& server) {
      return server.port == 0 || servers_.bound_port(server.port) == bound;
    });
    if (has) out.push_back("refused, and what it names is closed: " + one->finding.text());
  }
  return out;
}

const GatewayListener* GatewayExplainer::listener() {
  const auto number = question_.destination.port();
  const auto bound = servers_.bound_port(number);
  const auto* found =
      mesh::find_listener(snapshot_.gateway, SocketAddress(question_.destination.ip(), bound));
  if (!found) {
    no_listener(bound);
    return nullptr;
  }
  auto text = found->name;
  if (bound != number)
    text += ": where port " + std::to_string(number) + " of the gateway's Service leads";
  words_.add("listener", std::move(text)).notes = said_of_servers(bound);
  return found;
}

void GatewayExplainer::no_listener(uint16_t bound) {
  const auto number = question_.destination.port();
  auto& step = words_.add(
      "listener", "none: no server of this proxy's Gateways opens port " + std::to_string(number));
  step.notes = said_of_servers(bound);
  for (auto& note : gateways_of_others(input_, number, {})) step.notes.push_back(std::move(note));
  words_.out().refused =
      "this proxy opens no port " + std::to_string(number) + ": the connection is not accepted";
}

void GatewayExplainer::refused(const GatewayListener& listener, const GatewayPlan& plan,
                               ExplainedStep& step) {
  words_.out().refused = std::string(plan.why) + ": the connection is closed (NR)";
  if (plan.chain) return;
  const auto& sni = question_.preface.sni;
  step.notes.push_back("TLS is taken for: " + names_served(listener));
  if (sni.empty()) return;
  for (auto& note : gateways_of_others(input_, question_.destination.port(), sni))
    step.notes.push_back(std::move(note));
  for (auto& note : virtual_services_not_bound(input_, listener.port, sni))
    step.notes.push_back(std::move(note));
}

void GatewayExplainer::server(const GatewayListener& listener, const GatewayPlan& plan) {
  words_.add("protocol", protocol_text(question_.preface) + "; " + std::string(plan.why));
  const auto* chain = plan.chain ? plan.chain->get() : nullptr;
  auto& step = words_.add("server", chain ? chain->name : "none takes it",
                          chain ? text_at(chain->from, chain->line) : "");
  if (plan.action == GatewayAction::refuse) return refused(listener, plan, step);
  if (plan.action == GatewayAction::not_http) {
    words_.out().refused = std::string(plan.why) + ": 400 (DPE)";
    return;
  }
  if (chain->tls) words_.add("server TLS", termination_text(*chain->tls));
}

// Of one without a certificate. What is not HTTP has a `request` without a head.
InboundQuestion GatewayExplainer::as_client(const RequestFacts& request,
                                            std::string_view scheme) const {
  return {.port = servers_.bound_port(question_.destination.port()),
          .principal = {},
          .sni = std::string(question_.preface.sni),
          .client = {},
          .request = request,
          .scheme = scheme};
}

bool GatewayExplainer::policies_refuse(const GatewayChain& chain, const InboundQuestion& asked,
                                       PlanWords& words) {
  if (!snapshot_.inbound.authorization || chain.mesh_only) return false;
  auto told = explain_policy(input_, asked);
  auto& step = words.add("server policy", std::move(told.steps.front().text),
                         std::move(told.steps.front().from));
  step.notes = std::move(told.steps.front().notes);
  if (told.refused.empty()) return false;
  if (chain.tls && chain.tls->asks_for_client())
    step.notes.emplace_back("asked for a client without a certificate: with one it may differ");
  const bool http = asked.request.head != nullptr;
  words.out().refused = told.refused + (http ? ": 403" : ": the connection is closed");
  return true;
}

void GatewayExplainer::requests(const GatewayChain& chain, bool https) {
  const auto& request = question_.request;
  if (policies_refuse(chain, as_client(request, https ? "https" : "http"), words_)) return;
  const auto plan = decide_gateway_request(chain, request, https);
  auto& host = words_.virtual_host(plan, *chain.http);
  if (plan.to_https) {
    host.notes.emplace_back("tls.httpsRedirect of its server");
    words_.out().answer = "301 (redirect to https)";
    words_.add("answer", "the proxy answers itself: " + words_.out().answer,
               text_at(chain.from, chain.line));
    return;
  }
  if (!plan.route) {
    HostRoom room;
    const auto bound = servers_.bound_port(question_.destination.port());
    host.notes = virtual_services_not_bound(input_, bound, host_key(request.authority, room));
  }
  words_.rule(plan);
  words_.follow(plan, request);
}

void GatewayExplainer::bytes(const GatewayChain& chain, PlanWords& words) {
  if (policies_refuse(chain, as_client({}, {}), words)) return;
  words.add("route", chain.mesh_only ? "the mesh's service that the SNI names" : "as bytes",
            text_at(chain.rule, chain.rule_line));
  words.bytes(*chain.tcp);
}

GatewayExplanation GatewayExplainer::run() {
  GatewayExplanation out;
  const auto* found = listener();
  if (!found) {
    out.plan = std::move(words_.out());
    return out;
  }
  const auto plan = decide_gateway(*found, hello_of(question_.preface));
  server(*found, plan);
  if (plan.chain) out.chain = *plan.chain;
  const bool ended = plan.action == GatewayAction::terminate;
  const auto action = ended ? after_tls(*out.chain) : plan.action;
  const bool passed = question_.preface.protocol == sniff::Protocol::tls && !ended;
  if (passed) passed_words_.out() = std::move(words_.out());
  auto& words = passed ? passed_words_ : words_;
  if (action == GatewayAction::http) requests(*out.chain, ended);
  if (action == GatewayAction::tcp) bytes(*out.chain, words);
  out.plan = std::move(words.out());
  return out;
}

}  // namespace

GatewayExplanation explain_gateway(const CompileInput& input, const Snapshot& snapshot,
                                   const std::vector<istio::Finding>& findings,
                                   const Question& question) {
  return GatewayExplainer(input, snapshot, findings, question).run();
}

}  // namespace sallyport::mesh
