// VirtualService as a type (istio-api.md 1.4). What absence means is decided in mesh/.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/istio/metadata.h"

namespace sallyport::istio {

struct StringMatch {
  enum class Kind : uint8_t { exact, prefix, regex, present };  // present: `{}`, any value
  Kind kind = Kind::present;
  std::string value;
  bool operator==(const StringMatch&) const = default;
};
using StringMatches = std::map<std::string, StringMatch, std::less<>>;

struct HttpMatch {
  std::string name;
  std::optional<StringMatch> uri, scheme, method, authority;
  StringMatches headers, without_headers;  // names in lower case
  StringMatches query_params;
  bool ignore_uri_case = false;
  uint16_t port = 0;  // 0: any
  Labels source_labels;
  std::string source_namespace;  // "": any
  std::vector<std::string> gateways;
  int line = 0;
};

struct Destination {
  std::string host;  // as written; short names are expanded in mesh/
  std::string subset;
  uint16_t port = 0;  // 0: not given
  int line = 0;
};

// In the order remove, set, add.
struct HeaderOperations {
  std::vector<std::pair<std::string, std::string>> set, add;
  std::vector<std::string> remove;
  bool formatted = false;  // the values are formats: %VARIABLES%, and %% for a percent sign
  bool empty() const { return set.empty() && add.empty() && remove.empty(); }
  bool operator==(const HeaderOperations&) const = default;
};
struct Headers {
  HeaderOperations request, response;
  bool operator==(const Headers&) const = default;
};

struct RouteDestination {
  Destination destination;
  uint32_t weight = 0;
  Headers headers;  // of http routes
};

struct HttpRedirect {
  std::string uri, authority, scheme;
  std::string prefix_rewrite;
  uint16_t port = 0;  // 0: not given
  enum class DerivePort : uint8_t { none, from_protocol_default, from_request_port };
  DerivePort derive_port = DerivePort::none;
  int code = 301;
};

struct HttpDirectResponse {
  int status = 0;
  std::string body;
};

struct HttpRewrite {
  std::string uri, authority;
  std::string regex_match, regex_rewrite;  // uriRegexRewrite
};

struct HttpRetry {
  int attempts = 0;
  std::optional<std::chrono::milliseconds> per_try_timeout, backoff;
  std::string retry_on;  // as written
  std::optional<bool> retry_remote_localities, ignore_previous_hosts;
};

struct HttpFault {
  struct Delay {
    std::chrono::milliseconds time{0};
    double percent = 0;
  };
  struct Abort {
    int http_status = 0;  // what a gRPC status is sent as: 200
    int grpc_status = -1;
    double percent = 0;
  };
  std::optional<Delay> delay;
  std::optional<Abort> abort;
};

struct HttpMirror {
  Destination destination;
  double percent = 100;
};

struct CorsPolicy {
  std::vector<StringMatch> allow_origins;
  std::vector<std::string> allow_methods, allow_headers, expose_headers;
  std::optional<std::chrono::milliseconds> max_age;
  std::optional<bool> allow_credentials;
  bool forward_unmatched_preflights = true;
};

struct Delegate {
  std::string name, namespace_name;
};

struct HttpRoute {
  std::string name;
  std::vector<HttpMatch> match;  // any of them; empty: everything
  std::vector<RouteDestination> route;
  std::optional<HttpRedirect> redirect;
  std::optional<HttpDirectResponse> direct_response;
  std::optional<Delegate> delegate;
  std::optional<HttpRewrite> rewrite;
  std::optional<std::chrono::milliseconds> timeout;
  std::optional<HttpRetry> retries;
  std::optional<HttpFault> fault;
  std::vector<HttpMirror> mirrors;
  std::optional<CorsPolicy> cors;
  Headers headers;
  int line = 0;
};

// Of tls and tcp routes.
struct L4Match {
  std::vector<std::string> sni_hosts;            // tls
  std::vector<std::string> destination_subnets;  // IPs or CIDRs
  uint16_t port = 0;
  Labels source_labels;
  std::string source_namespace;
  std::vector<std::string> gateways;
  int line = 0;
};

struct L4Route {
  std::vector<L4Match> match;  // any of them; empty (tcp only): everything
  std::vector<RouteDestination> route;
  int line = 0;
};

struct VirtualService {
  Metadata metadata;
  std::vector<std::string> hosts;     // as written, lower case; empty: a delegate
  std::vector<std::string> gateways;  // as written; empty: mesh
  std::vector<std::string> export_to;
  std::vector<HttpRoute> http;
  std::vector<L4Route> tls, tcp;
};

bool is_of_mesh(const std::vector<std::string>& gateways);  // not for gateways alone
inline bool is_of_mesh(const VirtualService& service) { return is_of_mesh(service.gateways); }
// "NAMESPACE/NAME" of what a VirtualService of `namespace_name` calls `written`: NAME, ./NAME,
// NAMESPACE/NAME, or the old NAME.NAMESPACE.svc... "mesh" stays.
std::string gateway_name(std::string_view written, std::string_view namespace_name);

}  // namespace sallyport::istio
