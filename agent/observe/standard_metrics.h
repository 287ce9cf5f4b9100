// Istio's standard metrics of one worker: which series a request or connection belongs to.
//
// A steady request costs one look-up by (cluster, endpoint, identities, answer) and a few adds, and
// nothing on the heap; its labels are written when such a combination is seen for the first time
// since the configuration changed (metric_labels.h).
//
// Threading: its worker's.
// Limits:    limits::metric_series in the store; what finds no room is counted under labels that
// say
//            "overflow", and in SeriesStore::overflows. limits::metric_paths combinations are
//            remembered, then all are forgotten. limits::metric_principals identities; others are
//            "unknown".
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "agent/mesh/snapshot.h"
#include "agent/observe/metric_labels.h"
#include "agent/observe/series.h"

namespace sallyport::observe {

class StandardMetrics {
public:
  explicit StandardMetrics(SeriesStore& store) : store_(store) {}  // which outlives it
  StandardMetrics(const StandardMetrics&) = delete;

  // Before anything else, and whenever there may be a newer one: costs a comparison where there is
  // none. Until the first one nothing is counted.
  void follow(const mesh::Snapshot& snapshot) {
    if (snapshot.version != version_ || !followed_) take_up(snapshot);
  }
  // Whether requests and connections of that side are counted at all.
  bool counts(bool server_side) const { return plan(server_side).enabled; }

  // At the end of a request. REQUIRES: record.http.
  void count_request(const AccessRecord& record, const Destination& destination);

  // Of an opaque connection, for as long as it lasts; null: not counted. They live as the store
  // does.
  struct TcpSeries {
    Series *opened = nullptr, *closed = nullptr, *sent = nullptr, *received = nullptr;
  };
  // REQUIRES: !record.http.
  TcpSeries find_tcp(const AccessRecord& record, const Destination& destination);
  // How often open connections tell of their bytes; 0: at their end.
  std::chrono::milliseconds reporting_interval() const { return interval_; }

  // One object for equal ones, which lives as this does. Null: there are too many.
  const Principals* intern(Principals principals);

private:
  using Four = std::array<Series*, 4>;  // of HTTP, or of TCP, in the order of StandardMetric
  struct Path {
    Four series{};
    bool overflowed = false;
    // Not held: a request may end long after its cluster has gone, and would keep it. Expired: what
    // has its address now is another.
    std::weak_ptr<const mesh::Cluster> cluster;
  };
  // Everything that labels are made of. `more`: the host's name and values of expressions.
  template <class Text>
  struct BasicKey {
    const mesh::Cluster* cluster = nullptr;
    const Principals* principals = nullptr;
    SocketAddress endpoint;
    uint32_t flags = 0;
    int code = 0;
    bool server_side = false, http = true;
    Text more;
  };
  using Key = BasicKey<std::string>;
  using KeyView = BasicKey<std::string_view>;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const Key& key) const { return hash(key); }
    std::size_t operator()(const KeyView& key) const { return hash(key); }
    template <class Text>
    std::size_t hash(const BasicKey<Text>& key) const;
  };
  struct Equal {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const;
  };
  struct PrincipalsHash {
    std::size_t operator()(const Principals& one) const;
  };

  void take_up(const mesh::Snapshot& snapshot);
  const MetricPlan& plan(bool server_side) const { return server_side ? server_ : client_; }
  const Path& path_of(const AccessRecord& record, const Destination& destination);
  std::string_view more_of(const AccessRecord& record, const Destination& destination);
  Path make_path(const AccessRecord& record, const Destination& destination);

  SeriesStore& store_;
  bool followed_ = false;
  uint64_t version_ = 0;
  Reporter reporter_;
  MetricPlan client_, server_;
  std::shared_ptr<const mesh::StandardMetricsConfig> config_;
  std::chrono::milliseconds interval_{0};
  std::unordered_map<Key, Path, Hash, Equal> paths_;
  std::unordered_set<Principals, PrincipalsHash> principals_;
  std::vector<std::string> values_;  // of expressions, for the record at hand
  std::string more_;
};

}  // namespace sallyport::observe
