#include "agent/cli/analyze_output.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "agent/cli/table.h"
#include "agent/core/ascii.h"

namespace sallyport::cli {
namespace {

std::string reference(const analyze::Finding& finding) {
  return finding.file + ":" + std::to_string(finding.line);
}

std::string documentation_url(std::string_view id) {
  if (!id.starts_with("IST")) return {};
  return "https://istio.io/latest/docs/reference/config/analysis/" + ascii::lower_case(id) + "/";
}

boost::json::string json_text_of(std::string_view text) {
  return boost::json::string(text.data(), text.size());
}

}  // namespace

std::string finding_text(const analyze::Finding& finding) {
  std::string out(analyze::text_of(finding.code->level));
  out += " [" + std::string(finding.code->id) + "] (";
  out += finding.kind.empty() ? "" : finding.resource() + " ";
  out += reference(finding) + ") " + finding.message + "\n    ";
  if (!finding.field.empty()) out += "at " + finding.field + "; ";
  return out + "cure: " + finding.cure + "\n";
}

std::string findings_document(std::span<const analyze::Finding> findings, Output output) {
  boost::json::array all;
  for (const auto& finding : findings) {
    boost::json::object one{{"code", json_text_of(finding.code->id)},
                            {"level", json_text_of(analyze::text_of(finding.code->level))},
                            {"origin", finding.resource()},
                            {"reference", reference(finding)},
                            {"message", finding.message},
                            {"field", finding.field},
                            {"cure", finding.cure}};
    const auto url = documentation_url(finding.code->id);
    if (!url.empty()) one["documentationUrl"] = url;
    all.push_back(std::move(one));
  }
  return print(boost::json::value(std::move(all)), output, Names::as_they_are);
}

std::string codes_text(std::span<const analyze::Code> codes) {
  Table table(3);
  table.add({"CODE", "LEVEL", "MEANING", "CURE"});
  for (const auto& code : codes) {
    table.add({std::string(code.id), std::string(analyze::text_of(code.level)),
               std::string(code.meaning), std::string(code.cure)});
  }
  return table.text();
}

std::string codes_document(std::span<const analyze::Code> codes, Output output) {
  boost::json::array all;
  for (const auto& code : codes) {
    all.push_back(boost::json::object{{"code", json_text_of(code.id)},
                                      {"level", json_text_of(analyze::text_of(code.level))},
                                      {"meaning", json_text_of(code.meaning)},
                                      {"cure", json_text_of(code.cure)}});
  }
  return print(boost::json::value(std::move(all)), output, Names::as_they_are);
}

}  // namespace sallyport::cli
