// HTTPRoute: a rule of a VirtualService, where its requests go, and what may stand beside what.
#include "agent/istio/http_fields.h"

namespace sallyport::istio {
namespace {

bool is_authority(std::string_view header) {
  const auto name = lower_case(header);
  return name == ":authority" || name == "host";
}

// Pseudo headers and Host are Envoy's own; Host may be set on requests. Whether the operation is
// carried out: a name that is none, which Istio takes, must not get into a message.
bool check_operation(Fields& fields, std::string_view block, std::string_view name,
                     bool authority) {
  if (authority && is_authority(name)) return true;
  if (name.empty()) {
    fields.error(block, "header name cannot be empty");
  } else if (name.starts_with(':') || lower_case(name) == "host") {
    fields.error(block, "invalid header " + quoted(name) + ": it cannot be manipulated");
  } else if (!is_token(name)) {
    fields.warn(block, quoted(name) + " is not a header name, has no effect");
    return false;
  }
  return true;
}

using Values = std::vector<std::pair<std::string, std::string>>;

// As they are written; what is wrong with one is told.
Values pairs(Fields& fields, std::string_view name, bool request, HeaderOperations& operations) {
  Values out;
  for (auto& [key, value] : fields.labels(name)) {
    const auto read = read_header_value(value);
    if (read.problem) fields.error(name, *read.problem);
    operations.formatted |= read.has_variables;
    if (check_operation(fields, name, key, request)) out.emplace_back(key, value);
  }
  return out;
}

HeaderOperations decode_operations(Fields& fields, bool request) {
  HeaderOperations operations;
  operations.set = pairs(fields, "set", request, operations);
  operations.add = pairs(fields, "add", request, operations);
  for (auto* values : {&operations.set, &operations.add}) {
    if (operations.formatted) break;
    for (auto& [name, value] : *values) value = read_header_value(value).text;
  }
  for (auto& name : fields.texts("remove")) {
    if (check_operation(fields, "remove", name, false))
      operations.remove.push_back(std::move(name));
  }
  return operations;
}

// The authority can be written in one place only.
void check_authority(const HttpRoute& route, Fields& fields) {
  int times = route.rewrite && !route.rewrite->authority.empty() ? 1 : 0;
  for (const auto* list : {&route.headers.request.set, &route.headers.request.add}) {
    for (const auto& [name, value] : *list) times += is_authority(name);
  }
  if (times > 1) fields.error("headers", "authority header cannot be set multiple times");
}

void check_root(const HttpRoute& route, Fields& fields) {
  const auto refuse = [&](bool given, std::string_view name) {
    if (given) fields.error(name, "root HTTP route must not specify " + std::string(name));
  };
  refuse(route.redirect.has_value(), "redirect");
  refuse(!route.route.empty(), "route");
}

// What a rule does is one of route, redirect and directResponse.
void check_conflicts(const HttpRoute& route, Fields& fields) {
  const auto both = [&](bool other, std::string_view name, std::string_view with) {
    if (other) {
      fields.error(name, "HTTP route cannot contain both " + std::string(name) + " and " +
                             std::string(with));
    }
  };
  if (route.redirect) {
    both(!route.route.empty(), "route", "redirect");
    both(fields.has("fault"), "fault", "redirect");
    both(route.rewrite.has_value(), "rewrite", "redirect");
    both(route.direct_response.has_value(), "directResponse", "redirect");
  } else if (route.direct_response) {
    both(!route.route.empty(), "route", "directResponse");
    both(fields.has("fault"), "fault", "directResponse");
    both(route.rewrite.has_value(), "rewrite", "directResponse");
  } else if (route.route.empty()) {
    fields.error("", "HTTP route, redirect or direct_response is required");
  }
  if (fields.has("mirror") && fields.has("mirrors")) {
    fields.error("mirrors", "HTTP route cannot contain both mirror and mirrors");
  }
}

void check_redirected_matches(const HttpRoute& route, Fields& fields) {
  if (!route.redirect || route.redirect->prefix_rewrite.empty()) return;
  const bool other = std::any_of(route.match.begin(), route.match.end(), [](const auto& match) {
    return match.uri && match.uri->kind != StringMatch::Kind::prefix;
  });
  if (other) {
    fields.error("redirect",
                 "redirect prefix_rewrite requires all URI matches to use prefix match type");
  }
}

void check_claims(const HttpRoute& route, Fields& fields) {
  for (const auto& match : route.match) {
    for (const auto* headers : {&match.headers, &match.without_headers}) {
      for (const auto& [name, value] : *headers) {
        if (!is_claim(name)) continue;
        fields.error("match", "JWT claim based routing (key: " + name +
                                  ") is only supported for gateway, found no gateways");
      }
    }
  }
}

void read_actions(HttpRoute& route, Fields& fields) {
  fields.object("redirect", [&](Fields& f) { route.redirect = decode_redirect(f); });
  fields.object("directResponse",
                [&](Fields& f) { route.direct_response = decode_direct_response(f); });
  fields.object("delegate", [&](Fields& f) {
    route.delegate = Delegate{f.text("name"), f.text("namespace")};
    if (route.delegate->name.empty()) f.warn("name", "names no delegate, has no effect");
  });
  fields.object("rewrite", [&](Fields& f) { route.rewrite = decode_rewrite(f); });
  fields.object("retries", [&](Fields& f) { route.retries = decode_retries(f); });
  fields.object("fault", [&](Fields& f) { route.fault = decode_fault(f); });
  fields.object("corsPolicy", [&](Fields& f) { route.cors = decode_cors(f); });
}

}  // namespace

bool is_token(std::string_view name) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           marks.find(c) != std::string_view::npos;
  });
}

Headers decode_headers(Fields& route) {
  Headers headers;
  route.object("headers", [&](Fields& fields) {
    fields.object("request", [&](Fields& f) { headers.request = decode_operations(f, true); });
    fields.object("response", [&](Fields& f) { headers.response = decode_operations(f, false); });
  });
  return headers;
}

Destination decode_destination(Fields& fields) {
  Destination destination;
  destination.line = fields.line();
  destination.host = lower_case(fields.text("host"));
  destination.subset = fields.text("subset");
  if (destination.host == "*") {
    fields.error("host", "invalid destination host *");
  } else if (auto problem = wildcard_domain_problem(destination.host)) {
    fields.error("host", *problem);
  }
  if (!destination.subset.empty() && !is_dns_label(destination.subset)) {
    fields.error("subset", "subset name is invalid: " + quoted(destination.subset));
  }
  fields.object("port", [&](Fields& port) {
    destination.port = port.port("number");
    if (!port.has("number")) port.error("number", *port_problem(0));
  });
  return destination;
}

std::vector<RouteDestination> decode_route_destinations(Fields& route) {
  std::vector<RouteDestination> out;
  uint64_t total = 0;
  route.each("route", [&](Fields& fields) {
    RouteDestination& one = out.emplace_back();
    const auto read = [&](Fields& f) { one.destination = decode_destination(f); };
    if (!fields.object("destination", read)) {
      fields.error("destination", "destination is required");
    }
    one.weight = static_cast<uint32_t>(fields.integer("weight", 0, INT32_MAX).value_or(0));
    one.headers = decode_headers(fields);
    total += one.weight;
  });
  if (out.size() > 1 && total == 0) route.error("route", "total destination weight = 0");
  if (total > UINT32_MAX) route.error("route", "total destination weight is too large");
  return out;
}

HttpRoute decode_http_route(Fields& fields, const RuleContext& context) {
  HttpRoute route;
  route.line = fields.line();
  route.name = fields.text("name");
  fields.each("match", [&](Fields& f) { route.match.push_back(decode_http_match(f)); });
  if (context.mesh) check_claims(route, fields);
  route.route = decode_route_destinations(fields);
  read_actions(route, fields);
  route.mirrors = decode_mirrors(fields);
  route.headers = decode_headers(fields);
  route.timeout = fields.duration("timeout");
  if (route.delegate && !context.delegate) {
    check_root(route, fields);
  } else {
    if (route.delegate) fields.error("delegate", "delegate HTTP route cannot contain delegate");
    check_conflicts(route, fields);
  }
  check_authority(route, fields);
  check_redirected_matches(route, fields);
  // Istio's own answer to such a code is a rule that does nothing, which Envoy refuses.
  if (route.redirect && !is_redirect_code(route.redirect->code)) {
    route.redirect.reset();
    route.direct_response = HttpDirectResponse{503, ""};
  }
  return route;
}

}  // namespace sallyport::istio
