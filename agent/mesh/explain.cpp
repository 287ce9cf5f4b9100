#include "agent/mesh/explain.h"

#include <algorithm>

#include "agent/mesh/explain_plan.h"
#include "agent/mesh/explain_sidecar.h"
#include "agent/mesh/host_names.h"
#include "agent/mesh/known_services.h"

namespace sallyport::mesh {
namespace {

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

class Explainer {
public:
  Explainer(const CompileInput& input, const Snapshot& snapshot, const Question& question)
      : input_(input),
        snapshot_(snapshot),
        question_(question),
        words_(input, question.preface.protocol == sniff::Protocol::tls) {}
  Explanation run();

private:
  void connection(const Arrival& arrival, const ConnectionPlan& plan);
  void bytes(const ConnectionPlan& plan);
  void request(const RouteTable& table);

  const CompileInput& input_;
  const Snapshot& snapshot_;
  const Question& question_;
  PlanWords words_;
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
  return std::move(words_.out());
}

void Explainer::connection(const Arrival& arrival, const ConnectionPlan& plan) {
  const auto& listener = *arrival.listener;
  auto& step = words_.add("listener", listener.name + ": " + declared_text(listener));
  if (plan.tcp == &snapshot_.unmatched) step.notes = services_not_imported(input_, question_);
  std::string text = protocol_text(question_.preface) + how_known(arrival);
  if (!plan.why.empty()) text += "; " + std::string(plan.why);
  words_.add("protocol", std::move(text));
}

void Explainer::bytes(const ConnectionPlan& plan) {
  if (plan.action == Action::refuse && !plan.tcp) {
    auto& out = words_.out();
    out.refused = plan.why;
    if (plan.cluster) {
      words_.target(plan.cluster, "", 1, 1, "");
      out.targets.back().refused = out.refused;
    }
    return;
  }
  words_.bytes(*plan.tcp);
}

void Explainer::request(const RouteTable& table) {
  const auto plan = decide_request(snapshot_, question_.destination.port(), question_.destination,
                                   question_.request);
  auto& host = words_.virtual_host(plan, table);
  if (plan.virtual_host == table.fallback.get()) {
    host.notes = hidden_services(input_, question_.request.authority);
    for (auto& note : services_not_imported(input_, question_))
      host.notes.push_back(std::move(note));
  }
  words_.rule(plan);
  words_.follow(plan, question_.request);
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
