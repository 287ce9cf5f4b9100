// Pieces of a VirtualService's routes, shared by its decoders. Internal to agent/istio.
#pragma once
#include "agent/istio/fields.h"
#include "agent/istio/names.h"
#include "agent/istio/scalar.h"
#include "agent/istio/virtual_service.h"

namespace sallyport::istio {

// What a match is of decides what it may say (istio-api.md 1.4).
enum class MatchOf : uint8_t {
  uri,             // may have an empty prefix
  text,            // neither an empty prefix nor an empty regex
  without_header,  // as text, and the regex `*` is presence
  origin           // nothing empty
};
StringMatch decode_string_match(Fields& fields, MatchOf of);
HttpMatch decode_http_match(Fields& fields);

// Where the VirtualService stands that a rule is of.
struct RuleContext {
  bool delegate = false;  // it has no hosts
  bool mesh = true;       // it is not for gateways alone
};
HttpRoute decode_http_route(Fields& fields, const RuleContext& context);

Destination decode_destination(Fields& fields);
// A list of weighted destinations under `route`.
std::vector<RouteDestination> decode_route_destinations(Fields& route);
Headers decode_headers(Fields& route);  // its block `headers`

HttpRedirect decode_redirect(Fields& fields);
bool is_redirect_code(int code);  // one that Istio can answer with; it validates any 3xx
HttpDirectResponse decode_direct_response(Fields& fields);
HttpRewrite decode_rewrite(Fields& fields);
HttpRetry decode_retries(Fields& fields);
HttpRetry decode_default_retries(Fields& fields);  // of the mesh: 0 attempts is no contradiction
HttpFault decode_fault(Fields& fields);
CorsPolicy decode_cors(Fields& fields);
std::vector<HttpMirror> decode_mirrors(Fields& route);

bool is_token(std::string_view name);  // RFC 9110 section 5.6.2: what names a header
// What `value` of a header operation is sent as.
struct HeaderValue {
  std::string text;            // `%%` read as `%`; with variables as written
  bool has_variables = false;  // Envoy's %NAME%
  Problem problem;             // then there is nothing else
};
HeaderValue read_header_value(std::string_view value);
// A status that Istio takes, 200 to 600. Envoy refuses 600, and with it all routes of the port: the
// answer is 503 then, with a warning.
int decode_status(Fields& fields, std::string_view name);
// `gateways` of a VirtualService or a match: "mesh", "name", "namespace/name".
void check_gateway_names(Fields& fields, const std::vector<std::string>& names);
// `{value: 0..100}`; absent: `otherwise`.
double percentage(Fields& fields, std::string_view name, double otherwise);

// What http, tls and tcp matches say of the client: port, sourceLabels, sourceNamespace, gateways.
template <class Match>
void decode_client_match(Match& match, Fields& fields) {
  match.port = fields.optional_port("port");
  match.source_labels = fields.labels("sourceLabels");
  check_labels(fields, "sourceLabels", match.source_labels);
  match.source_namespace = fields.text("sourceNamespace");
  match.gateways = fields.texts("gateways");
  check_gateway_names(fields, match.gateways);
}

}  // namespace sallyport::istio
