#include "agent/observe/log_time.h"

#include <charconv>
#include <cstring>
#include <ctime>

namespace sallyport::observe {

LogTime::LogTime(std::string_view format)
    : format_(format.empty() ? "%Y-%m-%dT%H:%M:%S.%3fZ" : format) {}

bool LogTime::acceptable(std::string_view format) { return LogTime(format).render(0); }

bool LogTime::render(int64_t second) {
  const time_t time = second;
  tm t{};
  gmtime_r(&time, &t);
  size_ = fractions_count_ = 0;
  for (std::size_t i = 0; i < format_.size(); i++) {
    if (size_ + 1 >= text_.size()) return false;
    if (format_[i] != '%' || i + 1 == format_.size()) {
      text_[size_++] = format_[i];
      continue;
    }
    const char kind = format_[++i];
    const bool counted =
        kind >= '1' && kind <= '9' && i + 1 < format_.size() && format_[i + 1] == 'f';
    if (kind == 'f' || counted) {
      const std::size_t digits = counted ? static_cast<std::size_t>(kind - '0') : 9;
      if (fractions_count_ == fractions_.size() || size_ + digits >= text_.size()) return false;
      fractions_[fractions_count_++] = {static_cast<uint8_t>(size_), static_cast<uint8_t>(digits)};
      size_ += digits;
      i += counted;
    } else if (kind == 's') {  // strftime would take t for local time
      const auto end = std::to_chars(text_.data() + size_, text_.data() + text_.size(), second);
      if (end.ec != std::errc()) return false;
      size_ = static_cast<std::size_t>(end.ptr - text_.data());
    } else {
      const char conversion[] = {'%', kind, 0};
      size_ += std::strftime(text_.data() + size_, text_.size() - size_, conversion, &t);
    }
  }
  second_ = second;
  return true;
}

char* LogTime::write(char* to, int64_t unix_us) {
  const int64_t second = unix_us / 1'000'000;
  if (second != second_) render(second);
  std::memcpy(to, text_.data(), size_);
  for (std::size_t i = 0; i < fractions_count_; i++) {
    auto nanoseconds = static_cast<uint64_t>(unix_us % 1'000'000) * 1000;
    char* const at = to + fractions_[i].at;
    for (int digit = 9; digit > fractions_[i].digits; digit--) nanoseconds /= 10;
    for (int digit = fractions_[i].digits; digit-- > 0; nanoseconds /= 10)
      at[digit] = static_cast<char>('0' + nanoseconds % 10);
  }
  return to + size_;
}

}  // namespace sallyport::observe
