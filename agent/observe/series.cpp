#include "agent/observe/series.h"

#include <algorithm>
#include <charconv>
#include <map>

namespace sallyport::observe {
namespace {

struct MetricKind {
  std::string_view name;
  bool histogram;
};
constexpr MetricKind metric_kinds[standard_metrics_count] = {
    {"istio_requests_total", false},
    {"istio_request_duration_milliseconds", true},
    {"istio_request_bytes", true},
    {"istio_response_bytes", true},
    {"istio_tcp_connections_opened_total", false},
    {"istio_tcp_connections_closed_total", false},
    {"istio_tcp_sent_bytes_total", false},
    {"istio_tcp_received_bytes_total", false}};

// Of one set of labels, over all workers.
struct SeriesSum {
  uint64_t sum = 0;
  std::array<uint64_t, histogram_bounds.size() + 1> buckets{};
};
using SeriesSums = std::map<std::string_view, SeriesSum>;

void put_count(std::string& out, uint64_t number) { out.append(std::to_string(number)) += '\n'; }

void put_histogram(std::string& out, std::string_view name, std::string_view labels,
                   const SeriesSum& sums) {
  uint64_t count = 0;
  for (std::size_t i = 0; i < sums.buckets.size(); i++) {
    count += sums.buckets[i];
    out.append(name).append("_bucket{").append(labels).append(labels.empty() ? "le=\"" : ",le=\"");
    if (i < histogram_bounds.size()) {
      char text[32];
      const auto end =
          std::to_chars(text, text + sizeof text, histogram_bounds[i], std::chars_format::fixed);
      out.append(text, end.ptr);
    } else {
      out.append("+Inf");
    }
    out.append("\"} ");
    put_count(out, count);
  }
  out.append(name).append("_sum{").append(labels).append("} ");
  put_count(out, sums.sum);
  out.append(name).append("_count{").append(labels).append("} ");
  put_count(out, count);
}

void put_series(std::string& out, StandardMetric metric, const SeriesSums& all) {
  if (all.empty()) return;
  const auto name = name_of(metric);
  out.append("# TYPE ").append(name).append(is_histogram(metric) ? " histogram\n" : " counter\n");
  for (const auto& [labels, sums] : all) {
    if (is_histogram(metric)) {
      put_histogram(out, name, labels, sums);
      continue;
    }
    out.append(name).append("{").append(labels).append("} ");
    put_count(out, sums.sum);
  }
}

}  // namespace

std::string_view name_of(StandardMetric metric) {
  return metric_kinds[static_cast<std::size_t>(metric)].name;
}

bool is_histogram(StandardMetric metric) {
  return metric_kinds[static_cast<std::size_t>(metric)].histogram;
}

Series::Series(bool histogram) {
  if (histogram) buckets_ = std::make_unique<Buckets>();
}

void Series::observe(uint64_t value) {
  const auto bound = std::lower_bound(histogram_bounds.begin(), histogram_bounds.end(),
                                      static_cast<double>(value));
  (*buckets_)[static_cast<std::size_t>(bound - histogram_bounds.begin())].add();
  sum_.add(value);
}

SeriesStore::~SeriesStore() {
  for (const LabelSet* set = newest_.load(); set;)
    delete std::exchange(set, static_cast<const LabelSet*>(set->older));
}

SeriesStore::LabelSet& SeriesStore::add(std::string_view labels) {
  auto set = std::make_unique<LabelSet>();
  set->labels = labels;
  set->older = newest_.load(std::memory_order_relaxed);
  by_labels_.emplace(set->labels, set.get());
  newest_.store(set.get(), std::memory_order_release);
  return *set.release();
}

Series* SeriesStore::find(StandardMetric metric, std::string_view labels, bool reserved) {
  const auto index = static_cast<std::size_t>(metric);
  const auto known = by_labels_.find(labels);
  if (known != by_labels_.end()) {
    Series* const series = known->second->series[index].load(std::memory_order_relaxed);
    if (series) return series;
  }
  if (all_.size() >= most_ && !reserved) return nullptr;
  LabelSet& set = known == by_labels_.end() ? add(labels) : *known->second;
  Series& made = all_.emplace_back(is_histogram(metric));
  set.series[index].store(&made, std::memory_order_release);
  return &made;
}

std::string series_text(const std::vector<const SeriesStore*>& workers) {
  std::array<SeriesSums, standard_metrics_count> all;
  for (const SeriesStore* worker : workers) {
    worker->each([&](StandardMetric metric, std::string_view labels, const Series& series) {
      SeriesSum& sums = all[static_cast<std::size_t>(metric)][labels];
      sums.sum += series.sum();
      if (!series.buckets()) return;
      for (std::size_t i = 0; i < sums.buckets.size(); i++)
        sums.buckets[i] += (*series.buckets())[i].get();
    });
  }
  std::string out;
  for (std::size_t i = 0; i < all.size(); i++)
    put_series(out, static_cast<StandardMetric>(i), all[i]);
  return out;
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c < ' ' || c > '~' ? '_' : c;
  }
  out += '"';
}

}  // namespace sallyport::observe
