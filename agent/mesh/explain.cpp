#include "agent/mesh/explain.h"

#include <algorithm>

#include "agent/mesh/explain_sidecar.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {
namespace {

// The port of the service as a resource declares it; null where the cluster has no such resource.
struct DeclaredPort {
  const istio::ServicePort* port = nullptr;
  std::string from;
};

DeclaredPort declared_port(const CompileInput& input, const Cluster& cluster) {
  const auto find = [&](const auto& resource) -> DeclaredPort {
    if (!cluster.service || *resource.metadata.ref != *cluster.service) return {};
    for (const auto& port : resource.ports) {
      if (port.number == cluster.port) return {&port, text_at(resource.metadata.ref, port.line)};
    }
    return {};
  };
  for (const auto& resource : input.resources) {
    DeclaredPort found;
    if (const auto* entry = std::get_if<istio::ServiceEntry>(resource.get())) found = find(*entry);
    if (const auto* service = std::get_if<istio::Service>(resource.get())) found = find(*service);
    if (found.port) return found;
  }
  return {};
}

std::string protocol_text(const sniff::Preface& preface) {
  switch (preface.protocol) {
    case sniff::Protocol::http1:
      return "HTTP/1";
    case sniff::Protocol::http2:
      return "HTTP/2";
    case sniff::Protocol::tls:
      return preface.sni.empty() ? "TLS without SNI" : "TLS with SNI " + preface.sni;
    default:
      return "opaque bytes";
  }
}

std::string declared_text(const Listener& listener) {
  std::string out;
  const auto add = [&out](bool is, const char* what) {
    if (is) out += (out.empty() ? "" : ", ") + std::string(what);
  };
  add(listener.declared_http, "HTTP");
  add(listener.declared_tls, "TLS");
  add(listener.declared_tcp || (listener.tcp && !listener.declared_http), "TCP");
  return out.empty() ? "nothing is declared here" : "declared here: " + out;
}

std::string how_known(const Arrival& arrival) {
  if (arrival.sniff) return ", by the first bytes";
  const auto& listener = *arrival.listener;
  return listener.declared_tcp || listener.tcp ? ", not looked at: the port is declared TCP"
                                               : ", not looked at";
}

std::string shown(const istio::StringMatch& match) {
  using Kind = istio::StringMatch::Kind;
  switch (match.kind) {
    case Kind::exact:
      return "exactly \"" + match.value + "\"";
    case Kind::prefix:
      return "prefix \"" + match.value + "\"";
    case Kind::regex:
      return "regex \"" + match.value + "\"";
    case Kind::present:
      break;
  }
  return "any value";
}

std::string shown(const RouteMatch* match) {
  if (!match) return "every request";
  std::string out;
  const auto add = [&out](const std::string& what, const TextMatch& one) {
    out += (out.empty() ? "" : " and ") + what + " " + shown(one.match);
  };
  if (match->path) add("path", *match->path);
  if (match->scheme) add("scheme", *match->scheme);
  if (match->method) add("method", *match->method);
  if (match->authority) add("authority", *match->authority);
  for (const auto& one : match->headers) add("header " + one.name, one.match);
  for (const auto& one : match->without_headers) add("not header " + one.name, one.match);
  for (const auto& one : match->query) add("query " + one.name, one.match);
  return out.empty() ? "every request" : out;
}

// ServiceEntries that have the host and whose exportTo does not reach this proxy.
std::vector<std::string> hidden_services(const CompileInput& input, std::string_view authority) {
  std::vector<std::string> out;
  HostRoom room;
  const std::string_view host = host_key(authority, room);
  const auto& here = input.proxy.namespace_name;
  for (const auto& resource : input.resources) {
    const auto* entry = std::get_if<istio::ServiceEntry>(resource.get());
    if (!entry || std::none_of(entry->hosts.begin(), entry->hosts.end(),
                               [&](const auto& name) { return lower(name) == host; }))
      continue;
    const auto& about = entry->metadata;
    if (exported(entry->export_to, input.mesh.default_service_export_to, about.namespace_name(),
                 here))
      continue;
    out.push_back(about.ref->text() + " has it, and its exportTo does not reach namespace " + here);
  }
  return out;
}

// " to https://other.example/new": what of the target the rule says.
std::string redirect_text(const Redirect& redirect) {
  std::string out = redirect.scheme.empty() ? "" : redirect.scheme + "://";
  out += redirect.authority.empty() && !out.empty() ? "HOST" : redirect.authority;
  if (redirect.port > 0) out += ":" + std::to_string(redirect.port);
  if (!redirect.path.empty()) {
    out += redirect.path;
  } else if (!redirect.prefix_rewrite.empty()) {
    out += redirect.prefix_rewrite + "... in place of " + redirect.matched_prefix;
  }
  return out.empty() ? out : " to " + out;
}

class Explainer {
public:
  Explainer(const CompileInput& input, const Snapshot& snapshot, const Question& question)
      : input_(input), snapshot_(snapshot), question_(question) {}
  Explanation run();

private:
  void connection(const Arrival& arrival, const ConnectionPlan& plan);
  void bytes(const ConnectionPlan& plan);
  void request(const RouteTable& table);
  void route(const RequestPlan& plan, const RouteTable& table);
  void earlier_rules(const RequestPlan& plan, ExplainedStep& step) const;
  bool answers_itself(const Route& route);
  void target(const ClusterPtr& cluster, const std::string& missing, uint32_t weight, uint32_t of,
              const std::string& authority);
  ExplainedStep& add(std::string name, std::string text, std::string from = {}) {
    out_.steps.push_back({std::move(name), std::move(text), std::move(from), {}});
    return out_.steps.back();
  }

  const CompileInput& input_;
  const Snapshot& snapshot_;
  const Question& question_;
  Explanation out_;
};

Explanation Explainer::run() {
  const auto arrival = find_listener(snapshot_, question_.destination);
  const auto plan = decide_connection(snapshot_, arrival, question_.destination, question_.preface);
  connection(arrival, plan);
  if (plan.action == Action::http) {
    request(*plan.routes);
  } else {
    bytes(plan);
  }
  return std::move(out_);
}

void Explainer::connection(const Arrival& arrival, const ConnectionPlan& plan) {
  const auto& listener = *arrival.listener;
  auto& step = add("listener", listener.name + ": " + declared_text(listener));
  if (plan.tcp == &snapshot_.unmatched) step.notes = services_not_imported(input_, question_);
  std::string text = protocol_text(question_.preface) + how_known(arrival);
  if (!plan.why.empty()) text += "; " + std::string(plan.why);
  add("protocol", std::move(text));
}

void Explainer::bytes(const ConnectionPlan& plan) {
  if (plan.action == Action::refuse && !plan.tcp) {
    out_.refused = plan.why;
    if (plan.cluster) {
      target(plan.cluster, "", 1, 1, "");
      out_.targets.back().refused = out_.refused;
    }
    return;
  }
  const auto& route = *plan.tcp;
  if (route.split.empty()) return target(route.cluster, "", 1, 1, "");
  uint32_t total = 0;
  for (const auto& one : route.split) total += one.weight;
  for (const auto& one : route.split) target(one.cluster, one.missing, one.weight, total, "");
}

void Explainer::request(const RouteTable& table) {
  const auto plan = decide_request(snapshot_, question_.destination.port(), question_.destination,
                                   question_.request);
  route(plan, table);
  if (!plan.route) {
    out_.refused = "no rule of the virtual host takes this request: 404 (NR)";
    return;
  }
  const auto& chosen = *plan.route;
  if (answers_itself(chosen)) return;
  out_.steps.push_back(explain_policy(chosen, question_.request.head));
  const std::string sent(question_.request.authority);
  std::string authority = sent;
  if (chosen.actions && chosen.actions->rewrite && !chosen.actions->rewrite->authority.empty()) {
    authority = chosen.actions->rewrite->authority;
  }
  if (chosen.cluster) return target(chosen.cluster, "", 1, 1, authority);
  uint32_t total = 0;
  for (const auto& one : chosen.split) total += one.weight;
  for (const auto& one : chosen.split) {
    target(one.cluster, one.missing, one.weight, total,
           one.authority.empty() ? authority : one.authority);
  }
}

void Explainer::route(const RequestPlan& plan, const RouteTable& table) {
  const auto& host = *plan.virtual_host;
  auto text = "route table " + table.name + ", virtual host " + host.name;
  const bool unknown = &host == table.fallback.get();
  if (unknown) text += ": no host here is called so";
  auto& chosen = add("virtual host", std::move(text), text_at(host.from));
  if (unknown) {
    chosen.notes = hidden_services(input_, question_.request.authority);
    for (auto& note : services_not_imported(input_, question_))
      chosen.notes.push_back(std::move(note));
  }
  if (!plan.route) {
    auto& step = add("route", "none of its rules matches", text_at(host.from));
    return earlier_rules(plan, step);
  }
  const auto& route = *plan.route;
  std::string name = route.name.empty() ? "without a name" : "\"" + route.name + "\"";
  auto& step = add("route", "rule " + name + " for " + shown(route.match.get()),
                   text_at(route.from, route.line));
  earlier_rules(plan, step);
}

void Explainer::earlier_rules(const RequestPlan& plan, ExplainedStep& step) const {
  for (const auto& rule : plan.virtual_host->routes) {
    if (&rule == plan.route) break;
    auto name = rule.name.empty() ? "a rule" : "rule \"" + rule.name + "\"";
    auto from = text_at(rule.from, rule.line);
    step.notes.push_back(name + " before it wants " + shown(rule.match.get()) +
                         (from.empty() ? "" : ": " + from));
  }
}

// A redirect, a direct response, an abort of every request.
bool Explainer::answers_itself(const Route& route) {
  const auto from = text_at(route.from, route.line);
  const auto* actions = route.actions.get();
  if (actions && actions->redirect) {
    out_.answer = std::to_string(actions->redirect->code) + " (redirect" +
                  redirect_text(*actions->redirect) + ")";
  } else if (!route.cluster && route.split.empty()) {
    const bool blocked = route.name == "block_all";
    auto& kind = blocked ? out_.refused : out_.answer;
    kind = std::to_string(route.direct_status);
    kind += blocked ? ": no service has this host and outboundTrafficPolicy is REGISTRY_ONLY"
                    : " (directResponse)";
  } else {
    constexpr uint32_t always = 1'000'000;
    if (!actions || !actions->fault || actions->fault->abort_share < always ||
        actions->fault->abort_status == 0)
      return false;
    out_.answer = std::to_string(actions->fault->abort_status) + " (fault.abort of every request)";
  }
  add("answer", "the proxy answers itself: " + (out_.answer.empty() ? out_.refused : out_.answer),
      from);
  return true;
}

std::string tls_inside_tls(const Cluster& cluster) {
  return "TLS inside TLS: the client speaks TLS itself, and " +
         text_at(cluster.tls.rule, cluster.tls.line) +
         " wraps it in TLS again; servers don't understand that";
}

void Explainer::target(const ClusterPtr& cluster, const std::string& missing, uint32_t weight,
                       uint32_t of, const std::string& authority) {
  ExplainedTarget to;
  to.cluster = cluster;
  to.weight = weight;
  to.of = of;
  to.authority = authority;
  if (!cluster) {
    to.refused = "there is no " + missing + " (503 NC)";
    return out_.targets.push_back(std::move(to));
  }
  std::string text = cluster->name;
  if (of > 1 && weight != of) {
    text += ", " + std::to_string(weight) + " of " + std::to_string(of);
  }
  const auto declared = declared_port(input_, *cluster);
  if (declared.port) {
    const auto& protocol = declared.port->protocol;
    text += "; port " + std::to_string(cluster->port) + " is declared " +
            (protocol.empty() ? "without a protocol" : protocol);
  }
  to.steps.push_back(
      {"service", text, declared.port ? declared.from : text_at(cluster->service), {}});
  for (auto& step : explain_cluster(input_, *cluster, authority)) {
    to.steps.push_back(std::move(step));
  }
  if (cluster->refused) {
    to.refused = cluster->refused->context;
    const auto& because = cluster->refused->resource;
    if (!because.empty() && to.refused.find(because) == to.refused.npos) {
      to.refused += "; " + because;
    }
  } else if (cluster->endpoints.empty() && cluster->discovery != Discovery::original_dst &&
             cluster->discovery != Discovery::dynamic_dns) {
    to.refused = why_no_endpoint(*cluster) + " (503 UH)";
  } else if (question_.preface.protocol == sniff::Protocol::tls && cluster->tls.of_rule()) {
    to.tls_inside_tls = true;
    to.refused = tls_inside_tls(*cluster);
  }
  out_.targets.push_back(std::move(to));
}

}  // namespace

std::string duration_text(std::chrono::milliseconds time) {
  const auto count = time.count();
  if (count % 3'600'000 == 0 && count > 0) return std::to_string(count / 3'600'000) + "h";
  if (count % 1000 == 0) return std::to_string(count / 1000) + "s";
  return std::to_string(count) + "ms";
}

bool Explanation::goes_through() const {
  if (!refused.empty()) return false;
  return std::all_of(targets.begin(), targets.end(),
                     [](const auto& target) { return target.refused.empty(); });
}

Explanation explain(const CompileInput& input, const Snapshot& snapshot, const Question& question) {
  return Explainer(input, snapshot, question).run();
}

}  // namespace sallyport::mesh
