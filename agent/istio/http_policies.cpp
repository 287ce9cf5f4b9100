// Faults, mirrors and CORS of a VirtualService's rule.
#include "agent/istio/http_fields.h"

namespace sallyport::istio {
namespace {

constexpr Choice preflights[] = {{"UNSPECIFIED", 0}, {"FORWARD", 1}, {"IGNORE", 2}};
constexpr std::string_view grpc_statuses[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

int grpc_status(Fields& fields) {
  const auto name = fields.text("grpcStatus");
  const auto at = std::find(std::begin(grpc_statuses), std::end(grpc_statuses), name);
  if (at != std::end(grpc_statuses)) return int(at - std::begin(grpc_statuses));
  fields.error("grpcStatus", "gRPC status " + quoted(name) + " is not supported");
  return -1;
}

double share_of_requests(Fields& fault, double otherwise) {
  const double percent = percentage(fault, "percentage", otherwise);
  if (percent > 0 && percent < 0.0001) {
    fault.error("percentage", "percentage is neither 0.0, nor in range [0.0001, 100.0]");
  }
  return percent;
}

std::optional<HttpFault::Delay> decode_delay(Fields& fields) {
  HttpFault::Delay delay;
  const auto time = fields.duration("fixedDelay");
  delay.time = time.value_or(delay.time);
  if (fields.has("exponentialDelay"))
    fields.error("exponentialDelay", "exponentialDelay not supported yet");
  // The old whole-number field; the newer one wins.
  const auto old = fields.integer("percent", INT32_MIN, INT32_MAX).value_or(0);
  delay.percent = double(std::clamp<int64_t>(old, 0, 100));
  delay.percent = share_of_requests(fields, delay.percent);
  return time ? std::optional(delay) : std::nullopt;
}

std::optional<HttpFault::Abort> decode_abort(Fields& fields) {
  HttpFault::Abort abort;
  if (fields.has("http2Error")) fields.error("http2Error", "HTTP/2 abort fault not supported yet");
  if (fields.has("httpStatus") && fields.has("grpcStatus")) {
    fields.error("grpcStatus", "only one of httpStatus or grpcStatus can be set");
  }
  if (fields.has("grpcStatus")) {
    abort.grpc_status = grpc_status(fields);
    abort.http_status = 200;
  } else {
    abort.http_status = decode_status(fields, "httpStatus");
  }
  abort.percent = share_of_requests(fields, 0);
  if (fields.has("httpStatus") || fields.has("grpcStatus")) return abort;
  if (!fields.has("http2Error")) fields.warn("", "abort configured, but error type not set");
  return std::nullopt;
}

HttpMirror decode_mirror(Fields& fields) {
  HttpMirror mirror;
  const auto read = [&](Fields& f) { mirror.destination = decode_destination(f); };
  if (!fields.object("destination", read)) {
    fields.error("destination", "destination is required for mirrors");
  }
  mirror.percent = percentage(fields, "percentage", 100);
  return mirror;
}

std::vector<StringMatch> allowed_origins(Fields& fields) {
  std::vector<StringMatch> origins;
  fields.each("allowOrigins",
              [&](Fields& f) { origins.push_back(decode_string_match(f, MatchOf::origin)); });
  if (!origins.empty()) {
    fields.ignore({"allowOrigin"});
    return origins;
  }
  for (auto& origin : fields.texts("allowOrigin")) {  // deprecated: exact, or "*"
    const auto kind = origin == "*" ? StringMatch::Kind::regex : StringMatch::Kind::exact;
    origins.push_back({kind, std::move(origin)});
  }
  return origins;
}

}  // namespace

double percentage(Fields& fields, std::string_view name, double otherwise) {
  double value = otherwise;
  fields.object(name, [&](Fields& percent) { value = percent.real("value", 0, 100).value_or(0); });
  return value;
}

HttpFault decode_fault(Fields& fields) {
  HttpFault fault;
  fields.object("delay", [&](Fields& f) { fault.delay = decode_delay(f); });
  fields.object("abort", [&](Fields& f) { fault.abort = decode_abort(f); });
  if (!fields.has("delay") && !fields.has("abort")) {
    fields.error("", "HTTP fault injection must have an abort and/or a delay");
  }
  return fault;
}

std::vector<HttpMirror> decode_mirrors(Fields& route) {
  std::vector<HttpMirror> mirrors;
  route.each("mirrors", [&](Fields& f) { mirrors.push_back(decode_mirror(f)); });
  HttpMirror one;
  const bool given =
      route.object("mirror", [&](Fields& f) { one.destination = decode_destination(f); });
  for (const std::string_view old : {"mirrorPercent", "mirror_percent"}) {
    const auto percent = route.integer(old, 0, 100);
    if (!percent) continue;
    one.percent = double(*percent);
    route.warn(old, "using deprecated setting \"mirrorPercent\", use \"mirrorPercentage\" instead");
  }
  one.percent = percentage(route, "mirrorPercentage", one.percent);
  if (given) mirrors.push_back(one);
  return mirrors;
}

CorsPolicy decode_cors(Fields& fields) {
  CorsPolicy cors;
  cors.allow_origins = allowed_origins(fields);
  cors.allow_methods = fields.texts("allowMethods");
  cors.allow_headers = fields.texts("allowHeaders");
  cors.expose_headers = fields.texts("exposeHeaders");
  cors.max_age = fields.duration("maxAge");
  cors.allow_credentials = fields.boolean("allowCredentials");
  cors.forward_unmatched_preflights =
      fields.choice("unmatchedPreflights", preflights).value_or(0) != 2;
  for (const auto& method : cors.allow_methods) {
    constexpr std::string_view methods[] = {"GET",    "HEAD",    "POST",    "PUT",   "PATCH",
                                            "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"};
    if (std::find(std::begin(methods), std::end(methods), method) == std::end(methods)) {
      fields.error("allowMethods", quoted(method) + " is not a supported HTTP method");
    }
  }
  for (const auto* list : {&cors.allow_headers, &cors.expose_headers}) {
    for (const auto& name : *list) {
      if (is_token(name)) continue;  // `*` is one
      fields.error(list == &cors.allow_headers ? "allowHeaders" : "exposeHeaders",
                   "header name " + quoted(name) + " is not a valid header name");
    }
  }
  if (cors.max_age && cors.max_age->count() % 1000 != 0) {
    fields.error("maxAge", "max_age duration is accurate only to seconds precision");
  }
  return cors;
}

}  // namespace sallyport::istio
