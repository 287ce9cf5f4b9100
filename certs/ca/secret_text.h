// A private key or token as text that is wiped when it goes. Moved, never copied by accident.
#pragma once
#include <string>
#include <string_view>

namespace sallyport::ca {

class SecretText {
public:
  SecretText() = default;
  explicit SecretText(std::string text) : text_(std::move(text)) {}
  SecretText(SecretText&& other) noexcept : text_(std::move(other.text_)) { other.wipe(); }
  SecretText& operator=(SecretText&& other) noexcept {
    wipe();
    text_ = std::move(other.text_);
    other.wipe();
    return *this;
  }
  SecretText(const SecretText&) = delete;
  ~SecretText() { wipe(); }
  std::string_view view() const { return text_; }
  bool empty() const { return text_.empty(); }

private:
  void wipe();
  std::string text_;
};

}  // namespace sallyport::ca
