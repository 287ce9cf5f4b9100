#include "agent/mesh/explain_plan.h"

#include <algorithm>

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

std::string why_tls_inside_tls(const Cluster& cluster) {
  return "TLS inside TLS: the client speaks TLS itself, and " +
         text_at(cluster.tls.rule, cluster.tls.line) +
         " wraps it in TLS again; servers don't understand that";
}

}  // namespace

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

ExplainedStep& PlanWords::add(std::string name, std::string text, std::string from) {
  out_.steps.push_back({std::move(name), std::move(text), std::move(from), {}});
  return out_.steps.back();
}

ExplainedStep& PlanWords::virtual_host(const RequestPlan& plan, const RouteTable& table) {
  const auto& host = *plan.virtual_host;
  auto text = "route table " + table.name + ", virtual host " + host.name;
  if (&host == table.fallback.get()) text += ": no host here is called so";
  return add("virtual host", std::move(text), text_at(host.from));
}

void PlanWords::rule(const RequestPlan& plan) {
  const auto& host = *plan.virtual_host;
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

void PlanWords::earlier_rules(const RequestPlan& plan, ExplainedStep& step) const {
  for (const auto& rule : plan.virtual_host->routes) {
    if (&rule == plan.route) break;
    auto name = rule.name.empty() ? "a rule" : "rule \"" + rule.name + "\"";
    auto from = text_at(rule.from, rule.line);
    step.notes.push_back(name + " before it wants " + shown(rule.match.get()) +
                         (from.empty() ? "" : ": " + from));
  }
}

void PlanWords::follow(const RequestPlan& plan, const RequestFacts& request) {
  if (!plan.route) {
    out_.refused = "no rule of the virtual host takes this request: 404 (NR)";
    return;
  }
  const auto& chosen = *plan.route;
  if (answers_itself(chosen)) return;
  out_.steps.push_back(explain_policy(chosen, request.head));
  const std::string sent(request.authority);
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

// A redirect, a direct response, an abort of every request.
bool PlanWords::answers_itself(const Route& route) {
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

void PlanWords::bytes(const TcpRoute& route) {
  if (route.split.empty()) return target(route.cluster, "", 1, 1, "");
  uint32_t total = 0;
  for (const auto& one : route.split) total += one.weight;
  for (const auto& one : route.split) target(one.cluster, one.missing, one.weight, total, "");
}

void PlanWords::target(const ClusterPtr& cluster, const std::string& missing, uint32_t weight,
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
  for (auto& step : explain_cluster(input_, *cluster, authority, client_tls_)) {
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
  } else if (client_tls_ && cluster->tls.of_rule()) {
    to.tls_inside_tls = true;
    to.refused = why_tls_inside_tls(*cluster);
  }
  out_.targets.push_back(std::move(to));
}

}  // namespace sallyport::mesh
