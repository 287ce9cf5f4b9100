// What of a head goes on to the next hop: runs of the original bytes as they lie, and between them
// what a sidecar or a gateway changes. Nothing is allocated; a sidecar's request is usually two
// pieces.
//
// Sources: Envoy 1.40 with Istio's settings, measured header by header; differences on purpose: the
// case and the reason phrase that came in are kept, and a body without a length is not chunked anew
// (its end is the connection's end).
// Threading: pure functions of their arguments. Ownership: pieces point into the head's bytes, into
// `scratch` and into what `adds` views; all must live until the pieces are written.
#pragma once
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "agent/http/body.h"
#include "agent/http/edge.h"
#include "agent/http/message/head.h"

namespace sallyport::http {

// The head that goes out. Reused from message to message; its arrays are not cleared.
struct Outgoing {
  // Each dropped field splits a run, or (x-forwarded-client-cert, at an edge x-forwarded-for) is
  // two pieces of its own, value and comma; and a few more for the start line, what is added, and a
  // body behind it.
  static constexpr std::size_t pieces_max = 2 * limits::http_composed_headers + 32;
  static constexpr std::size_t copied_value_max = 64;  // a longer value is a piece of its own
  std::array<iovec, pieces_max> pieces;
  std::size_t count = 0;
  std::size_t bytes = 0;  // sum of the pieces
  // What is copied: names and line ends of at most 11 fields of ours (230 bytes), at most four
  // values, two numbers, two addresses of 45.
  std::array<char, 640> scratch;
  Outgoing() {}  // leaves the arrays alone on purpose
};

struct RequestAdds {
  // Used when the request has no x-request-id; at an edge always.
  std::string_view request_id;
  std::string_view scheme = "http";  // x-forwarded-proto, when the request has none; see also edge
  std::string_view host;             // used when an HTTP/1.0 request names no host
  uint32_t attempt = 1;              // x-envoy-attempt-count; 0: the sender's is passed on
  // Our element of X-Forwarded-Client-Cert, which is never empty where a certificate was shown. As
  // a sidecar sets it up it is appended to what a peer of the mesh sent; where nobody vouches for
  // the sender's it is dropped (istio-api.md 7).
  std::string_view forwarded_cert;
  ForwardClientCert forward_client_cert = ForwardClientCert::append_forward;
  int64_t expected_timeout_ms = 0;  // x-envoy-expected-rq-timeout-ms; 0: the route has no timeout
  bool upgrade = false;             // forward Upgrade as it came (REQUIRES head.wants_upgrade)
  // Null: a sidecar, or a gateway whose request was admitted. Outlives the call.
  const Edge* edge = nullptr;
};

// Writes the head of a request as it goes upstream, always as HTTP/1.1 in origin-form. Connection:
// close is not passed on: the upstream connection is ours to keep.
void write_request(const Head& head, const RequestAdds& adds, Outgoing& out);

// Writes the head of a request from outside as a gateway's own rules shall see it: with what an
// edge changes, and what its sender wants of this hop, but not yet as it goes upstream. For whoever
// matches or edits fields, as Envoy does after it: parse it, then write_request() with `edge` null
// and ForwardClientCert::always_forward_only. It may have six fields more than came, so that one
// near the limits is refused when it is parsed.
// REQUIRES: adds.edge. Of `adds` it takes request_id, scheme, forwarded_cert, forward_client_cert
// and edge.
void admit_request(const Head& head, const RequestAdds& adds, Outgoing& out);

// How a response's body reaches the client.
enum class Framing : uint8_t {
  as_is,        // every byte that Body::eat counts
  dechunked,    // Body::next's contents only: an HTTP/1.0 client knows no chunks
  until_close,  // no length: the end of the connection is its end
};
Framing framing_of(const Head& response, const Body& body, uint8_t client_minor);

struct ResponseAdds {
  std::string_view server = "envoy";  // replaces the upstream's; empty: the upstream's is kept
  std::string_view date;              // added when the response has none; see HttpDate
  int64_t service_time_ms = -1;       // x-envoy-upstream-service-time; -1: none (1xx, 101)
  uint8_t client_minor = 1;           // of the request
  bool keep = true;                   // the client's connection goes on after this response
  Framing framing = Framing::as_is;   // REQUIRES: !keep unless as_is
};

// Writes the head of a response as it goes to the client. A 101 keeps its Upgrade field.
void write_response(const Head& head, const ResponseAdds& adds, Outgoing& out);

}  // namespace sallyport::http
