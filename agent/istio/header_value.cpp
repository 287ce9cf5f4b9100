// Header values of VirtualServices as Envoy reads them: `%NAME%` and `%NAME(arguments)%` are
// variables, `%%` is a percent sign (istio/istio:pkg/config/validation/header_value_validator.go).
#include "agent/istio/http_fields.h"

namespace sallyport::istio {
namespace {

enum class State : uint8_t {
  literal,
  name,         // of %NAME%
  arguments,    // after `(`, before anything else
  element,      // before a string of `["..."]`
  text,         // in a string, or in arguments without brackets
  after_text,   // before `,` or `]`
  after_list,   // before `)`
  variable_end  // before `%`
};

// What follows `state` on `c`; nothing where it can't.
std::optional<State> next(State state, char c) {
  const auto expect = [c](State here, std::initializer_list<std::pair<char, State>> others) {
    for (const auto& [wanted, to] : others) {
      if (c == wanted) return std::optional(to);
    }
    return c == ' ' ? std::optional(here) : std::nullopt;
  };
  switch (state) {
    case State::literal:
      return c == '%' ? State::name : State::literal;
    case State::name:
      return c == '%' ? State::literal : c == '(' ? State::arguments : State::name;
    case State::arguments:
      return c == '[' ? State::element : c == ' ' ? State::arguments : State::text;
    case State::element:
      return expect(state, {{'"', State::text}});
    case State::text:
      return c == ')' ? State::variable_end : c == '"' ? State::after_text : State::text;
    case State::after_text:
      return expect(state, {{',', State::element}, {']', State::after_list}});
    case State::after_list:
      return expect(state, {{')', State::variable_end}});
    case State::variable_end:
      return expect(state, {{'%', State::literal}});
  }
  return std::nullopt;
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

}  // namespace

HeaderValue read_header_value(std::string_view value) {
  HeaderValue out;
  const std::string what = "header value configuration " + quoted(value) + " is invalid";
  if (std::any_of(value.begin(), value.end(), is_control)) return {{}, false, what};
  State state = State::literal;
  for (std::size_t at = 0; at < value.size(); ++at) {
    const char c = value[at];
    const bool last = at + 1 == value.size();
    if (state == State::literal && c == '%' && last) return {{}, false, what + ": un-escaped %"};
    const bool escaped = (state == State::literal && c == '%' && value[at + 1] == '%') ||
                         (state == State::text && c == '\\');
    if (escaped) {
      if (last) return {{}, false, what + ": a backslash at its end"};
      out.text += value[++at];
      continue;
    }
    const auto then = next(state, c);
    if (!then) return {{}, false, what + ": unexpected " + quoted(value.substr(at, 1))};
    out.has_variables = out.has_variables || *then == State::name;
    state = *then;
    out.text += c;
  }
  if (state != State::literal) return {{}, false, what + ": a variable without its end"};
  if (out.has_variables) out.text = value;
  return out;
}

}  // namespace sallyport::istio
