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
      : file_(std::move(file)), findings_(findings) {}
  Report(const Report&) = delete;

  void identify(std::string kind, std::string namespace_name, std::string name);
  void error(int line, std::string field, std::string reason) {
    add(Severity::error, line, std::move(field), std::move(reason));
  }
  void warn(int line, std::string field, std::string reason) {
    add(Severity::warning, line, std::move(field), std::move(reason));
  }
  const std::string& file() const { return file_; }
  const std::optional<Finding>& first_error() const { return first_error_; }

private:
  void add(Severity severity, int line, std::string field, std::string reason);

  std::string file_, kind_, namespace_name_, name_;
  std::vector<Finding>& findings_;
  std::optional<Finding> first_error_;
  std::size_t count_ = 0;
};

}  // namespace sallyport::istio
