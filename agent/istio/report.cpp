#include "agent/istio/report.h"

#include <algorithm>

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

Finding Report::finding(Severity severity, int line, std::string field, std::string reason) const {
  return {severity,         file_, line, kind_, namespace_name_, name_, std::move(field),
          std::move(reason)};
}

void Report::unknown_field(int line, std::string field, std::string reason) {
  Finding found = finding(Severity::error, line, std::move(field), std::move(reason));
  if (unknown_ == 0) first_error_ = found;
  add(std::move(found), std::min(first_ + unknown_, findings_.size()));
  ++unknown_;
}

void Report::add(Finding finding, std::size_t at) {
  if (finding.severity == Severity::error && !first_error_) first_error_ = finding;
  if (++count_ > limits::findings_per_resource) return;
  if (count_ == limits::findings_per_resource) finding.reason += " (and more)";
  findings_.insert(findings_.begin() + static_cast<std::ptrdiff_t>(at), std::move(finding));
}

}  // namespace sallyport::istio
