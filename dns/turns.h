// Whose turn it is to be asked for: names wait by kind, each kind has places that no other takes.
// Names that clients make up, or that no server answers, thus don't keep a refresh from the
// servers.
//
// Threading: its resolver's.
// Limits: limits::dns_queries_at_once, dns_reserved_queries of them for each kind; dns_queries of a
// kind wait.
#pragma once
#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <utility>

#include "agent/core/limits.h"
#include "dns/cache.h"

namespace sallyport::dns {

class Turns {
public:
  Turns() = default;
  Turns(const Turns&) = delete;

  bool full(Kind kind) const { return of(kind).waiting.size() >= limits::dns_queries; }
  void add(std::shared_ptr<Query> query) {
    lines_[std::size_t(query->kind)].waiting.push_back(std::move(query));
  }
  // It is under way until ended(). Null: nobody may begin now.
  std::shared_ptr<Query> next() {
    for (const Kind kind : {Kind::unknown, Kind::client, Kind::refresh}) {
      Line& line = lines_[std::size_t(kind)];
      if (line.waiting.empty() || !has_place(line)) continue;
      ++line.asking;
      auto query = std::move(line.waiting.front());
      line.waiting.pop_front();
      return query;
    }
    return nullptr;
  }
  void ended(const Query& query) { --lines_[std::size_t(query.kind)].asking; }

private:
  struct Line {
    std::deque<std::shared_ptr<Query>> waiting;
    std::size_t asking = 0;
  };
  const Line& of(Kind kind) const { return lines_[std::size_t(kind)]; }
  bool has_place(const Line& line) const {
    std::size_t taken = line.asking;
    for (const Line& other : lines_) {
      if (&other != &line) taken += std::max(other.asking, limits::dns_reserved_queries);
    }
    return taken < limits::dns_queries_at_once;
  }

  std::array<Line, 3> lines_;
};

}  // namespace sallyport::dns
