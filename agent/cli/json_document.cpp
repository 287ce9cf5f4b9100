#include "agent/cli/json_document.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace sallyport::cli {
namespace {

constexpr std::size_t depth_max = 64;  // a dump of ours has a dozen

}  // namespace

JsonDocument::JsonDocument(std::unique_ptr<Json> value) : value_(std::move(value)) {}
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument& JsonDocument::operator=(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

Result<JsonDocument> JsonDocument::parse(std::string_view text) {
  boost::json::error_code error;
  boost::json::parse_options options;
  options.max_depth = depth_max;
  auto value = boost::json::parse({text.data(), text.size()}, error, {}, options);
  if (error) return Error{.fault = Fault::protocol, .context = "no JSON: " + error.message()};
  return JsonDocument(std::make_unique<Json>(std::move(value)));
}

const Json* member(const Json* value, std::string_view path) {
  while (value && !path.empty()) {
    const auto name = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    const auto* object = value->if_object();
    value = object ? object->if_contains({name.data(), name.size()}) : nullptr;
  }
  return value;
}

std::string text_of(const Json* value) {
  if (!value || value->is_null()) return {};
  if (const auto* text = value->if_string()) return {text->data(), text->size()};
  return boost::json::serialize(*value);
}

bool truth_of(const Json* value) { return value && value->is_bool() && value->get_bool(); }

std::vector<const Json*> elements(const Json* array) {
  std::vector<const Json*> out;
  if (!array || !array->is_array()) return out;
  for (const auto& one : array->get_array()) out.push_back(&one);
  return out;
}

std::vector<std::string> texts_of(const Json* array) {
  std::vector<std::string> out;
  for (const auto* one : elements(array)) out.push_back(text_of(one));
  return out;
}

}  // namespace sallyport::cli
