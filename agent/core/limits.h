// Every limit and timeout that the data plane knows, with the source of its number. Reaching one is answered, never
// met with unbounded memory.
#pragma once
#include <chrono>
#include <cstddef>

namespace sallyport::limits {
using namespace std::chrono_literals;

// HTTP/1 (Envoy: 60 KiB of head, 100 headers; ours: 64 KiB)
inline constexpr std::size_t http_head_bytes = 64 * 1024;
inline constexpr std::size_t http_headers = 100;
inline constexpr int interim_responses = 16;            // 1xx before a final answer
inline constexpr auto http_head_time = 10s;             // from the first byte of a head to its end
inline constexpr auto http_idle = 1h;                   // Istio: downstream and upstream HTTP idle 1 h
inline constexpr auto http_passthrough_idle = 5min;     // PassthroughCluster
inline constexpr auto tcp_idle = 1h;                    // Envoy's tcp_proxy

// Sniffing
inline constexpr std::size_t sniff_bytes = 64 * 1024;   // a ClientHello may be that long (RFC 8446 allows more)
inline constexpr auto client_hello_time = 10s;          // from its first byte to its last

// Upstream
inline constexpr auto connect_timeout = 10s;            // Istio's default; covers TCP and TLS
inline constexpr int retries = 2;                       // Istio's default policy: two more tries
inline constexpr auto retry_backoff_base = 25ms;        // Envoy; jittered, at most ten times the base
inline constexpr std::size_t pool_idle_per_key = 512;
inline constexpr std::size_t tls_sessions_per_key = 4;
inline constexpr std::size_t connections_per_worker = 65536;

// DNS (meshConfig.dnsRefreshRate)
inline constexpr auto dns_refresh_on_error = 60s;
inline constexpr auto dns_query_timeout = 5s;
inline constexpr auto dns_ttl_min = 1s;                 // a TTL of 0 must not become a query a request

// Logs
inline constexpr std::size_t log_queue_bytes = 4 * 1024 * 1024;  // per worker; beyond it lines are dropped, counted

// Draining (istio-agent: terminationDrainDuration)
inline constexpr auto drain_time = 5s;

// Configuration
inline constexpr std::size_t document_bytes = 4 * 1024 * 1024;
inline constexpr std::size_t yaml_nodes = 1'000'000;    // after aliases are expanded
inline constexpr int yaml_depth = 100;

}  // namespace sallyport::limits
