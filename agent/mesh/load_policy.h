// What a cluster has beyond a plain one: how endpoints are chosen by hash, health, age and
// locality, and what is limited beside connections (istio-api.md 1.3, 3.6). Most clusters have none
// of it.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/core/boxed.h"

namespace sallyport::mesh {

struct HashPolicy {
  enum class Key : uint8_t { none, header, cookie, source_ip, query_parameter };
  enum class Table : uint8_t { ring, maglev };
  Key key = Key::none;  // none: as if the request had no key, an endpoint at random
  std::string name;     // of the header (lower case), cookie or parameter
  // Of a cookie that is made where the client has none; ttl absent: none is made. 0: it lasts as
  // long as the client's session.
  std::string path;
  std::optional<std::chrono::seconds> ttl;
  std::vector<std::pair<std::string, std::string>> attributes;
  Table table = Table::ring;
  uint64_t table_size = 1024;
  bool operator==(const HashPolicy&) const = default;
};

// Counters count errors in a row; 0: that one is off.
struct OutlierPolicy {
  uint32_t consecutive_5xx = 5, consecutive_gateway = 0, consecutive_local_origin = 5;
  bool split_local_origin = false;  // else failures to connect count as 5xx
  std::chrono::milliseconds interval{10'000}, base_ejection_time{30'000};
  uint32_t max_ejection_percent = 10;  // of the endpoints; one may always be ejected
  bool operator==(const OutlierPolicy&) const = default;
};

struct WarmupPolicy {
  std::chrono::milliseconds duration{0};
  double minimum = 0.1;  // share of its weight that a new endpoint begins with
  double aggression = 1;
  bool operator==(const WarmupPolicy&) const = default;
};

// Endpoints of one locality and priority; Endpoint::group is an index of these.
struct LocalityGroup {
  std::string locality;
  uint32_t priority = 0;  // 0 is asked first
  uint32_t weight = 0;    // among those of its priority; 0: the sum of its endpoints'
  bool operator==(const LocalityGroup&) const = default;
};

struct KeepalivePolicy {  // 0: the system's
  uint32_t probes = 0;
  std::chrono::seconds time{0}, interval{0};
  bool operator==(const KeepalivePolicy&) const = default;
};

struct RetryBudgetPolicy {
  double percent = 20;                 // of the requests that are under way or wait
  uint32_t min_retry_concurrency = 3;  // so many at least, as Envoy's
  bool operator==(const RetryBudgetPolicy&) const = default;
};

struct LoadPolicy {
  Boxed<HashPolicy> hash;
  std::optional<OutlierPolicy> outlier;
  std::optional<WarmupPolicy> warmup;
  std::vector<LocalityGroup> groups;  // empty: all endpoints are alike
  uint32_t min_health_percent = 0;    // below, all endpoints are used (Envoy's panic); 0: never
  std::optional<KeepalivePolicy> keepalive;
  std::chrono::milliseconds max_connection_duration{0};  // 0: none
  uint32_t max_requests = 0;                             // under way at a time; 0: no limit
  std::optional<RetryBudgetPolicy> retry_budget;         // in place of Cluster::max_retries
  // Whether it takes part in the choice of an endpoint.
  bool chooses() const { return hash || outlier || warmup || !groups.empty(); }
  bool operator==(const LoadPolicy&) const = default;
};

}  // namespace sallyport::mesh
