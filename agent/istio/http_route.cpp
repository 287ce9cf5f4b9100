// HTTPRoute: a rule of a VirtualService, where its requests go, and what may stand beside what.
#include "agent/istio/http_fields.h"

namespace sallyport::istio {
namespace {

bool is_authority(std::string_view header) {
  const auto name = lower_case(header);
  return name == ":authority" || name == "host";
}

bool is_token(std::string_view name) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           marks.find(c) != std::string_view::npos;
  });
}

// Pseudo headers and Host are Envoy's own; Host may be set on requests.
void check_operation(Fields& fields, std::string_view block, std::string_view name,
                     bool authority) {
  if (authority && is_authority(name)) return;
  if (name.starts_with(':') || lower_case(name) == "host") {
    fields.error(block, "header " + quoted(name) + " cannot be manipulated");
  } else if (!is_token(name)) {
    fields.error(block, "invalid header name " + quoted(name));
  }
}

void check_value(Fields& fields, std::string_view block, std::string_view value) {
  const bool breaks = value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
  if (breaks) fields.error(block, "invalid header value " + quoted(value));
  if (value.find('%') != std::string_view::npos) {
    fields.warn(block, "Envoy's %VARIABLES% are not supported in header values yet: " +
                           quoted(value) + " is sent as it is written");
  }
}

std::vector<std::pair<std::string, std::string>> pairs(Fields& fields, std::string_view name,
                                                       bool request) {
  std::vector<std::pair<std::string, std::string>> out;
  for (auto& [key, value] : fields.labels(name)) {
    check_operation(fields, name, key, request);
    check_value(fields, name, value);
    out.emplace_back(key, value);
  }
  return out;
}

HeaderOperations decode_operations(Fields& fields, bool request) {
  HeaderOperations operations;
  operations.set = pairs(fields, "set", request);
  operations.add = pairs(fields, "add", request);
  operations.remove = fields.texts("remove");
  for (const auto& name : operations.remove) check_operation(fields, "remove", name, false);
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
  refuse(route.direct_response.has_value(), "directResponse");
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
    both(route.fault.has_value(), "fault", "redirect");
    both(route.rewrite.has_value(), "rewrite", "redirect");
    both(route.direct_response.has_value(), "directResponse", "redirect");
  } else if (route.direct_response) {
    both(!route.route.empty(), "route", "directResponse");
    both(route.fault.has_value(), "fault", "directResponse");
    both(route.rewrite.has_value(), "rewrite", "directResponse");
  } else if (route.route.empty()) {
    fields.error("", "HTTP route, redirect or direct_response is required");
  }
}

void read_actions(HttpRoute& route, Fields& fields) {
  fields.object("redirect", [&](Fields& f) { route.redirect = decode_redirect(f); });
  fields.object("directResponse",
                [&](Fields& f) { route.direct_response = decode_direct_response(f); });
  fields.object("delegate", [&](Fields& f) {
    route.delegate = Delegate{f.text("name"), f.text("namespace")};
    if (route.delegate->name.empty()) f.error("name", "required");
  });
  fields.object("rewrite", [&](Fields& f) { route.rewrite = decode_rewrite(f); });
  fields.object("retries", [&](Fields& f) { route.retries = decode_retries(f); });
  fields.object("fault", [&](Fields& f) { route.fault = decode_fault(f); });
  fields.object("corsPolicy", [&](Fields& f) { route.cors = decode_cors(f); });
}

}  // namespace

void check_header_name(Fields& fields, std::string_view name) {
  // Pseudo headers and JWT claims are matched like headers.
  const bool special = name.starts_with(':') || name.starts_with("@request.auth.claims");
  if (special || is_token(name)) return;
  fields.error(name, "header name " + quoted(name) + " is not a valid header name");
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

HttpRoute decode_http_route(Fields& fields, bool delegate) {
  HttpRoute route;
  route.line = fields.line();
  route.name = fields.text("name");
  const bool merged = delegate || fields.has("delegate");
  fields.each("match", [&](Fields& f) { route.match.push_back(decode_http_match(f, merged)); });
  route.route = decode_route_destinations(fields);
  read_actions(route, fields);
  route.mirrors = decode_mirrors(fields);
  route.headers = decode_headers(fields);
  route.timeout = fields.duration("timeout");
  if (route.delegate && !delegate) {
    check_root(route, fields);
  } else {
    if (route.delegate) fields.error("delegate", "delegate HTTP route cannot contain delegate");
    check_conflicts(route, fields);
  }
  check_authority(route, fields);
  return route;
}

}  // namespace sallyport::istio
