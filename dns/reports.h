// What a resolver tells the operator: a few lines a minute, the rest as a number.
//
// Threading: its resolver's.
#pragma once
#include <functional>
#include <string>

#include "agent/core/limits.h"
#include "agent/net/loop.h"

namespace sallyport::dns {

class Reports {
public:
  explicit Reports(std::function<void(const std::string&)> to) : to_(std::move(to)) {}

  void say(const std::string& text, net::Loop::Clock::time_point now) {
    if (!to_) return;
    if (now - minute_began_ >= std::chrono::minutes(1)) {
      if (left_out_ > 0) to_(std::to_string(left_out_) + " more lines about DNS were left out");
      minute_began_ = now;
      said_ = left_out_ = 0;
    }
    if (said_ >= limits::dns_log_lines) {
      ++left_out_;
      return;
    }
    ++said_;
    to_(text);
  }

private:
  std::function<void(const std::string&)> to_;
  net::Loop::Clock::time_point minute_began_{};
  int said_ = 0, left_out_ = 0;
};

}  // namespace sallyport::dns
