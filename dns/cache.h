// What is known of names: the last good answer, or why there is none, and until when; least
// recently used names go first.
//
// Threading: its resolver's. An entry stays at its address until it is dropped.
#pragma once
#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/core/error.h"
#include "agent/net/loop.h"
#include "dns/resolver.h"
#include "dns/wait_list.h"

namespace sallyport::dns {

// Running queries of one name, shared by all who wait. Outlives the resolver as long as somebody
// holds it.
struct Query {
  std::string key;                 // of its entry
  std::vector<std::string> names;  // asked for in turn until one has addresses (search domains)
  std::size_t turn = 0;
  bool begun = false;   // otherwise it waits for others to end
  int outstanding = 0;  // families not yet answered
  Answer answer;        // gathered so far
  bool cut = false;
  bool failed = false;  // a family got no answer that counts: the last good one is kept
  bool timed_out = false;
  std::string reason;
  std::optional<std::chrono::seconds> denial_ttl;
  std::chrono::milliseconds retry_after{};
  std::optional<Result<Answer>> result;  // set before waking
  WaitList waiters;
};

struct Entry {
  explicit Entry(std::string name) : host(std::move(name)) {}
  std::string host;
  std::optional<Answer> last_good;
  net::Loop::Clock::time_point good_until{};  // failures don't keep it any longer
  std::string found_as;                       // the name that had addresses last
  bool said_cut = false;
  std::optional<Error> problem;  // of the newest query; with last_good: it is stale
  net::Loop::Clock::time_point expires{};
  std::shared_ptr<Query> running;
};

class Cache {
public:
  explicit Cache(std::size_t names) : capacity_(names) {}
  Cache(const Cache&) = delete;

  // Finds or makes; most recently used from now on. The reference holds until the next find().
  Entry& find(const std::string& host) {
    if (const auto at = by_name_.find(host); at != by_name_.end()) {
      order_.splice(order_.begin(), order_, at->second);
      return *at->second;
    }
    if (order_.size() >= capacity_) drop_oldest();
    order_.emplace_front(host);
    by_name_.emplace(order_.front().host, order_.begin());
    return order_.front();
  }
  // nullptr when it was dropped meanwhile.
  Entry* known(std::string_view host) {
    const auto at = by_name_.find(host);
    return at == by_name_.end() ? nullptr : &*at->second;
  }
  std::size_t size() const { return order_.size(); }

private:
  void drop_oldest() {
    by_name_.erase(order_.back().host);
    order_.pop_back();
  }

  std::size_t capacity_;
  std::list<Entry> order_;  // most recently used first
  std::unordered_map<std::string_view, std::list<Entry>::iterator>
      by_name_;  // views of Entry::host
};

}  // namespace sallyport::dns
