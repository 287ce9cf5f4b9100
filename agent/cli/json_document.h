// JSON read from a file or the admin port, for looking at and for printing.
//
// The parsed value is Boost.JSON's; only the sources see its header.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"

namespace boost::json {
class value;
}

namespace sallyport::cli {

using Json = boost::json::value;

// Owns a parsed document; pointers into it live as long.
class JsonDocument {
public:
  static Result<JsonDocument> parse(std::string_view text);
  JsonDocument(JsonDocument&&) noexcept;
  JsonDocument& operator=(JsonDocument&&) noexcept;
  ~JsonDocument();
  const Json* root() const { return value_.get(); }

private:
  explicit JsonDocument(std::unique_ptr<Json> value);
  std::unique_ptr<Json> value_;
};

// All take nullptr for "not there", and give nullptr, "", 0 or nothing for it.
// `path`: names with dots between, "active_state.listener".
const Json* member(const Json* value, std::string_view path);
std::string text_of(const Json* value);  // a string as it is, a number in digits
bool truth_of(const Json* value);
std::vector<const Json*> elements(const Json* array);
std::vector<std::string> texts_of(const Json* array);

}  // namespace sallyport::cli
