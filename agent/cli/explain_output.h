// An explanation as text and as JSON or YAML.
#pragma once
#include <string>
#include <vector>

#include "agent/cli/json_output.h"
#include "agent/mesh/explain.h"

namespace sallyport::cli {

struct LiveStep {
  std::string name, text;
  bool good = true;
};
struct LiveResult {
  std::vector<LiveStep> steps;  // resolve, connect, handshake, certificates, verification
  bool partly = false;          // something could not be tried; a step says what
  bool good() const;
};

struct Told {
  std::string asked;                        // "GET http://a.test/ from default/sleep"
  std::vector<mesh::ExplainedStep> before;  // dialled, capture
  bool captured = true;                     // false: nothing else was asked
  mesh::Explanation plan;
  // What the running proxy does with it, where that is not what the files say: it refused some of
  // them and goes by their last good version. Empty: the files say it.
  std::string running;
  // It refuses a policy or a Sidecar, say, whose last good version the dump does not show.
  bool may_differ = false;
  std::vector<LiveResult> live;  // of each target; empty: not asked for
  bool goes_through() const;
  bool tried_in_part() const;
};

std::string explanation_text(const Told& told);
std::string explanation_document(const Told& told, Output output);

}  // namespace sallyport::cli
