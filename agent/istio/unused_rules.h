// Rules and matches of a VirtualService that are never used, as Istio finds them, with its words
// (istio/istio:pkg/config/validation, analyzeUnreachableHTTPRules and its like).
#pragma once
#include <string>
#include <vector>

#include "agent/istio/virtual_service.h"

namespace sallyport::istio {

struct UnusedRule {
  bool whole = false;  // the rule; else one match of it
  std::string field;   // "spec.http[1]", "spec.tls[0].match[2]"
  int line = 0;
  std::string reason;  // "rule #1 not used (...)"
};
std::vector<UnusedRule> unused_rules(const VirtualService& service);

}  // namespace sallyport::istio
