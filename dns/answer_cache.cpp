#include "dns/answer_cache.h"

#include <algorithm>

#include "agent/core/limits.h"

namespace sallyport::dns {
namespace {

// Name, type, class, and what of the rest an answer depends on.
struct Key {
  explicit Key(const Question& question) {
    const auto name = question.wire_name();
    std::copy(name.begin(), name.end(), bytes.begin());
    size = name.size();
    for (const uint16_t number : {question.type, question.klass}) {
      bytes[size++] = static_cast<char>(number >> 8);
      bytes[size++] = static_cast<char>(number & 0xff);
    }
    bytes[size++] = static_cast<char>(
        question.edns | question.dnssec_ok << 1 | question.checking_disabled << 2 |
        question.recursion_desired << 3 | question.authentic_data << 4);
  }
  std::string_view text() const { return {bytes.data(), size}; }
  std::array<char, 256 + 5> bytes;
  std::size_t size = 0;
};

}  // namespace

void AnswerCache::drop(Entries::iterator entry) {
  bytes_ -= entry->bytes();
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

void AnswerCache::clear() {
  by_key_.clear();
  entries_.clear();
  bytes_ = 0;
}

void AnswerCache::put(const Question& question, std::string_view response, uint32_t ttl,
                      TimePoint now) {
  if (question.options || ttl == 0 || response.size() > limits::dns_proxy_kept_answer) return;
  const Key key(question);
  if (const auto old = by_key_.find(key.text()); old != by_key_.end()) drop(old->second);
  const auto time =
      std::min<std::chrono::seconds>(std::chrono::seconds(ttl), limits::dns_proxy_ttl_max);
  entries_.push_front({std::string(key.text()), std::string(response), now, now + time});
  by_key_.emplace(entries_.front().key, entries_.begin());
  bytes_ += entries_.front().bytes();
  while (entries_.size() > limits::dns_proxy_answers || bytes_ > limits::dns_proxy_answer_bytes)
    drop(std::prev(entries_.end()));
}

std::optional<AnswerCache::Found> AnswerCache::find(const Question& question, TimePoint now) {
  if (question.options) return std::nullopt;
  const Key key(question);
  const auto at = by_key_.find(key.text());
  if (at == by_key_.end()) return std::nullopt;
  const auto entry = at->second;
  if (now >= entry->expires) {
    drop(entry);
    return std::nullopt;
  }
  entries_.splice(entries_.begin(), entries_, entry);
  return Found{entry->response,
               std::chrono::duration_cast<std::chrono::seconds>(now - entry->stored)};
}

}  // namespace sallyport::dns
