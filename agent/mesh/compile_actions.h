// What a rule of a VirtualService does besides sending: its blocks in the form in which a request
// meets them. Pure; shared by sidecar and gateway routes.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "agent/istio/virtual_service.h"
#include "agent/mesh/route.h"

namespace sallyport::mesh {

// `headers`: of a request; an empty exact value asks for presence there.
TextMatch compile_match(const istio::StringMatch& match, bool of_header = false);
// Null: everything matches.
std::shared_ptr<const RouteMatch> compile_match(const istio::HttpMatch* match);

// Null: nothing is said, and Istio's own default holds.
RetryPolicy compile_retry(const istio::HttpRetry* retries);
// Of a rule; `of_mesh` (may be null) where it says nothing.
RetryPolicy compile_retry(const istio::HttpRoute& rule, const istio::HttpRetry* of_mesh);
// Adds Envoy's conditions (x-envoy-retry-on); those that HTTP/1 does not know are passed over.
void add_retry_conditions(std::string_view text, RetryPolicy& out);

// Null: the rule has none of them. `match`: the one under which it is reached, or null. `mirrors`:
// the rule's, as far as their clusters are there.
std::shared_ptr<const RouteActions> compile_actions(const istio::HttpRoute& rule,
                                                    const istio::HttpMatch* match,
                                                    std::vector<Mirror> mirrors = {});
// A percentage in parts of a million.
uint32_t share(double percent);

// Takes a Host that is set away from `headers`; empty when there is none.
std::string take_authority(istio::Headers& headers);

}  // namespace sallyport::mesh
