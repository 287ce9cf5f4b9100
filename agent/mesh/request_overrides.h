// How a request's sender wants it delivered, over what its route says: Envoy's request headers
// x-envoy-upstream-rq-timeout-ms, x-envoy-upstream-rq-per-try-timeout-ms, x-envoy-max-retries,
// x-envoy-retry-on, x-envoy-retriable-status-codes and x-envoy-upstream-rq-timeout-alt-response, as
// its router reads them. A value that is no
// number says nothing. Pure.
//
// Followed from the application itself, as Istio's task "Request Timeouts" tells its users (Istio's
// sidecars do so with PILOT_SIDECAR_USE_REMOTE_ADDRESS only, istio/istio#14923), and, as Envoy has
// it, where x-forwarded-for names one internal address. What an outside client sent to the
// application, and that passes on, is not.
#pragma once
#include <chrono>

#include "agent/http/message/head.h"
#include "agent/mesh/route.h"

namespace sallyport::mesh {

struct Delivery {
  std::chrono::milliseconds timeout{0};  // 0: none
  RetryPolicy retry;
  int timeout_status = 504;  // 204 for a sender that can't tell a timeout from a failure
};

// As the route says, with what `request` (may be null) asks for in its place.
Delivery delivery_of(const Route& route, const http::Head* request);

}  // namespace sallyport::mesh
