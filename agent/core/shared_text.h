// A text that many hold and nobody changes: copies share it. Any thread.
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace sallyport {

class SharedText {
public:
  SharedText() = default;       // empty
  SharedText(std::string text)  // NOLINT: as std::string's own
      : text_(text.empty() ? nullptr : std::make_shared<const std::string>(std::move(text))) {}
  SharedText(std::string_view text) : SharedText(std::string(text)) {}  // NOLINT
  SharedText(const char* text) : SharedText(std::string(text)) {}       // NOLINT

  const std::string& str() const {
    static const std::string empty;
    return text_ ? *text_ : empty;
  }
  operator const std::string&() const { return str(); }  // NOLINT: reads as the text
  bool empty() const { return !text_; }
  bool operator==(const SharedText& other) const {
    return text_ == other.text_ || str() == other.str();
  }

private:
  std::shared_ptr<const std::string> text_;  // null: empty
};

}  // namespace sallyport
