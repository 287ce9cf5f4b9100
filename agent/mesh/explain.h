// A plan in words: the very decisions that a worker makes (find_listener, decide_connection,
// decide_request), each with the resource that made it. Pure; for people, not for the data path.
#pragma once
#include <string>
#include <vector>

#include "agent/mesh/compile.h"
#include "agent/mesh/decide.h"

namespace sallyport::mesh {

// One decision. `from`: "DestinationRule default/x (rules.yaml:12)"; empty: a default decided.
struct ExplainedStep {
  std::string name;  // "listener", "route", "TLS", ...: stable, for -o json
  std::string text;
  std::string from;
  std::vector<std::string> notes;  // what was not chosen and why, what to beware of
};

// One of the places where it may go: several where a route has weights.
struct ExplainedTarget {
  ClusterPtr cluster;           // null: what is named does not exist
  uint32_t weight = 1, of = 1;  // its share
  std::string authority;        // that the upstream sees; SNI and names come from it
  std::vector<ExplainedStep> steps;
  std::string refused;  // why nothing is sent there; empty: it is
  // The client's own TLS would go into ours, which no ordinary server understands.
  bool tls_inside_tls = false;
};

struct Explanation {
  std::vector<ExplainedStep> steps;  // up to the choice of a cluster
  std::vector<ExplainedTarget> targets;
  std::string answer;   // the proxy answers itself: "301 to ..."; not a refusal
  std::string refused;  // why it ends before any target; empty: it does not
  bool goes_through() const;
};

// What an application does: dials `destination`, then says `preface`; `request` counts where that
// is HTTP (its head is read for Host and header matches; `random` is not used: all shares are
// told).
struct Question {
  SocketAddress destination;
  sniff::Preface preface;
  RequestFacts request;
};

// `snapshot` is what `input` compiles to.
Explanation explain(const CompileInput& input, const Snapshot& snapshot, const Question& question);

// DestinationRules whose host matches the cluster's service and that do not decide for it, each
// with the reason: "DestinationRule a/b (rules.yaml:3): its workloadSelector does not select this
// proxy".
std::vector<std::string> rules_not_chosen(const CompileInput& input, const Cluster& cluster);

// The steps that follow from a cluster alone: rule, TLS, endpoints, limits. `client_tls`: what goes
// there is TLS already, the client's own.
std::vector<ExplainedStep> explain_cluster(const CompileInput& input, const Cluster& cluster,
                                           std::string_view authority, bool client_tls);

// An address for what has none yet: pods of a template, a Service that no cluster has seen. Of
// 240.0.0.0/4, which nobody has (RFC 1112).
IpAddress stand_in_address(uint32_t number);
bool is_stand_in(const IpAddress& ip);

std::string duration_text(std::chrono::milliseconds time);  // "1h", "30s", "250ms"

// Retries, timeout and what else a rule does to its requests; what `request` (may be null) asks for
// itself counts.
ExplainedStep explain_policy(const Route& route, const http::Head* request);

}  // namespace sallyport::mesh
