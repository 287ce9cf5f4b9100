// filter.expression of a Telemetry's accessLogging: a subset of CEL over Envoy's attributes, parsed
// once, then asked for each record without an allocation.
//
// The subset: ||, &&, !, ==, !=, <, <=, >, >=, `in` (a list of literals, or a map of headers),
// has(), startsWith, endsWith, contains, matches (RE2), duration("1.5s"), literals, and the
// attributes that log_filter_attributes.cpp lists. As in Envoy, a condition that asks for what a
// record does not have is no reason to log it, unless the other side of an || is true.
//
// Threading: immutable after parse().
// Limits: limits::log_filter_bytes, log_filter_nodes, log_filter_depth.
#pragma once
#include <memory>
#include <string_view>

#include "agent/core/error.h"
#include "agent/observe/access_record.h"
#include "agent/observe/log_format.h"

namespace sallyport::observe {

struct FilterPlan;

class LogFilter {
public:
  // Error: the column, and what is wrong there or not supported.
  static Result<LogFilter> parse(std::string_view expression);
  bool takes(const AccessRecord& record) const;  // whether it is to be logged
  const LogNeeds& needs() const;                 // what it wants beside plain fields

private:
  explicit LogFilter(std::shared_ptr<const FilterPlan> plan) : plan_(std::move(plan)) {}
  std::shared_ptr<const FilterPlan> plan_;
};

}  // namespace sallyport::observe
