#include "agent/cli/finding_text.h"

namespace sallyport::cli {

std::string finding_line(const istio::Finding& finding) {
  istio::Finding rest = finding;
  rest.file.clear();
  rest.line = 0;
  rest.severity = istio::Severity::error;  // of which text() says nothing
  const auto place =
      finding.line > 0 ? finding.file + ":" + std::to_string(finding.line) : finding.file;
  const bool is_error = finding.severity == istio::Severity::error;
  return (place.empty() ? "" : place + ": ") + (is_error ? "error: " : "warning: ") + rest.text();
}

}  // namespace sallyport::cli
