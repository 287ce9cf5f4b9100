// The findings of one resource, while it is read.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "agent/istio/decode.h"

namespace sallyport::istio {

class Report {
public:
  // `findings` gets all of them; it outlives the report.
  Report(std::string file, std::vector<Finding>& findings)
      : file_(std::move(file)), findings_(findings), first_(findings.size()) {}
  Report(const Report&) = delete;

  void identify(std::string kind, std::string namespace_name, std::string name);
  void error(int line, std::string field, std::string reason) {
    add(finding(Severity::error, line, std::move(field), std::move(reason)), findings_.size());
  }
  // Before all else that is wrong with the resource: a mistyped name is the cause of what is
  // missing.
  void unknown_field(int line, std::string field, std::string reason);
  void warn(int line, std::string field, std::string reason) {
    add(finding(Severity::warning, line, std::move(field), std::move(reason)), findings_.size());
  }
  const std::string& file() const { return file_; }
  const std::optional<Finding>& first_error() const { return first_error_; }

private:
  Finding finding(Severity severity, int line, std::string field, std::string reason) const;
  void add(Finding finding, std::size_t at);

  std::string file_, kind_, namespace_name_, name_;
  std::vector<Finding>& findings_;
  std::optional<Finding> first_error_;
  const std::size_t first_;  // where this resource's findings begin
  std::size_t unknown_ = 0;  // so many of them are unknown fields, which come first
  std::size_t count_ = 0;
};

}  // namespace sallyport::istio
