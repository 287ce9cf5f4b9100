// The parts of an explanation that every front door shares: a request's rule, and the clusters that
// it or a connection leads to. Pure; for people, not for the data path.
#pragma once
#include <string>

#include "agent/mesh/explain.h"

namespace sallyport::mesh {

std::string protocol_text(const sniff::Preface& preface);  // "TLS with SNI a.test"

class PlanWords {
public:
  // `client_tls`: what goes to the clusters is TLS of the client's own.
  PlanWords(const CompileInput& input, bool client_tls) : input_(input), client_tls_(client_tls) {}

  // The reference holds until the next step is added.
  ExplainedStep& add(std::string name, std::string text, std::string from = {});
  ExplainedStep& virtual_host(const RequestPlan& plan, const RouteTable& table);
  void rule(const RequestPlan& plan);  // and those before it
  // What the rule does: an answer, or targets.
  void follow(const RequestPlan& plan, const RequestFacts& request);
  void bytes(const TcpRoute& route);
  void target(const ClusterPtr& cluster, const std::string& missing, uint32_t weight, uint32_t of,
              const std::string& authority);

  Explanation& out() { return out_; }

private:
  void earlier_rules(const RequestPlan& plan, ExplainedStep& step) const;
  bool answers_itself(const Route& route);

  const CompileInput& input_;
  bool client_tls_;
  Explanation out_;
};

}  // namespace sallyport::mesh
