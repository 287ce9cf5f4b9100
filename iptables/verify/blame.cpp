#include "iptables/verify/blame.h"

#include <algorithm>
#include <functional>

namespace sallyport::rules {
namespace {

using Kind = Outcome::Kind;
using Verdict = Decision::Verdict;

std::string told(const Decision& decision) {
  return (decision.certain ? "" : "perhaps ") + decision.table + " " + decision.where;
}

// The first that is certain, else the first that may be.
std::optional<std::string> first_of(const std::vector<Decision>& decisions,
                                    const std::function<bool(const Decision&)>& is) {
  for (const bool certain : {true, false}) {
    for (const auto& decision : decisions) {
      if (decision.certain == certain && is(decision)) return told(decision);
    }
  }
  return {};
}

bool is_stopped(const Decision& decision) {
  return decision.verdict == Verdict::drops || decision.verdict == Verdict::queues ||
         decision.verdict == Verdict::untracks;
}

// The last rule of nat (of mangle, for TPROXY) that let it go.
std::optional<std::string> let_go(const std::vector<Decision>& decisions) {
  const auto at = std::find_if(decisions.rbegin(), decisions.rend(), [](const Decision& decision) {
    return (decision.table == "nat" || decision.table == "mangle") &&
           (decision.verdict == Verdict::accepts || decision.verdict == Verdict::returns);
  });
  if (at == decisions.rend()) return {};
  return told(*at);
}

}  // namespace

bool as_expected(const Probe& probe, const Outcome& outcome) {
  if (probe.led_to == 0) return outcome.kind == Kind::passed;
  return outcome.kind == Kind::led && outcome.port == probe.led_to;
}

std::string text_of(const Outcome& outcome) {
  const std::string port = std::to_string(outcome.port);
  switch (outcome.kind) {
    case Kind::passed:
      return "passes by";
    case Kind::led:
      return "is led to " + port;
    case Kind::unanswered:
      return "is led to " + port + ", where nobody takes it";
    case Kind::lost:
      return "does not arrive: dropped, or not tracked";
    case Kind::not_sent:
      break;
  }
  return "not probed: " + outcome.reason;
}

std::string blame(const Probe& probe, const Outcome& outcome,
                  const std::vector<Decision>& decisions) {
  std::optional<std::string> rule;
  if (outcome.kind == Kind::lost || outcome.kind == Kind::unanswered)
    rule = first_of(decisions, is_stopped);
  if (outcome.kind == Kind::led)
    rule = first_of(decisions, [&](const Decision& decision) {
      return decision.verdict == Verdict::leads &&
             (decision.port == outcome.port || decision.port == 0);
    });
  if (outcome.kind == Kind::passed) {
    rule = first_of(decisions, is_stopped);
    if (!rule) rule = let_go(decisions);
    if (!rule) return "no rule leads it to " + std::to_string(probe.led_to);
  }
  if (rule) return *rule;
  return "no rule of iptables does that; `nft list ruleset` shows others";
}

}  // namespace sallyport::rules
