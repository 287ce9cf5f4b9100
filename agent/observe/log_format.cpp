#include "agent/observe/log_format.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace sallyport::observe {

const char* const LogFormat::istio =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% "
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

enum class LogFormat::Op : uint8_t {
  literal,
  start_time,
  method,
  path,
  protocol,
  code,
  flags,
  details,
  termination,
  failure,
  received,
  sent,
  duration,
  service_time,
  forwarded_for,
  user_agent,
  request_id,
  authority,
  upstream_host,
  cluster,
  upstream_local,
  downstream_local,
  downstream_remote,
  sni,
  route,
};

struct LogFormat::Named {
  std::string_view name;
  Op op;
};

// %NAME(argument):length%
struct LogFormat::Operator {
  std::string_view whole, name, argument;
  uint32_t length = 0;
};

namespace {

Error bad_format(std::string_view op, std::string_view why) {
  Error error{Fault::internal, Side::local};
  error.context = "access log format: " + std::string(op) + " " + std::string(why);
  return error;
}

char* put(char* to, std::string_view text) {
  std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

char* put_number(char* to, uint64_t n) { return std::to_chars(to, to + 20, n).ptr; }

// A clock that was set back must not be written as an age.
uint64_t milliseconds(int64_t us) { return us < 0 ? 0 : static_cast<uint64_t>(us) / 1000; }

// Of a header: clean by the parser's rules, and as it came.
char* put_header(char* to, std::string_view text) {
  return put(to, text.empty() ? std::string_view("-") : text);
}

// Ours or a peer's: one word without control characters, as Envoy writes details and reasons.
char* put_word(char* to, std::string_view text) {
  if (text.empty()) *to++ = '-';
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    *to++ = byte <= 0x20 || byte == 0x7f ? '_' : c;
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

bool same(std::string_view a, std::string_view upper) {
  return std::equal(a.begin(), a.end(), upper.begin(), upper.end(), [](char x, char y) {
    return (x >= 'a' && x <= 'z' ? static_cast<char>(x - 32) : x) == y;
  });
}

}  // namespace

Result<LogFormat::Operator> LogFormat::read_operator(std::string_view format, std::size_t at) {
  Operator op;
  const auto rest = format.substr(at);
  const auto name_end = std::min(rest.find_first_of("%(:", 1), rest.size());
  op.name = rest.substr(1, name_end - 1);
  std::size_t end = name_end;
  if (end < rest.size() && rest[end] == '(') {  // may contain '%': START_TIME(%Y)
    const auto close = rest.find(')', end);
    if (close == rest.npos) return bad_format(rest, "has no closing parenthesis");
    op.argument = rest.substr(end + 1, close - end - 1);
    end = close + 1;
  }
  if (end < rest.size() && rest[end] == ':') {
    const char* const last = rest.data() + rest.size();
    const auto number = std::from_chars(rest.data() + end + 1, last, op.length);
    if (number.ec != std::errc() || op.length == 0) return bad_format(rest, "has a bad length");
    end = static_cast<std::size_t>(number.ptr - rest.data());
  }
  if (end >= rest.size() || rest[end] != '%') return bad_format(rest, "is not closed by '%'");
  op.whole = rest.substr(0, end + 1);
  return op;
}

Result<LogFormat::Piece> LogFormat::piece_of(const Operator& op) {
  static constexpr Named plain[] = {{"PROTOCOL", Op::protocol},
                                    {"RESPONSE_CODE", Op::code},
                                    {"RESPONSE_FLAGS", Op::flags},
                                    {"RESPONSE_CODE_DETAILS", Op::details},
                                    {"CONNECTION_TERMINATION_DETAILS", Op::termination},
                                    {"UPSTREAM_TRANSPORT_FAILURE_REASON", Op::failure},
                                    {"BYTES_RECEIVED", Op::received},
                                    {"BYTES_SENT", Op::sent},
                                    {"DURATION", Op::duration},
                                    {"UPSTREAM_CLUSTER", Op::cluster},
                                    {"UPSTREAM_CLUSTER_RAW", Op::cluster},
                                    {"REQUESTED_SERVER_NAME", Op::sni},
                                    {"ROUTE_NAME", Op::route}};
  static constexpr Named addresses[] = {
      {"UPSTREAM_HOST", Op::upstream_host},
      {"UPSTREAM_REMOTE_ADDRESS", Op::upstream_host},
      {"UPSTREAM_LOCAL_ADDRESS", Op::upstream_local},
      {"DOWNSTREAM_LOCAL_ADDRESS", Op::downstream_local},
      {"DOWNSTREAM_REMOTE_ADDRESS", Op::downstream_remote},
      {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", Op::downstream_remote}};
  static constexpr Named headers[] = {{":METHOD", Op::method},
                                      {":PATH", Op::path},
                                      {"X-ENVOY-ORIGINAL-PATH?:PATH", Op::path},
                                      {":AUTHORITY", Op::authority},
                                      {"X-FORWARDED-FOR", Op::forwarded_for},
                                      {"USER-AGENT", Op::user_agent},
                                      {"X-REQUEST-ID", Op::request_id}};
  Piece piece;
  piece.size = op.length;
  const auto find = [&](const auto& table, std::string_view name) {
    for (const Named& named : table)
      if (same(name, named.name)) return piece.op = named.op, true;
    return false;
  };
  if (op.name == "START_TIME") {
    if (!LogTime::acceptable(op.argument)) return bad_format(op.whole, "is too long");
    piece.op = Op::start_time;
    piece.at = static_cast<uint32_t>(time_formats_.size());
    time_formats_.emplace_back(op.argument);
    return piece;
  }
  if (op.name == "REQ" && find(headers, op.argument)) return piece;
  if (op.name == "RESP" && same(op.argument, "X-ENVOY-UPSTREAM-SERVICE-TIME")) {
    piece.op = Op::service_time;
    return piece;
  }
  if (op.name == "REQ" || op.name == "RESP")
    return bad_format(op.whole, "asks for a header that is not logged");
  if (!op.argument.empty()) return bad_format(op.whole, "takes no argument");
  if (find(plain, op.name)) return piece;
  auto name = op.name;
  if (name.ends_with("_WITHOUT_PORT")) {
    piece.part = Part::ip;
    name.remove_suffix(std::strlen("_WITHOUT_PORT"));
  } else if (name.ends_with("_PORT")) {
    piece.part = Part::port;
    name.remove_suffix(std::strlen("_PORT"));
  }
  if (find(addresses, name)) return piece;
  return bad_format(op.whole, "is not a known operator");
}

void LogFormat::add_literal(std::string_view text) {
  if (text.empty()) return;
  if (pieces_.empty() || pieces_.back().op != Op::literal)
    pieces_.push_back({Op::literal, Part::whole, static_cast<uint32_t>(text_.size()), 0});
  pieces_.back().size += static_cast<uint32_t>(text.size());
  text_.append(text);
}

Result<LogFormat> LogFormat::parse(std::string_view format) {
  if (format.empty()) format = istio;
  LogFormat result;
  std::size_t at = 0;
  while (at < format.size()) {
    const auto percent = std::min(format.find('%', at), format.size());
    result.add_literal(format.substr(at, percent - at));
    at = percent;
    if (at == format.size()) break;
    if (format.substr(at, 2) == "%%") {
      result.add_literal("%");
      at += 2;
      continue;
    }
    const auto op = read_operator(format, at);
    if (!op) return op.error();
    const auto piece = result.piece_of(*op);
    if (!piece) return piece.error();
    result.pieces_.push_back(*piece);
    at += op->whole.size();
  }
  if (!format.ends_with('\n')) result.add_literal("\n");
  // Times, flags, numbers and addresses are shorter than a LogTime.
  for (const Piece& piece : result.pieces_)
    result.repeats_ =
        std::max(result.repeats_, static_cast<std::size_t>(std::count_if(
                                      result.pieces_.begin(), result.pieces_.end(),
                                      [&](const Piece& other) { return other.op == piece.op; })));
  result.fixed_ = result.text_.size() + result.pieces_.size() * LogTime::size_max;
  return result;
}

std::vector<LogTime> LogFormat::times() const {
  return std::vector<LogTime>(time_formats_.begin(), time_formats_.end());
}

std::size_t LogFormat::bound(const AccessRecord& r) const {
  const std::size_t texts = r.method.size() + r.path.size() + r.protocol.size() + r.details.size() +
                            r.termination_details.size() + 2 * r.failure_reason.size() +
                            r.forwarded_for.size() + r.user_agent.size() + r.request_id.size() +
                            r.authority.size() + r.cluster.size() + r.sni.size() +
                            r.route_name.size();
  return fixed_ + texts * repeats_;
}

char* LogFormat::write_text(char* to, Op op, const AccessRecord& r) {
  switch (op) {
    case Op::method:
      return put_header(to, r.method);
    case Op::path:
      return put_header(to, r.path);
    case Op::protocol:
      return put_header(to, r.protocol);
    case Op::code:
      return put_number(to, static_cast<uint64_t>(std::max(r.response_code, 0)));
    case Op::flags:
      return write_flags(to, r.flags, r.http);
    case Op::details:
      return put_details(to, r);
    case Op::termination:
      return put_word(to, r.termination_details);
    case Op::failure:
      return put_word(to, r.failure_reason);
    case Op::received:
      return put_number(to, r.bytes_received);
    case Op::sent:
      return put_number(to, r.bytes_sent);
    case Op::duration:
      return put_number(to, milliseconds(r.duration_us));
    case Op::service_time:
      return r.upstream_service_us < 0 ? put(to, "-")
                                       : put_number(to, milliseconds(r.upstream_service_us));
    case Op::forwarded_for:
      return put_header(to, r.forwarded_for);
    case Op::user_agent:
      return put_header(to, r.user_agent);
    case Op::request_id:
      return put_header(to, r.request_id);
    case Op::authority:
      return put_header(to, r.authority);
    case Op::cluster:
      return put_word(to, r.cluster);
    case Op::sni:
      return put_word(to, r.sni);
    case Op::route:
      return put_word(to, r.route_name);
    default:
      return to;
  }
}

char* LogFormat::write_address(char* to, const Piece& piece, const AccessRecord& r) {
  const SocketAddress& address = piece.op == Op::upstream_host      ? r.upstream_host
                                 : piece.op == Op::upstream_local   ? r.upstream_local
                                 : piece.op == Op::downstream_local ? r.downstream_local
                                                                    : r.downstream_remote;
  if (!address.is_set() || piece.part == Part::whole) return address.write(to);
  return piece.part == Part::ip ? address.ip().write(to) : put_number(to, address.port());
}

char* LogFormat::write(char* to, const AccessRecord& record, std::vector<LogTime>& times) const {
  for (const Piece& piece : pieces_) {
    char* const begin = to;
    switch (piece.op) {
      case Op::literal:
        to = put(to, std::string_view(text_).substr(piece.at, piece.size));
        continue;
      case Op::start_time:
        to = times[piece.at].write(to, record.start_us);
        break;
      case Op::upstream_host:
      case Op::upstream_local:
      case Op::downstream_local:
      case Op::downstream_remote:
        to = write_address(to, piece, record);
        break;
      default:
        to = write_text(to, piece.op, record);
    }
    if (piece.size && static_cast<std::size_t>(to - begin) > piece.size) to = begin + piece.size;
  }
  return to;
}

}  // namespace sallyport::observe
