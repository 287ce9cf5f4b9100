// Time series of Istio's standard metrics: one worker's, which alone adds to them; the admin thread
// reads them at any time. They are never taken away: what a scrape has seen once it sees again.
//
// Threading: find() and what adds to a Series on the worker's thread; each() on any, without a lock
//            (a set of labels is linked in front of the others once it is complete).
// Limits: as many series as the constructor is told; beyond, find() has no room.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/core/limits.h"
#include "agent/observe/counter.h"

namespace sallyport::observe {

enum class StandardMetric : uint8_t {
  requests_total,
  request_duration,  // milliseconds
  request_bytes,
  response_bytes,
  tcp_opened,
  tcp_closed,
  tcp_sent,
  tcp_received
};
inline constexpr std::size_t standard_metrics_count = 8;
std::string_view name_of(StandardMetric metric);  // "istio_requests_total"
bool is_histogram(StandardMetric metric);

// Envoy's upper bounds, of milliseconds and bytes alike (istio-api.md 3.7); the last bucket has
// none.
inline constexpr std::array<double, 19> histogram_bounds{
    0.5,  1,    5,     10,    25,    50,     100,    250,     500,    1000,
    2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000};

class Series {
public:
  explicit Series(bool histogram);
  void add(uint64_t n) { sum_.add(n); }
  void observe(uint64_t value);  // of a histogram

  using Buckets = std::array<Counter, histogram_bounds.size() + 1>;
  uint64_t sum() const { return sum_.get(); }
  const Buckets* buckets() const { return buckets_.get(); }  // each its own; null: a counter

private:
  Counter sum_;  // of a counter: its value
  std::unique_ptr<Buckets> buckets_;
};

class SeriesStore {
public:
  SeriesStore() = default;
  explicit SeriesStore(std::size_t most) : most_(most) {}
  SeriesStore(const SeriesStore&) = delete;
  ~SeriesStore();

  // `labels`: as Prometheus' text has them between the braces. Null: there is no room for another.
  // `reserved`: there is room in any case; for a handful that the caller counts.
  Series* find(StandardMetric metric, std::string_view labels, bool reserved = false);
  Counter overflows;  // records that were counted without the labels of their own

  // Calls visit(metric, labels, series) for each; any thread. Views and series live as this does.
  template <class Visit>
  void each(Visit visit) const {
    for (const LabelSet* set = newest_.load(std::memory_order_acquire); set; set = set->older) {
      for (std::size_t i = 0; i < standard_metrics_count; i++) {
        const Series* series = set->series[i].load(std::memory_order_acquire);
        if (series) visit(static_cast<StandardMetric>(i), std::string_view(set->labels), *series);
      }
    }
  }

private:
  struct LabelSet {
    std::string labels;
    std::array<std::atomic<Series*>, standard_metrics_count> series{};
    LabelSet* older = nullptr;
  };
  LabelSet& add(std::string_view labels);

  const std::size_t most_ = limits::metric_series;
  std::deque<Series> all_;  // stay where they are
  std::unordered_map<std::string_view, LabelSet*> by_labels_;
  std::atomic<LabelSet*> newest_{nullptr};
};

// The sum over workers in Prometheus' text format, a metric a block; nothing of what never
// happened.
std::string series_text(const std::vector<const SeriesStore*>& workers);
// A label's value, quoted; what is not printable ASCII, which a client may send, is '_'.
void append_quoted(std::string& out, std::string_view text);

}  // namespace sallyport::observe
