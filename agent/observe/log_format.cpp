#include "agent/observe/log_format.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>

#include "agent/observe/log_plan.h"

namespace sallyport::observe {

using Op = LogPlan::Op;
using Shape = LogPlan::Shape;

const char* const LogFormat::istio =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% "
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

const char* const LogFormat::istio_json = R"({
  "start_time": "%START_TIME%",
  "route_name": "%ROUTE_NAME%",
  "method": "%REQ(:METHOD)%",
  "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
  "protocol": "%PROTOCOL%",
  "response_code": "%RESPONSE_CODE%",
  "response_flags": "%RESPONSE_FLAGS%",
  "response_code_details": "%RESPONSE_CODE_DETAILS%",
  "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
  "bytes_received": "%BYTES_RECEIVED%",
  "bytes_sent": "%BYTES_SENT%",
  "duration": "%DURATION%",
  "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
  "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
  "user_agent": "%REQ(USER-AGENT)%",
  "request_id": "%REQ(X-REQUEST-ID)%",
  "authority": "%REQ(:AUTHORITY)%",
  "upstream_host": "%UPSTREAM_HOST%",
  "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
  "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
  "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
  "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
  "requested_server_name": "%REQUESTED_SERVER_NAME%",
  "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%"
})";

namespace {

constexpr std::size_t escaped_max = 6;  // bytes of JSON for one of text
// Most literals are a blank or two: copied as one block of this size, which the compiler makes one
// instruction, they cost a quarter less a line. Text and line are longer by as much.
constexpr std::size_t block_size = 16;

// Of an operator's value at most, without the record's texts.
std::size_t bytes_of(const LogPlan::Piece& piece, bool json) {
  switch (piece.op) {
    case Op::literal:
      return piece.size;
    case Op::start_time:
    case Op::emit_time:
    case Op::valid_from:
    case Op::valid_to:
      return LogTime::size_max * (json ? escaped_max : 1);
    case Op::flags:
      return flags_max;
    case Op::long_flags:
      return long_flags_max;
    case Op::hostname:
      return piece.size * escaped_max;
    case Op::upstream_host:
    case Op::upstream_local:
    case Op::downstream_local:
    case Op::downstream_remote:
    case Op::downstream_direct_remote:
      return SocketAddress::text_max;
    case Op::unique_id:
      return 36;  // a UUID
    default:
      return 24;  // a number, a gRPC status, a log type
  }
}

// How often each operator may be written.
std::array<std::size_t, 64> occurrences(const LogPlan& plan) {
  std::array<std::size_t, 64> counts{};
  const auto count = [&](Op op) { counts.at(static_cast<std::size_t>(op))++; };
  for (const auto& piece : plan.pieces) {
    const bool header = piece.op == Op::request_header || piece.op == Op::response_header ||
                        piece.op == Op::trailer;
    count(piece.op);
    if (!header) continue;
    count(plan.headers[piece.at].first);
    count(plan.headers[piece.at].second);
  }
  return counts;
}

}  // namespace

LogFormat::LogFormat(std::shared_ptr<const LogPlan> plan, bool json)
    : plan_(std::move(plan)), json_(json), fixed_(block_size) {
  for (const auto& piece : plan_->pieces) fixed_ += bytes_of(piece, json) + 4;  // quotes, null
  const auto counts = occurrences(*plan_);
  const auto of = [&](Op op) { return counts[static_cast<std::size_t>(op)]; };
  kept_ = of(Op::request_header) + of(Op::response_header) + of(Op::trailer) + of(Op::tls_text);
  const std::size_t paths =
      of(Op::path) + of(Op::original_path) + of(Op::requested_path) + of(Op::query_parameter);
  texts_ = std::max({std::size_t{1}, paths,
                     *std::max_element(counts.begin() + static_cast<int>(Op::method),
                                       counts.begin() + static_cast<int>(Op::received))});
}

Result<LogFormat> LogFormat::parse(std::string_view format, bool omit_empty) {
  if (format.empty()) format = istio;
  auto plan = std::make_shared<LogPlan>();
  const Shape shape = omit_empty ? Shape::header : Shape::text;
  if (auto added = plan->add_format(format, shape); !added) return added.error();
  if (!format.ends_with('\n')) plan->add_literal("\n");
  plan->text.append(block_size, '\0');
  return LogFormat(std::move(plan), false);
}

Result<LogFormat> LogFormat::parse_header_value(std::string_view value) {
  auto plan = std::make_shared<LogPlan>();
  if (auto added = plan->add_format(value, Shape::header); !added) return added.error();
  plan->text.append(block_size, '\0');
  return LogFormat(std::move(plan), false);
}

Result<LogFormat> LogFormat::parse_json(std::string_view format, bool omit_empty) {
  auto plan = std::make_shared<LogPlan>();
  plan->omit_empty = omit_empty;
  if (auto added = plan->add_json(format.empty() ? istio_json : format); !added)
    return added.error();
  plan->add_literal("\n");
  plan->text.append(block_size, '\0');
  return LogFormat(std::move(plan), true);
}

void LogNeeds::add(const LogNeeds& more) {
  const auto add_names = [](std::vector<std::string>& to, const std::vector<std::string>& names) {
    for (const std::string& name : names)
      if (std::find(to.begin(), to.end(), name) == to.end()) to.push_back(name);
  };
  add_names(request_headers, more.request_headers);
  add_names(response_headers, more.response_headers);
  add_names(trailers, more.trailers);
  upstream_tls = upstream_tls || more.upstream_tls;
  downstream_tls = downstream_tls || more.downstream_tls;
}

const LogNeeds& LogFormat::needs() const { return plan_->needs; }

const std::vector<std::string>& LogFormat::never_known() const { return plan_->never_known; }

LogScratch LogFormat::scratch() const {
  std::random_device device;
  return {.times = std::vector<LogTime>(plan_->times.begin(), plan_->times.end()),
          .text = {},
          .random = uint64_t{device()} << 32 | device()};
}

std::size_t LogFormat::texts_of(const AccessRecord& r) const {
  return r.method.size() + r.path.size() + r.rewritten_path.size() + r.scheme.size() +
         r.protocol.size() + r.details.size() + r.termination_details.size() +
         2 * r.failure_reason.size() + r.downstream_failure_reason.size() + r.forwarded_for.size() +
         r.user_agent.size() + r.request_id.size() + r.authority.size() + r.cluster.size() +
         r.sni.size() + r.route_name.size() + r.filter_chain.size() + r.upstream_protocol.size();
}

std::size_t LogFormat::extras_of(const AccessRecord& record) const {
  if (!record.extras || !kept_) return 0;
  const AccessExtras& extras = *record.extras;
  std::size_t most = extras.request.size() + extras.response.size() + extras.trailers.size();
  for (const auto* side : {&extras.upstream_tls, &extras.downstream_tls})
    for (const TlsText& fact : tls_texts)
      if (*side) most = std::max(most, ((**side).*fact.text).size());
  return most;
}

std::size_t LogFormat::bound(const AccessRecord& record) const {
  const std::size_t texts = texts_of(record) * texts_ + extras_of(record) * kept_;
  return fixed_ + (json_ ? escaped_max * texts : texts);
}

namespace {

char* put_literal(char* to, const LogPlan& plan, const LogPlan::Piece& piece) {
  const char* const from = plan.text.data() + piece.at;
  if (piece.size <= block_size)
    std::memcpy(to, from, block_size);
  else
    std::memcpy(to, from, piece.size);
  return to + piece.size;
}

// Of a value; null stays null. A cut through a character is mended by JSON's escaping.
char* cut(char* begin, char* end, const LogPlan::Piece& piece) {
  if (end && piece.without_query) end = std::find(begin, end, '?');
  const bool longer = end && piece.size && static_cast<std::size_t>(end - begin) > piece.size;
  return longer ? begin + piece.size : end;
}

char* write_json(char* to, const LogPlan& plan, const LogPlan::Piece& piece,
                 const AccessRecord& record, LogScratch& scratch) {
  char* const raw = scratch.text.data();
  char* const end = cut(raw, write_value(raw, plan, piece, record, scratch), piece);
  const bool part = piece.shape == Shape::json_part;
  if (!end) return put(to, !part ? "null" : plan.omit_empty ? "" : "-");
  const std::string_view value(raw, static_cast<std::size_t>(end - raw));
  if (part) return write_json_text(to, value);
  if (is_number(piece)) return put(to, value);
  *to++ = '"';
  to = write_json_text(to, value);
  *to++ = '"';
  return to;
}

}  // namespace

char* LogFormat::write(char* to, const AccessRecord& record, LogScratch& scratch) const {
  const LogPlan& plan = *plan_;
  char* const begin = to;
  if (json_) {
    const std::size_t most = fixed_ + texts_of(record) + extras_of(record);
    if (scratch.text.size() < most) scratch.text.resize(most);
  }
  for (const LogPlan::Piece& piece : plan.pieces) {
    if (piece.op == Op::literal) {
      to = put_literal(to, plan, piece);
    } else if (json_) {
      to = write_json(to, plan, piece, record, scratch);
    } else if (char* const end = cut(to, write_value(to, plan, piece, record, scratch), piece)) {
      to = end;
    } else if (piece.shape == Shape::text) {
      *to++ = '-';
    }
  }
  return plan.omit_empty ? remove_null_members(begin, to) : to;
}

}  // namespace sallyport::observe
