// What an operator says of a record.
#include <algorithm>
#include <charconv>
#include <cstring>

#include "agent/observe/log_plan.h"

namespace sallyport::observe {
namespace {

using Op = LogPlan::Op;
using Part = LogPlan::Part;

char* put_number(char* to, uint64_t n) { return std::to_chars(to, to + 20, n).ptr; }

// A clock that was set back must not be written as an age.
uint64_t milliseconds(int64_t us) { return us < 0 ? 0 : static_cast<uint64_t>(us) / 1000; }

// Of a header: clean by the parser's rules, and as it came.
char* put_header(char* to, std::string_view text) { return text.empty() ? nullptr : put(to, text); }

// Ours or a peer's: one word without control characters, as Envoy writes details and reasons.
char* put_word(char* to, std::string_view text) {
  if (text.empty()) return nullptr;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    *to++ = byte <= 0x20 || byte == 0x7f ? '_' : c;
  }
  return to;
}

// A peer's, with its blanks.
char* put_phrase(char* to, std::string_view text) {
  if (text.empty()) return nullptr;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    *to++ = byte < 0x20 || byte == 0x7f ? '_' : c;
  }
  return to;
}

// "upstream_reset_before_response_started{remote_connection_failure|TLS_error:...}"
char* put_details(char* to, const AccessRecord& record) {
  const auto details = record.details;
  if (record.failure_reason.empty() || !details.ends_with('}') ||
      !details.starts_with("upstream_reset_before_response_started{"))
    return put_word(to, details);
  to = put_word(to, details.substr(0, details.size() - 1));
  *to++ = '|';
  to = put_word(to, record.failure_reason);
  *to++ = '}';
  return to;
}

char* put_address(char* to, const SocketAddress& address, Part part) {
  if (!address.is_set()) return nullptr;
  if (part == Part::whole) return address.write(to);
  // As Envoy: a path is there with and without the port that it has not.
  if (address.is_unix()) return part == Part::ip ? address.write(to) : nullptr;
  return part == Part::ip ? address.ip().write(to) : put_number(to, address.port());
}

struct GrpcStatus {
  std::string_view camel, snake;
};
constexpr GrpcStatus grpc_statuses[] = {{"OK", "OK"},
                                        {"Canceled", "CANCELLED"},
                                        {"Unknown", "UNKNOWN"},
                                        {"InvalidArgument", "INVALID_ARGUMENT"},
                                        {"DeadlineExceeded", "DEADLINE_EXCEEDED"},
                                        {"NotFound", "NOT_FOUND"},
                                        {"AlreadyExists", "ALREADY_EXISTS"},
                                        {"PermissionDenied", "PERMISSION_DENIED"},
                                        {"ResourceExhausted", "RESOURCE_EXHAUSTED"},
                                        {"FailedPrecondition", "FAILED_PRECONDITION"},
                                        {"Aborted", "ABORTED"},
                                        {"OutOfRange", "OUT_OF_RANGE"},
                                        {"Unimplemented", "UNIMPLEMENTED"},
                                        {"Internal", "INTERNAL"},
                                        {"Unavailable", "UNAVAILABLE"},
                                        {"DataLoss", "DATA_LOSS"},
                                        {"Unauthenticated", "UNAUTHENTICATED"}};

// gRPC's own mapping, for an answer that says no grpc-status.
int grpc_status_of_http(int code) {
  switch (code) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}

bool is_grpc(const AccessExtras& extras) {
  auto type = extras.request.find("content-type").value_or("");
  if (!type.starts_with("application/grpc")) return false;
  type.remove_prefix(std::strlen("application/grpc"));
  return type.empty() || type.front() == '+' || type.front() == ';';
}

char* put_grpc_status(char* to, const AccessRecord& record, LogPlan::GrpcName name) {
  if (!record.extras || !is_grpc(*record.extras)) return nullptr;
  const auto answered = grpc_status_of(record);
  if (!answered) return nullptr;
  const int status = *answered;
  const bool known = status >= 0 && status < static_cast<int>(std::size(grpc_statuses));
  if (!known || name == LogPlan::GrpcName::number) return std::to_chars(to, to + 12, status).ptr;
  const GrpcStatus& found = grpc_statuses[status];
  return put(to, name == LogPlan::GrpcName::camel ? found.camel : found.snake);
}

// Null: the connection was not encrypted, or nobody asked in time.
const TlsFacts* tls_of(const AccessRecord& record, bool upstream) {
  if (!record.extras) return nullptr;
  const auto& side = upstream ? record.extras->upstream_tls : record.extras->downstream_tls;
  return side ? &*side : nullptr;
}

char* put_tls(char* to, const LogPlan::Piece& piece, const AccessRecord& record,
              LogScratch& scratch) {
  const TlsFacts* const facts = tls_of(record, piece.upstream);
  if (!facts) return nullptr;
  if (piece.op == Op::tls_text) return put_phrase(to, facts->*tls_texts[piece.at].text);
  const auto time = piece.op == Op::valid_from ? facts->peer_valid_from : facts->peer_valid_to;
  return time ? scratch.times[piece.at].write(to, *time * 1'000'000) : nullptr;
}

char* put_message(char* to, Op op, const AccessRecord& r) {
  switch (op) {
    case Op::method:
      return put_header(to, r.method);
    case Op::path:
      return put_header(to, r.rewritten_path.empty() ? r.path : r.rewritten_path);
    case Op::original_path:
      return r.rewritten_path.empty() ? nullptr : put_header(to, r.path);
    case Op::requested_path:
      return put_header(to, r.path);
    case Op::scheme:
      return r.method.empty() ? nullptr : put_header(to, r.scheme);
    case Op::authority:
      return put_header(to, r.authority);
    case Op::protocol:
      return put_header(to, r.protocol);
    case Op::forwarded_for:
      return put_header(to, r.forwarded_for);
    case Op::user_agent:
      return put_header(to, r.user_agent);
    case Op::request_id:
      return put_header(to, r.request_id);
    case Op::service_time:
      if (r.upstream_service_us < 0) return nullptr;
      return put_number(to, milliseconds(r.upstream_service_us));
    case Op::status:
      return r.response_code > 0 ? put_number(to, static_cast<uint64_t>(r.response_code)) : nullptr;
    default:
      return nullptr;
  }
}

char* put_kept(char* to, Op op, std::string_view name, const AccessRecord& record) {
  if (!record.extras) return nullptr;
  const AccessExtras& extras = *record.extras;
  const KeptHeaders& from = op == Op::request_header    ? extras.request
                            : op == Op::response_header ? extras.response
                                                        : extras.trailers;
  const auto value = from.find(name);
  return value ? put(to, *value) : nullptr;
}

bool is_kept(Op op) {
  return op == Op::request_header || op == Op::response_header || op == Op::trailer;
}

char* put_choice(char* to, const LogPlan::Header& header, const AccessRecord& record) {
  const auto put_one = [&](Op op, std::string_view name) {
    return is_kept(op) ? put_kept(to, op, name, record) : put_message(to, op, record);
  };
  char* const end = put_one(header.first, header.first_name);
  return end || header.second == Op::literal ? end : put_one(header.second, header.second_name);
}

char* put_outcome(char* to, Op op, const AccessRecord& r) {
  switch (op) {
    case Op::code:
      return put_number(to, static_cast<uint64_t>(std::max(r.response_code, 0)));
    case Op::flags:
      return write_flags(to, r.flags, r.http);
    case Op::long_flags:
      return write_long_flags(to, r.flags, r.http);
    case Op::details:
      return put_details(to, r);
    case Op::termination:
      return put_word(to, r.termination_details);
    case Op::failure:
      return put_word(to, r.failure_reason);
    case Op::downstream_failure:
      return put_word(to, r.downstream_failure_reason);
    case Op::cluster:
      return put_word(to, r.cluster);
    case Op::sni:
      return put_word(to, r.sni);
    case Op::route:
      return put_word(to, r.route_name);
    case Op::filter_chain:
      return put_word(to, r.filter_chain);
    case Op::upstream_protocol:
      return put_header(to, r.upstream_protocol);
    default:
      return nullptr;
  }
}

char* put_figure(char* to, Op op, const AccessRecord& r) {
  switch (op) {
    case Op::received:
      return put_number(to, r.bytes_received);
    case Op::sent:
      return put_number(to, r.bytes_sent);
    case Op::duration:
      return put_number(to, milliseconds(r.duration_us));
    case Op::request_duration:
      return r.request_us < 0 ? nullptr : put_number(to, milliseconds(r.request_us));
    case Op::response_duration:
      if (r.upstream_service_us < 0) return nullptr;
      return put_number(to, milliseconds(r.upstream_service_us));
    case Op::response_sending:
      if (r.upstream_service_us < 0) return nullptr;
      return put_number(to, milliseconds(r.duration_us - r.upstream_service_us));
    case Op::attempts:
      return put_number(to, r.attempts);
    case Op::connection_id:
      return put_number(to, r.connection_id);
    default:
      return nullptr;
  }
}

// RFC 9562's version 4, of splitmix64: no secret, only different from every other.
char* put_unique_id(char* to, LogScratch& scratch) {
  const auto next = [&scratch] {
    uint64_t value = scratch.random += 0x9e3779b97f4a7c15;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
  };
  constexpr uint64_t version_mask = 0xf000, version = 0x4000;
  constexpr uint64_t variant_mask = uint64_t{3} << 62, variant = uint64_t{2} << 62;
  const uint64_t halves[] = {(next() & ~version_mask) | version,
                             (next() & ~variant_mask) | variant};
  for (int digit = 0; digit < 32; digit++) {
    if (digit == 8 || digit == 12 || digit == 16 || digit == 20) *to++ = '-';
    *to++ = "0123456789abcdef"[halves[digit / 16] >> (60 - 4 * (digit % 16)) & 0xf];
  }
  return to;
}

char* put_query(char* to, std::string_view name, const AccessRecord& record) {
  const auto path = record.rewritten_path.empty() ? record.path : record.rewritten_path;
  const auto value = query_value(path, name);
  return value ? put(to, *value) : nullptr;
}

// -1: it never came.
int64_t moment_of(const AccessRecord& record, LogPlan::Moment moment) {
  switch (moment) {
    case LogPlan::Moment::started:
      return 0;
    case LogPlan::Moment::request_read:
      return record.request_us;
    case LogPlan::Moment::answer_began:
      return record.upstream_service_us;
    default:
      return record.duration_us;
  }
}

char* put_span(char* to, const LogPlan::Span& span, const AccessRecord& record) {
  const auto from = moment_of(record, span.from), until = moment_of(record, span.to);
  if (!record.http || from < 0 || until < from) return nullptr;
  const auto us = static_cast<uint64_t>(until - from);
  return put_number(
      to, us / static_cast<uint64_t>(span.denominator) * static_cast<uint64_t>(span.numerator));
}

}  // namespace

std::optional<std::string_view> query_value(std::string_view path, std::string_view name) {
  const auto question = path.find('?');
  auto rest = question == path.npos ? std::string_view() : path.substr(question + 1);
  while (!rest.empty()) {
    const auto one = rest.substr(0, rest.find('&'));
    const auto equals = std::min(one.find('='), one.size());
    if (one.substr(0, equals) == name) return one.substr(std::min(equals + 1, one.size()));
    rest.remove_prefix(std::min(one.size() + 1, rest.size()));
  }
  return std::nullopt;
}

std::optional<int> grpc_status_of(const AccessRecord& record) {
  std::optional<std::string_view> text;
  if (record.extras) {
    text = record.extras->trailers.find("grpc-status");
    if (!text) text = record.extras->response.find("grpc-status");
  }
  if (!text && record.response_code == 0) return std::nullopt;
  if (!text) return grpc_status_of_http(record.response_code);
  uint16_t number = 0;
  const char* const end = text->data() + text->size();
  const auto read = std::from_chars(text->data(), end, number);
  // As Envoy writes one that is no number.
  return read.ec == std::errc() && read.ptr == end ? number : -1;
}

bool is_number(const LogPlan::Piece& piece) {
  if (piece.op == Op::grpc_status)
    return piece.at == static_cast<uint32_t>(LogPlan::GrpcName::number);
  if (piece.op >= Op::upstream_host && piece.op <= Op::downstream_direct_remote)
    return piece.part == Part::port;
  return piece.op == Op::code || (piece.op >= Op::received && piece.op <= Op::connection_id);
}

char* write_value(char* to, const LogPlan& plan, const LogPlan::Piece& piece,
                  const AccessRecord& record, LogScratch& scratch) {
  switch (piece.op) {
    case Op::start_time:
      return scratch.times[piece.at].write(to, record.start_us);
    case Op::emit_time:
      return scratch.times[piece.at].write(to, record.start_us + record.duration_us);
    case Op::unique_id:
      return put_unique_id(to, scratch);
    case Op::log_type:
      return put(to, record.http ? "DownstreamEnd" : "TcpConnectionEnd");
    case Op::nothing:
      return nullptr;
    case Op::query_parameter:
      return put_query(to, plan.headers[piece.at].first_name, record);
    case Op::between:
      return put_span(to, plan.spans[piece.at], record);
    case Op::request_header:
    case Op::response_header:
    case Op::trailer:
      return put_choice(to, plan.headers[piece.at], record);
    case Op::grpc_status:
      return put_grpc_status(to, record, static_cast<LogPlan::GrpcName>(piece.at));
    case Op::hostname:
      return put(to, std::string_view(plan.text).substr(piece.at, piece.size));
    case Op::upstream_host:
      return put_address(to, record.upstream_host, piece.part);
    case Op::upstream_local:
      return put_address(to, record.upstream_local, piece.part);
    case Op::downstream_local:
      return put_address(to, record.downstream_local, piece.part);
    case Op::downstream_remote:
      return put_address(to, record.downstream_remote, piece.part);
    case Op::downstream_direct_remote:
      return put_address(to, record.downstream_direct_remote, piece.part);
    case Op::tls_text:
    case Op::valid_from:
    case Op::valid_to:
      return put_tls(to, piece, record, scratch);
    default:
      break;
  }
  if (piece.op < Op::code) return put_message(to, piece.op, record);
  if (piece.op < Op::received) return put_outcome(to, piece.op, record);
  return put_figure(to, piece.op, record);
}

}  // namespace sallyport::observe
