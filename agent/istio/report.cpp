#include "agent/istio/report.h"

#include "agent/core/limits.h"
#include "agent/istio/scalar.h"

namespace sallyport::istio {

std::string Finding::text() const {
  std::string out = file;
  const auto part = [&](std::string_view separator, std::string_view text) {
    if (!out.empty()) out += separator;
    out += text;
  };
  if (line > 0) part(":", std::to_string(line));
  if (severity == Severity::warning) part(": ", "warning");
  if (!kind.empty()) {
    part(": ", kind);
    if (!name.empty()) {
      out += ' ';
      if (!namespace_name.empty()) out += namespace_name + '/';
      out += name;
    }
  }
  if (!field.empty()) part(": ", field);
  part(": ", reason);
  return one_line(out);
}

void Report::identify(std::string kind, std::string namespace_name, std::string name) {
  kind_ = std::move(kind);
  namespace_name_ = std::move(namespace_name);
  name_ = std::move(name);
}

void Report::add(Severity severity, int line, std::string field, std::string reason) {
  Finding finding{severity,         file_, line, kind_, namespace_name_, name_, std::move(field),
                  std::move(reason)};
  if (severity == Severity::error && !first_error_) first_error_ = finding;
  if (++count_ > limits::findings_per_resource) return;
  if (count_ == limits::findings_per_resource) finding.reason += " (and more)";
  findings_.push_back(std::move(finding));
}

}  // namespace sallyport::istio
