// What an analysis found, as values.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::analyze {

enum class Level : uint8_t { info, warning, error };  // in rising order

// A row of the table of codes (codes.h). Texts live for ever.
struct Code {
  std::string_view id;  // "IST0101", "SLP0201"
  Level level;
  std::string_view meaning;
  std::string_view cure;  // what to do; an analyzer may say it more exactly
};

struct Finding {
  const Code* code = nullptr;  // of the table
  std::string kind, namespace_name, name;
  std::string file;
  int line = 0;         // of the field, or of the resource where the field is absent
  std::string field;    // "spec.trafficPolicy.tls"; empty: the whole resource
  std::string message;  // the cause
  std::string cure;

  // "DestinationRule double.default", as istioctl writes resources.
  std::string resource() const;
};

std::string_view text_of(Level level);  // "Info", "Warning", "Error"

}  // namespace sallyport::analyze
