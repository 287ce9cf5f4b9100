// Writes JSON text, indented by one space as Envoy's admin pages are. Strings that are not UTF-8
// are escaped byte by byte rather than passed on.
//
//   JsonWriter json;
//   json.object([&] { json.field("name", name); json.array("hosts", [&] { json.value(host); }); });
#pragma once
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::admin {

class JsonWriter {
public:
  void value(std::string_view text);
  void value(const char* text) { value(std::string_view(text)); }
  void value(std::same_as<bool> auto truth) { raw(truth ? "true" : "false"); }
  void value(double number);
  void value(std::integral auto number)
    requires(!std::same_as<decltype(number), bool>)
  {
    raw(std::to_string(number));
  }

  template <class F>
  void object(F fill) {
    open('{');
    fill();
    close('}');
  }
  template <class F>
  void array(F fill) {
    open('[');
    fill();
    close(']');
  }
  template <class F>
  void object(std::string_view key, F fill) {
    name(key);
    object(fill);
  }
  template <class F>
  void array(std::string_view key, F fill) {
    name(key);
    array(fill);
  }
  void field(std::string_view key, const auto& what) {
    name(key);
    value(what);
  }
  std::string take() { return std::move(out_) + "\n"; }

private:
  void name(std::string_view key);
  void raw(std::string_view text);
  void open(char bracket);
  void close(char bracket);
  void separate();
  void new_line();
  void escape(std::string_view text);

  std::string out_;
  int depth_ = 0;
  bool first_ = true;   // nothing yet at this depth
  bool named_ = false;  // a key was written, its value comes next
};

}  // namespace sallyport::admin
