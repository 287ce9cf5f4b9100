// A rule of a virtual host: which requests it takes and what becomes of them, compiled from
// VirtualServices (istio-api.md 1.4). Immutable, shared between snapshots.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/limits.h"
#include "agent/istio/regex.h"
#include "agent/istio/virtual_service.h"
#include "agent/mesh/cluster.h"

namespace sallyport::mesh {

// A StringMatch ready to be asked.
struct TextMatch {
  istio::StringMatch match;
  std::optional<istio::Regex> regex;  // set for Kind::regex
  bool operator==(const TextMatch& other) const { return match == other.match; }
};
struct NamedMatch {
  std::string name;  // of a header in lower case, or of a query parameter
  TextMatch match;
  bool operator==(const NamedMatch&) const = default;
};

// All of it must hold.
struct RouteMatch {
  std::optional<TextMatch> path, scheme, method, authority;
  bool ignore_path_case = false;
  std::vector<NamedMatch> headers, without_headers, query;
  bool operator==(const RouteMatch&) const = default;
};

// Which failures are tried again (Envoy's x-envoy-retry-on), as far as HTTP/1 knows them.
enum RetryOn : uint16_t {
  retry_connect_failure = 1,       // no connection, or no TLS
  retry_reset = 2,                 // the upstream ended without an answer
  retry_reset_before_request = 4,  // the same, while nothing of the request had gone out
  retry_5xx = 8,                   // any 5xx, no answer at all included
  retry_gateway_error = 16,        // 502, 503, 504
  retry_4xx = 32,                  // 409 (Envoy's retriable-4xx)
  retry_status_codes = 64,         // those listed
  retry_envoy_ratelimited = 128,   // x-envoy-ratelimited is there
};

struct RetryPolicy {
  int attempts = limits::retries;       // further tries
  uint16_t on = retry_connect_failure;  // 0: there is no policy
  std::vector<uint16_t> status_codes;
  std::chrono::milliseconds per_try_timeout{0};  // 0: the route's
  std::chrono::milliseconds backoff = limits::retry_backoff_base;
  bool operator==(const RetryPolicy&) const = default;
};

struct Redirect {
  int code = 301;
  std::string authority, scheme;  // empty: the request's
  std::string path;               // replaces path and query; empty: as it came
  std::string prefix_rewrite, matched_prefix;
  uint16_t port = 0;  // 0: none; of the request's host with derive_request_port
  bool derive_request_port = false;
  bool operator==(const Redirect&) const = default;
};

struct Rewrite {
  std::string authority;    // empty: kept
  bool whole_path = false;  // the rule matched all of it, exactly or by regex: `path` replaces it
  std::string matched_prefix;
  std::string path;  // empty and no regex: kept
  std::optional<istio::Regex> regex;
  std::string regex_text, substitution;
  bool operator==(const Rewrite& other) const {
    return authority == other.authority && whole_path == other.whole_path &&
           matched_prefix == other.matched_prefix && path == other.path &&
           regex_text == other.regex_text && substitution == other.substitution;
  }
};

struct Cors {
  std::vector<TextMatch> origins;
  std::string methods, headers, exposed;  // as the answer says them
  std::string max_age;                    // seconds; empty: not said
  bool credentials = false;
  bool forward_unmatched = true;
  bool operator==(const Cors&) const = default;
};

struct FaultInjection {
  std::chrono::milliseconds delay{0};
  int abort_status = 0;  // 0: none
  int grpc_status = -1;
  // In parts of a million, Envoy's finest grain.
  uint32_t delay_share = 0, abort_share = 0;
  bool operator==(const FaultInjection&) const = default;
};

// Copies of requests go there, too.
struct Mirror {
  ClusterPtr cluster;
  uint32_t share = 0;  // parts of a million
  bool operator==(const Mirror&) const = default;
};

// What only some rules do; most have none of it.
struct RouteActions {
  istio::Headers headers;
  std::optional<Redirect> redirect;
  std::string direct_body;
  std::optional<Rewrite> rewrite;
  std::optional<FaultInjection> fault;
  std::optional<Cors> cors;
  std::vector<Mirror> mirrors;
  bool operator==(const RouteActions&) const = default;
};

struct WeightedCluster {
  ClusterPtr cluster;   // null: what is named does not exist (503 NC); never so in a TcpRoute
  std::string missing;  // that name
  uint32_t weight = 0;
  std::shared_ptr<const istio::Headers> headers;  // null: none
  std::string authority;                          // that `headers` set; empty: kept
  bool operator==(const WeightedCluster& other) const {
    const bool same_headers =
        headers && other.headers ? *headers == *other.headers : headers == other.headers;
    return cluster == other.cluster && missing == other.missing && weight == other.weight &&
           same_headers && authority == other.authority;
  }
};

template <class T>
bool same_content(const std::shared_ptr<const T>& a, const std::shared_ptr<const T>& b) {
  return a == b || (a && b && *a == *b);
}

struct Route {
  std::string name;  // "default", "allow_any", "block_all", or the rule's: empty when it has none
  std::shared_ptr<const RouteMatch> match;  // null: everything
  ClusterPtr cluster;                       // the only destination
  std::vector<WeightedCluster> split;       // where `cluster` is null: one of these, by weight
  int direct_status = 0;                    // where there is neither: answered (502 of block_all)
  std::chrono::milliseconds timeout{0};     // 0: none (Istio's default)
  RetryPolicy retry;
  std::shared_ptr<const RouteActions> actions;  // null: none
  ResourceRefPtr from;                          // the VirtualService; null: none
  int line = 0;                                 // of its rule
  bool operator==(const Route& other) const {
    return name == other.name && same_content(match, other.match) && cluster == other.cluster &&
           split == other.split && direct_status == other.direct_status &&
           timeout == other.timeout && retry == other.retry &&
           same_content(actions, other.actions) && from == other.from && line == other.line;
  }
};

struct TcpRoute {
  std::string name;                    // "-" in logs when empty
  ClusterPtr cluster;                  // never null once compiled, unless `split`
  std::vector<WeightedCluster> split;  // one of these, by weight
  bool operator==(const TcpRoute&) const = default;
};

}  // namespace sallyport::mesh
