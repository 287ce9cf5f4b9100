#include "agent/mesh/explain_inbound.h"

#include <algorithm>

#include "agent/mesh/authorization.h"
#include "agent/mesh/authorization_rules.h"
#include "agent/mesh/explain_denial.h"
#include "agent/mesh/peer_authentication.h"

namespace sallyport::mesh {
namespace {

using istio::MutualTls;

std::string_view text_of(MutualTls mode) {
  constexpr std::string_view names[] = {"UNSET", "DISABLE", "PERMISSIVE", "STRICT"};
  return names[static_cast<std::size_t>(mode)];
}

std::string from(const ResourceRefPtr& ref) { return ref ? ref->text() : std::string(); }

// Empty: it is let in so far.
std::string tell_mode(const CompileInput& input, const InboundQuestion& question,
                      ExplainedStep& step) {
  const auto choice = PeerAuthentications(input).of_workload(input.proxy.namespace_name,
                                                             input.proxy.labels, question.port);
  step.from = from(choice.from);
  if (choice.refused) {
    step.text = "closed";
    return choice.refused->context;
  }
  step.text = std::string(text_of(choice.mode)) + " on port " + std::to_string(question.port) +
              (choice.from ? "" : ", Istio's default") + "; the client sends " +
              (question.mutual_tls ? "mutual TLS" : "no mutual TLS");
  if (choice.mode == MutualTls::strict && !question.mutual_tls)
    return "mutual TLS is STRICT there, and the client sends none: the connection is reset";
  if (choice.mode == MutualTls::disable && question.mutual_tls)
    return "mutual TLS is DISABLE there: the client's would reach the application as bytes";
  return {};
}

AuthorizationFacts facts_of(const InboundQuestion& question, const std::vector<std::string>& uris) {
  AuthorizationFacts out;
  out.peer = out.remote = question.client;
  out.destination = {IpAddress(), question.port};
  out.uri_sans = uris;
  if (question.mutual_tls) out.sni = question.sni;
  if (!question.request.head) return out;
  out.head = question.request.head;
  out.scheme = question.mutual_tls ? "https" : "http";
  if (!question.scheme.empty()) out.scheme = question.scheme;
  out.authority = question.request.authority;
  out.path = question.request.path;
  out.method = question.request.method;
  return out;
}

bool asks_for_client_address(const AllOf& conditions) {
  return std::any_of(conditions.begin(), conditions.end(), [](const AttributeCondition& one) {
    return one.attribute == Attribute::peer_ip || one.attribute == Attribute::remote_ip;
  });
}

bool asks_for_client_address(const AuthorizationRules& all) {
  for (const auto* set : {&all.audit, &all.deny, &all.allow, &all.dry_deny, &all.dry_allow}) {
    for (const auto& rule : set->rules) {
      if (asks_for_client_address(rule.when)) return true;
      for (const auto& from : rule.from)
        if (asks_for_client_address(from)) return true;
    }
  }
  return false;
}

std::string tell_policy(const CompileInput& input, const InboundQuestion& question,
                        ExplainedStep& step) {
  std::vector<istio::Finding> findings;
  const auto compiled = compile_authorization(input, findings);
  if (!compiled) {
    step.text = "no AuthorizationPolicy selects it: allowed";
    return {};
  }
  std::vector<std::string> uris;
  if (question.mutual_tls) uris.push_back(question.principal);
  const auto facts = facts_of(question, uris);
  const auto answer = authorize(*compiled, facts);
  step.from = from(answer.because);
  const auto& rules = question.request.head ? *compiled->http : *compiled->tcp;
  if (!question.client.ip().is_set() && asks_for_client_address(rules))
    step.notes.emplace_back("the client's address, which a rule asks for, is not known here");
  if (!answer.audited_by.empty())
    step.notes.push_back("noted by " + std::string(answer.audited_by));
  if (!answer.dry_run.empty())
    step.notes.push_back("a dry run would refuse it: " + std::string(answer.dry_run));
  const std::string who = uris.empty() ? "a client without identity" : uris.front();
  if (answer.allowed) {
    step.text = (answer.because ? "allowed" : "no policy refuses it: allowed") + (", " + who);
    return {};
  }
  step.text = "denied: " + who;
  if (!answer.reason.empty()) return std::string(answer.reason);
  if (answer.policy != "none") return "the server denies it by " + std::string(answer.policy);
  for (auto& note : why_nothing_allows(input, facts)) step.notes.push_back(std::move(note));
  return "no ALLOW policy of the server matches";
}

}  // namespace

InboundExplanation explain_policy(const CompileInput& input, const InboundQuestion& question) {
  InboundExplanation out;
  out.steps.push_back({"server policy", "", "", {}});
  out.refused = tell_policy(input, question, out.steps.back());
  return out;
}

InboundExplanation explain_inbound(const CompileInput& input, const InboundQuestion& question) {
  InboundExplanation out;
  out.steps.push_back({"server mTLS", "", "", {}});
  out.refused = tell_mode(input, question, out.steps.back());
  if (!out.refused.empty()) return out;
  auto policy = explain_policy(input, question);
  out.steps.push_back(std::move(policy.steps.front()));
  out.refused = std::move(policy.refused);
  return out;
}

}  // namespace sallyport::mesh
