// The newest part of what a container wrote.
#pragma once
#include <cstdint>
#include <string>

namespace sallyport::sandbox {

class LogBuffer {
public:
  static constexpr std::size_t bytes_max = 4 * 1024 * 1024;
  void append(std::string_view text) {
    text_.append(text);
    if (text_.size() <= bytes_max + bytes_max / 4) return;  // Cut seldom: erasing moves the rest.
    const std::size_t cut = text_.find('\n', text_.size() - bytes_max);
    const std::size_t count = cut == std::string::npos ? text_.size() - bytes_max : cut + 1;
    text_.erase(0, count);
    first_ += count;
  }
  // What was written from byte `offset` of the whole log on; the oldest kept byte where that is
  // gone.
  std::string from(uint64_t offset) const {
    return offset <= first_  ? text_
           : offset >= end() ? std::string()
                             : text_.substr(offset - first_);
  }
  uint64_t end() const { return first_ + text_.size(); }

private:
  std::string text_;
  uint64_t first_ = 0;  // offset of text_[0] in the whole log
};

}  // namespace sallyport::sandbox
