// Which endpoint, and how much: loadBalancer, connectionPool, outlierDetection and retryBudget of a
// DestinationRule (istio-api.md 1.3, 3.6) and of MeshConfig (1.12). What absence means is decided
// in mesh/.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/core/boxed.h"
#include "agent/istio/metadata.h"

namespace sallyport::istio {

enum class SimpleLb : uint8_t { unspecified, round_robin, random, least_request, passthrough };

struct ConsistentHash {
  enum class Key : uint8_t { none, header, cookie, source_ip, query_parameter };
  enum class Table : uint8_t { ring, maglev };
  Key key = Key::none;
  std::string name;                              // of the header, cookie or parameter
  std::string path;                              // of the cookie
  std::optional<std::chrono::milliseconds> ttl;  // of the cookie; absent: none is made
  std::vector<std::pair<std::string, std::string>> attributes;
  Table table = Table::ring;
  std::optional<uint64_t> table_size;  // minimumRingSize, tableSize
};

// "region/zone/subzone", each part but the first optional; `*` matches any.
struct LocalityDistribute {
  std::string from;
  std::map<std::string, uint32_t> to;  // percent; 100 in all
};
struct LocalityFailover {
  std::string from, to;  // regions
};
struct LocalityLb {
  std::optional<bool> enabled;
  std::vector<LocalityDistribute> distribute;
  std::vector<LocalityFailover> failover;
  std::vector<std::string> failover_priority;  // "label" or "label=value"
  int line = 0;
};

struct Warmup {
  std::chrono::milliseconds duration{0};
  std::optional<double> minimum_percent, aggression;
};

struct LoadBalancer {
  SimpleLb simple = SimpleLb::unspecified;
  Boxed<ConsistentHash> consistent_hash;
  Boxed<LocalityLb> locality;
  std::optional<Warmup> warmup;
  int line = 0;
};

struct OutlierDetection {
  // 0 switches a counter off; absent: Istio's default.
  std::optional<uint32_t> consecutive_5xx, consecutive_gateway, consecutive_local_origin;
  bool split_local_origin = false;
  std::optional<std::chrono::milliseconds> interval, base_ejection_time;
  uint32_t max_ejection_percent = 0;  // 0: the default
  uint32_t min_health_percent = 0;
  int line = 0;
};

struct TcpKeepalive {  // 0, or a time of 0: the system's default
  uint32_t probes = 0;
  std::chrono::milliseconds time{0}, interval{0};
};

struct ConnectionPool {
  std::optional<std::chrono::milliseconds> connect_timeout, tcp_idle_timeout, http_idle_timeout,
      max_connection_duration;
  std::optional<uint32_t> max_connections, http1_max_pending_requests, http2_max_requests,
      max_requests_per_connection, max_retries;
  std::optional<TcpKeepalive> tcp_keepalive;
  int line = 0;
};

struct RetryBudget {
  std::optional<double> percent;
  std::optional<uint32_t> min_retry_concurrency;
};

enum class ProxyProtocol : uint8_t { v1, v2 };

// MeshConfig's baseline for every service, block by block.
struct DefaultTrafficPolicy {
  Boxed<ConnectionPool> connection_pool;
  Boxed<OutlierDetection> outlier_detection;
};

}  // namespace sallyport::istio
