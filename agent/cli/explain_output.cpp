#include "agent/cli/explain_output.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace sallyport::cli {
namespace {

class Text {
public:
  void step(const mesh::ExplainedStep& step) {
    line(step.name, step.text, step.from);
    for (const auto& note : step.notes) out_ += std::string(indent_ + 18, ' ') + "- " + note + "\n";
  }
  void line(const std::string& name, const std::string& text, const std::string& from) {
    constexpr std::size_t name_width = 13;
    const auto number = std::to_string(++number_);
    out_ += std::string(indent_, ' ') + (number.size() < 2 ? " " : "") + number + ". " + name;
    out_ += std::string(name.size() < name_width ? name_width - name.size() : 1, ' ') + " " + text;
    if (!from.empty()) out_ += "  [" + from + "]";
    out_ += "\n";
  }
  void plain(const std::string& text) { out_ += std::string(indent_, ' ') + text + "\n"; }
  void indent(std::size_t by) { indent_ = by; }
  int number() const { return number_; }
  void restart(int number) { number_ = number; }
  std::string take() { return std::move(out_); }

private:
  std::string out_;
  std::size_t indent_ = 0;
  int number_ = 0;
};

std::string share(const mesh::ExplainedTarget& target) {
  const auto percent = target.of ? 100.0 * target.weight / target.of : 100.0;
  char text[32];
  std::snprintf(text, sizeof text, "%.4g%%", percent);
  return text;
}

void tell_target(const mesh::ExplainedTarget& target, const LiveResult* live, Text& out) {
  for (const auto& step : target.steps) out.step(step);
  if (!target.refused.empty()) {
    out.plain((target.tls_inside_tls ? "    WOULD FAIL: " : "    REFUSED: ") + target.refused);
  }
  if (!live) return;
  for (const auto& step : live->steps) {
    out.line(step.name, (step.good ? "" : "FAILED: ") + step.text, "");
  }
}

std::string verdict(const Told& told) {
  if (!told.plan.refused.empty()) return "REFUSED: " + told.plan.refused;
  if (!told.captured) return "The sidecar never sees it: it leaves as it is.";
  if (!told.plan.answer.empty()) return "The proxy answers: " + told.plan.answer;
  if (!told.plan.goes_through()) return "It does NOT go through.";
  if (!told.goes_through()) return "The plan goes through; the live connection FAILED.";
  if (told.tried_in_part()) return "It goes through, as far as it was tried.";
  return "It goes through.";
}

boost::json::object json_of(const mesh::ExplainedStep& step) {
  boost::json::object out{{"step", step.name}, {"text", step.text}};
  if (!step.from.empty()) out["decidedBy"] = step.from;
  if (!step.notes.empty()) out["notes"] = boost::json::array(step.notes.begin(), step.notes.end());
  return out;
}

boost::json::array json_of(const std::vector<mesh::ExplainedStep>& steps) {
  boost::json::array out;
  for (const auto& step : steps) out.push_back(json_of(step));
  return out;
}

boost::json::object json_of(const mesh::ExplainedTarget& target, const LiveResult* live) {
  boost::json::object out{{"cluster", target.cluster ? target.cluster->name : ""},
                          {"weight", target.weight},
                          {"of", target.of},
                          {"steps", json_of(target.steps)}};
  if (!target.refused.empty()) out["refused"] = target.refused;
  if (!live) return out;
  boost::json::array steps;
  for (const auto& step : live->steps) {
    steps.push_back(
        boost::json::object{{"step", step.name}, {"text", step.text}, {"good", step.good}});
  }
  out["live"] = std::move(steps);
  return out;
}

}  // namespace

bool LiveResult::good() const {
  return std::all_of(steps.begin(), steps.end(), [](const auto& step) { return step.good; });
}

bool Told::goes_through() const {
  return plan.goes_through() &&
         std::all_of(live.begin(), live.end(), [](const auto& one) { return one.good(); });
}

bool Told::tried_in_part() const {
  return std::any_of(live.begin(), live.end(), [](const auto& one) { return one.partly; });
}

std::string explanation_text(const Told& told) {
  Text out;
  out.plain(told.asked);
  for (const auto& step : told.before) out.step(step);
  for (const auto& step : told.plan.steps) out.step(step);
  const int shared = out.number();
  const auto& targets = told.plan.targets;
  for (std::size_t i = 0; i < targets.size(); i++) {
    if (targets.size() > 1) {
      out.restart(shared);
      out.indent(0);
      const auto& to = targets[i];
      out.plain("  " + share(to) +
                " of the requests: " + (to.cluster ? to.cluster->name : std::string("nowhere")));
      out.indent(2);
    }
    tell_target(targets[i], i < told.live.size() ? &told.live[i] : nullptr, out);
  }
  out.indent(0);
  if (!told.running.empty()) out.plain("The running proxy, now: " + told.running);
  out.plain((told.running.empty() ? "" : "After a restart, by the files: ") + verdict(told));
  if (told.may_differ) out.plain("By the files: the running proxy may do otherwise, see 1.");
  return out.take();
}

std::string explanation_document(const Told& told, Output output) {
  auto steps = json_of(told.before);
  for (auto& step : json_of(told.plan.steps)) steps.push_back(std::move(step));
  boost::json::array targets;
  for (std::size_t i = 0; i < told.plan.targets.size(); i++) {
    targets.push_back(
        json_of(told.plan.targets[i], i < told.live.size() ? &told.live[i] : nullptr));
  }
  boost::json::object all{{"asked", told.asked},
                          {"captured", told.captured},
                          {"goesThrough", told.goes_through()},
                          {"steps", std::move(steps)},
                          {"targets", std::move(targets)}};
  if (!told.plan.refused.empty()) all["refused"] = told.plan.refused;
  if (!told.running.empty()) all["runningProxy"] = told.running;
  if (told.may_differ) all["runningProxyMayDiffer"] = true;
  if (!told.plan.answer.empty()) all["answer"] = told.plan.answer;
  return print(boost::json::value(std::move(all)), output, Names::as_they_are);
}

}  // namespace sallyport::cli
