#include "agent/observe/log_filter.h"

#include "agent/observe/log_filter_plan.h"

namespace sallyport::observe {
namespace {

using FilterOp = FilterNode::Op;

FilterValue truth(bool value) { return {.type = FilterType::boolean, .boolean = value}; }

// -1, 0 or 1. REQUIRES: both are there, and comparable().
int order_of(const FilterValue& a, const FilterValue& b) {
  if (a.type == FilterType::text) {
    const int order = a.text.compare(b.text);
    return order < 0 ? -1 : order > 0;
  }
  if (a.type == FilterType::boolean) return a.boolean - b.boolean;
  if (a.type == FilterType::real || b.type == FilterType::real) {
    const auto real = [](const FilterValue& value) {
      return value.type == FilterType::real ? value.real : static_cast<double>(value.integer);
    };
    return real(a) < real(b) ? -1 : real(a) > real(b);
  }
  return a.integer < b.integer ? -1 : a.integer > b.integer;
}

bool is_in_order(FilterOp op, int order) {
  switch (op) {
    case FilterOp::equal:
      return order == 0;
    case FilterOp::unequal:
      return order != 0;
    case FilterOp::less:
      return order < 0;
    case FilterOp::less_or_equal:
      return order <= 0;
    case FilterOp::greater:
      return order > 0;
    default:
      return order >= 0;
  }
}

class FilterRun {
public:
  FilterRun(const FilterPlan& plan, const AccessRecord& record, FilterScratch& scratch)
      : plan_(plan), record_(record), scratch_(scratch) {}
  FilterValue value(uint32_t at);

private:
  FilterValue literal(const FilterNode& node) const;
  FilterValue header(const FilterNode& node) const;
  FilterValue both(const FilterNode& node, bool decisive);
  FilterValue in_list(const FilterNode& node);
  FilterValue compared(const FilterNode& node);
  FilterValue matched(const FilterNode& node);

  const FilterPlan& plan_;
  const AccessRecord& record_;
  FilterScratch& scratch_;
};

FilterValue FilterRun::literal(const FilterNode& node) const {
  if (node.type != FilterType::text) return node.value;
  return {.type = FilterType::text, .text = plan_.texts[node.left]};
}

FilterValue FilterRun::header(const FilterNode& node) const {
  const auto value = header_value(node.headers, plan_.texts[node.right], record_);
  return value ? FilterValue{.type = FilterType::text, .text = *value} : absent_value;
}

// && and ||: one side that decides makes up for what the other lacks.
FilterValue FilterRun::both(const FilterNode& node, bool decisive) {
  const FilterValue left = value(node.left);
  if (!left.absent && left.boolean == decisive) return truth(decisive);
  const FilterValue right = value(node.right);
  if (!right.absent && right.boolean == decisive) return truth(decisive);
  return left.absent || right.absent ? absent_value : truth(!decisive);
}

FilterValue FilterRun::in_list(const FilterNode& node) {
  const FilterValue wanted = value(node.left);
  if (wanted.absent) return wanted;
  const FilterNode& list = plan_.nodes[node.right];
  for (uint32_t i = 0; i < list.right; i++)
    if (order_of(wanted, literal(plan_.nodes[plan_.items[list.left + i]])) == 0) return truth(true);
  return truth(false);
}

FilterValue FilterRun::compared(const FilterNode& node) {
  const FilterValue left = value(node.left), right = value(node.right);
  if (left.absent || right.absent) return absent_value;
  return truth(is_in_order(node.op, order_of(left, right)));
}

FilterValue FilterRun::matched(const FilterNode& node) {
  const FilterValue text = value(node.left);
  if (text.absent) return text;
  if (node.op == FilterOp::matches)
    return truth(plan_.regexes[node.right].matches_part_of(text.text));
  const FilterValue part = value(node.right);
  if (part.absent) return part;
  if (node.op == FilterOp::starts_with) return truth(text.text.starts_with(part.text));
  if (node.op == FilterOp::ends_with) return truth(text.text.ends_with(part.text));
  return truth(text.text.find(part.text) != std::string_view::npos);
}

FilterValue FilterRun::value(uint32_t at) {
  const FilterNode& node = plan_.nodes[at];
  switch (node.op) {
    case FilterOp::literal:
      return literal(node);
    case FilterOp::attribute:
      return attribute_value(node.attribute, record_, scratch_);
    case FilterOp::header:
      return header(node);
    case FilterOp::has:
      return truth(!value(node.left).absent);
    case FilterOp::negation: {
      const FilterValue inner = value(node.left);
      return inner.absent ? inner : truth(!inner.boolean);
    }
    case FilterOp::conjunction:
      return both(node, false);
    case FilterOp::disjunction:
      return both(node, true);
    case FilterOp::in_list:
      return in_list(node);
    case FilterOp::in_headers:
      return truth(header_value(node.headers, plan_.texts[node.left], record_).has_value());
    case FilterOp::starts_with:
    case FilterOp::ends_with:
    case FilterOp::contains:
    case FilterOp::matches:
      return matched(node);
    default:
      return compared(node);
  }
}

}  // namespace

FilterValue value_of(const FilterPlan& plan, const AccessRecord& record, FilterScratch& scratch) {
  return FilterRun(plan, record, scratch).value(plan.root);
}

Result<LogFilter> LogFilter::parse(std::string_view expression) {
  auto plan = parse_filter(expression);
  if (!plan) return plan.error();
  return LogFilter(std::make_shared<const FilterPlan>(std::move(*plan)));
}

bool LogFilter::takes(const AccessRecord& record) const {
  FilterScratch scratch;
  const FilterValue answer = value_of(*plan_, record, scratch);
  return !answer.absent && answer.boolean;
}

const LogNeeds& LogFilter::needs() const { return plan_->needs; }

}  // namespace sallyport::observe
