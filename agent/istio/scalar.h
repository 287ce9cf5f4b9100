// Plain values out of text: YAML 1.1 scalars as Go's yaml.v2 resolves them, and durations as Go
// writes them.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/istio/tree.h"

namespace sallyport::istio {

// What a plain (unquoted) scalar is.
Node::Kind resolve_plain(std::string_view text);

// The value of a boolean, an integer (decimal, 0x, 0o, 0b, leading 0 for octal, `_` between digits)
// or a real that is whole. Empty when it is none, or an integer that 64 bits don't hold.
std::optional<bool> boolean_value(std::string_view text);
std::optional<bool> go_boolean(std::string_view text);  // as Go's strconv.ParseBool: "1", "true"
std::optional<int64_t> integer_value(std::string_view text);
std::optional<double> real_value(std::string_view text);  // also of an integer; never NaN

// "10s", "1.5s", "500ms", "1h10m", "0": Go's time.ParseDuration, without a sign; at most 100 years.
// Nanoseconds.
std::optional<std::chrono::nanoseconds> duration_value(std::string_view text);

// Without the blanks around each; empty parts are left out.
std::vector<std::string_view> comma_separated(std::string_view text);

// In double quotes, control characters escaped, at most 100 bytes of it: for messages.
std::string quoted(std::string_view text);
// One line, whatever was in it: control characters and invalid UTF-8 become \xNN.
std::string one_line(std::string_view text);

}  // namespace sallyport::istio
