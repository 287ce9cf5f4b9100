// What is known of names: the last good answer, or why there is none, and until when. Names that
// only clients have named go first, then configured ones; of each the least recently used.
//
// Threading: its resolver's. An entry stays at its address until it is dropped.
#pragma once
#include <algorithm>
#include <array>
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

enum class Kind : uint8_t {
  unknown,  // configured, and nothing is known of it yet: somebody waits
  client,   // only clients have named it
  refresh,  // configured, and an answer is at hand
};

// Running queries of one name, shared by all who wait. Outlives the resolver as long as somebody
// holds it.
struct Query {
  std::string key;  // of its entry
  Kind kind = Kind::unknown;
  std::vector<std::string> names;  // asked for in turn until one has addresses (search domains)
  std::size_t turn = 0;
  bool begun = false;   // otherwise it waits for others to end
  int outstanding = 0;  // families not yet answered
  Answer answer;        // gathered so far
  // By family (v6 is 1): it was answered or denied; another's last good addresses are kept.
  std::array<bool, 2> settled{};
  bool cut = false;
  bool failed = false;  // a family got no answer that counts
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
  NamedBy by = NamedBy::client;
  std::optional<Answer> last_good;
  // By family (v6 is 1): failures don't keep its addresses any longer.
  std::array<net::Loop::Clock::time_point, 2> good_until{};
  std::string found_as;  // the name that had addresses last
  bool said_cut = false;
  std::optional<Error> problem;  // of the newest query; with last_good: it is stale
  net::Loop::Clock::time_point expires{};
  std::shared_ptr<Query> running;

  // The last good answer, without what failures have kept for too long.
  std::optional<Answer> kept(net::Loop::Clock::time_point now) const {
    std::optional<Answer> answer = last_good;
    if (!answer) return answer;
    std::erase_if(answer->addresses,
                  [&](const IpAddress& ip) { return now >= good_until[ip.is_v6()]; });
    if (answer->addresses.empty()) answer.reset();
    return answer;
  }
};

class Cache {
public:
  explicit Cache(std::size_t names) : capacity_(names) {}
  Cache(const Cache&) = delete;

  // Finds or makes; most recently used from now on. The reference holds until the next find().
  Entry& find(const std::string& host, NamedBy by = NamedBy::configuration) {
    if (const auto at = by_name_.find(host); at != by_name_.end()) {
      Entry& entry = *at->second;
      auto& from = order_of(entry.by);
      entry.by = std::min(entry.by, by);
      auto& to = order_of(entry.by);
      to.splice(to.begin(), from, at->second);
      return entry;
    }
    if (size() >= capacity_) drop_oldest();
    auto& order = order_of(by);
    order.emplace_front(host).by = by;
    by_name_.emplace(order.front().host, order.begin());
    return order.front();
  }
  // nullptr when it was dropped meanwhile.
  Entry* known(std::string_view host) {
    const auto at = by_name_.find(host);
    return at == by_name_.end() ? nullptr : &*at->second;
  }
  std::size_t size() const { return by_name_.size(); }

private:
  std::list<Entry>& order_of(NamedBy by) { return order_[std::size_t(by)]; }
  void drop_oldest() {
    auto& order =
        order_of(order_of(NamedBy::client).empty() ? NamedBy::configuration : NamedBy::client);
    by_name_.erase(order.back().host);
    order.pop_back();
  }

  std::size_t capacity_;
  std::array<std::list<Entry>, 2> order_;  // by NamedBy; most recently used first
  std::unordered_map<std::string_view, std::list<Entry>::iterator>
      by_name_;  // views of Entry::host
};

}  // namespace sallyport::dns
