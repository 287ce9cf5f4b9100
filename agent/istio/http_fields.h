// Pieces of a VirtualService's routes, shared by its decoders. Internal to agent/istio.
#pragma once
#include "agent/istio/fields.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"
#include "agent/istio/virtual_service.h"

namespace sallyport::istio {

StringMatch decode_string_match(Fields& fields);
// `delegating`: of a root's or delegate's route, whose matches are merged, so that no regex fits.
HttpMatch decode_http_match(Fields& fields, bool delegating);
// `delegate`: the VirtualService is one.
HttpRoute decode_http_route(Fields& fields, bool delegate);

Destination decode_destination(Fields& fields);
// A list of weighted destinations under `route`.
std::vector<RouteDestination> decode_route_destinations(Fields& route);
Headers decode_headers(Fields& route);  // its block `headers`

HttpRedirect decode_redirect(Fields& fields);
HttpDirectResponse decode_direct_response(Fields& fields);
HttpRewrite decode_rewrite(Fields& fields);
HttpRetry decode_retries(Fields& fields);
HttpFault decode_fault(Fields& fields);
CorsPolicy decode_cors(Fields& fields);
std::vector<HttpMirror> decode_mirrors(Fields& route);

// RFC 9110 section 5.1: a token.
void check_header_name(Fields& fields, std::string_view name);
// `gateways` of a VirtualService or a match: "mesh", "name", "namespace/name".
void check_gateway_names(Fields& fields, const std::vector<std::string>& names);
// `{value: 0..100}`; absent: `otherwise`.
double percentage(Fields& fields, std::string_view name, double otherwise);

// What http, tls and tcp matches say of the client: port, sourceLabels, sourceNamespace, gateways.
template <class Match>
void decode_client_match(Match& match, Fields& fields) {
  match.port = fields.port("port");
  match.source_labels = fields.labels("sourceLabels");
  match.source_namespace = fields.text("sourceNamespace");
  if (!match.source_namespace.empty() && !is_dns_label(match.source_namespace)) {
    fields.error("sourceNamespace",
                 "sourceNamespace match " + quoted(match.source_namespace) + " is invalid");
  }
  match.gateways = fields.texts("gateways");
  check_gateway_names(fields, match.gateways);
}

}  // namespace sallyport::istio
