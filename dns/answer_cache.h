// What servers answered, kept while its TTL holds: least recently used ones go first.
//
// Threading: its worker's. Limits: limits::dns_proxy_answers, dns_proxy_answer_bytes.
#pragma once
#include <chrono>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "dns/question.h"

namespace sallyport::dns {

class AnswerCache {
public:
  using TimePoint = std::chrono::steady_clock::time_point;
  AnswerCache() = default;
  AnswerCache(const AnswerCache&) = delete;

  // Nothing happens where `question` has options, `ttl` is 0 or the response is too long.
  // `ttl`: seconds.
  void put(const Question& question, std::string_view response, uint32_t ttl, TimePoint now);

  struct Found {
    std::span<const char> response;  // until the next put()
    std::chrono::seconds age;
  };
  // No allocation.
  std::optional<Found> find(const Question& question, TimePoint now);

  void clear();
  std::size_t size() const { return by_key_.size(); }
  std::size_t bytes() const { return bytes_; }

private:
  struct Entry {
    std::string key, response;
    TimePoint stored, expires;
    std::size_t bytes() const { return key.size() + response.size(); }
  };
  using Entries = std::list<Entry>;
  void drop(Entries::iterator entry);

  Entries entries_;                                                 // most recently used first
  std::unordered_map<std::string_view, Entries::iterator> by_key_;  // views of Entry::key
  std::size_t bytes_ = 0;
};

}  // namespace sallyport::dns
