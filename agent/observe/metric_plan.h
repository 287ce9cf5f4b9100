// A Telemetry's word on the standard metrics of one side, compiled: which are off, which labels are
// taken away, and which are set to the value of a CEL expression.
//
// Threading: immutable once compiled.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"
#include "agent/mesh/telemetry_metrics.h"
#include "agent/observe/access_record.h"
#include "agent/observe/series.h"

namespace sallyport::observe {

struct FilterPlan;

struct MetricPlan {
  struct Tag {
    std::string name;
    bool remove = false;
    std::size_t value = 0;  // of `expressions`
  };
  bool enabled = false;
  std::array<bool, standard_metrics_count> disabled{};
  std::array<std::vector<Tag>, standard_metrics_count> tags;  // of each metric
  std::vector<std::string> texts;                             // of the expressions; each once
  std::vector<std::shared_ptr<const FilterPlan>> expressions;
};

// An expression that can't be used leaves its label as it is: tag_problem() says why.
MetricPlan compile_metrics(const mesh::MetricsOfSide& side);

// Empty: the expression can be used. It is of the subset that log_filter.h describes, of any type,
// maybe inside string(); it may not ask for header fields or for TLS facts, which are kept for the
// access log alone.
std::string tag_problem(std::string_view expression);

// The value of each expression; "unknown" where the record has none. `values` is filled in place,
// so that nothing is allocated once it is warm.
void evaluate_tags(const MetricPlan& plan, const AccessRecord& record,
                   std::vector<std::string>& values);

}  // namespace sallyport::observe
