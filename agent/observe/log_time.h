// START_TIME: strftime's conversions and %3f, %6f, %9f, %f for parts of a second. The text of a
// second is made once; after that a line costs a copy and a few digits.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::observe {

class LogTime {
public:
  static constexpr std::size_t size_max = 160;
  // `format`: REQUIRES acceptable(format). Empty: ISO 8601 with milliseconds, UTC.
  explicit LogTime(std::string_view format = {});
  static bool acceptable(std::string_view format);  // its text fits and its %f are few
  char* write(char* to, int64_t unix_us);           // at most size_max characters

private:
  struct Fraction {
    uint8_t at = 0, digits = 0;
  };
  bool render(int64_t second);
  std::string format_;
  int64_t second_ = INT64_MIN;
  std::array<char, size_max> text_{};
  std::size_t size_ = 0, fractions_count_ = 0;
  std::array<Fraction, 4> fractions_{};
};

}  // namespace sallyport::observe
