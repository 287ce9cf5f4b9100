// A parsed access log format: literals and operators in the order of the line, and what the
// operators need to know. Inside this module only.
//
// Sources: Envoy's command operators (istio-api.md 3.3). As there, only operators of texts take a
// :length, an operator's name is upper case, and one that Envoy does not know refuses the format.
// One that it knows and whose value never exists or is not kept here is written as Envoy writes an
// absent value; LogFormat::never_known() names it.
#pragma once
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"
#include "agent/observe/access_record.h"
#include "agent/observe/log_format.h"

namespace sallyport::observe {

struct LogPlan {
  enum class Op : uint8_t {
    literal,
    start_time,
    emit_time,  // the end of the record: its line is written then
    unique_id,  // a UUID of the line
    log_type,   // when the line is written: only ever at the end
    nothing,    // never known here
    // Of the message
    method,
    path,            // as the upstream was asked
    original_path,   // X-ENVOY-ORIGINAL-PATH: only where it was changed
    requested_path,  // X-ENVOY-ORIGINAL-PATH?:PATH
    scheme,
    authority,
    protocol,
    forwarded_for,
    user_agent,
    request_id,
    service_time,
    query_parameter,  // QUERY_PARAM(name): the first of this name, as it was sent
    status,           // RESP(:STATUS)
    request_header,   // kept by name, as the next two
    response_header,
    trailer,
    grpc_status,
    // Of the outcome
    code,
    flags,
    long_flags,
    details,
    termination,
    failure,
    downstream_failure,
    cluster,
    sni,
    route,
    filter_chain,
    hostname,  // or a variable of the environment: a text that does not change
    upstream_protocol,
    // Numbers
    received,
    sent,
    duration,
    request_duration,
    response_duration,
    response_sending,  // RESPONSE_TX_DURATION
    between,           // COMMON_DURATION: `at` is an index into spans
    attempts,
    connection_id,
    // Addresses
    upstream_host,
    upstream_local,
    downstream_local,
    downstream_remote,
    downstream_direct_remote,
    // TLS
    tls_text,  // `at`: index into tls_texts
    valid_from,
    valid_to,
  };
  enum class Part : uint8_t { whole, ip, port };  // of an address
  enum class Shape : uint8_t {
    text,        // '-' when there is no value
    header,      // nothing when there is no value
    json_value,  // a JSON value: its type is the operator's, null when there is no value
    json_part,   // within a JSON string
  };
  enum class GrpcName : uint8_t { camel, snake, number };
  struct Piece {
    Op op{};
    Part part = Part::whole;
    Shape shape = Shape::text;
    bool upstream = false;       // TLS: which side
    bool without_query = false;  // what follows the first '?' is left out
    uint32_t at = 0;             // literal, hostname: in text; time, header, TLS: index
    uint32_t size = 0;           // likewise bytes; else the most bytes of the value, 0: all
  };
  // REQ(first?second)
  struct Header {
    Op first{}, second{};  // literal: there is no second
    std::string first_name, second_name;
  };
  // COMMON_DURATION(from:to:unit): the moments of a request that a record knows.
  enum class Moment : uint8_t { started, request_read, answer_began, finished };
  struct Span {
    Moment from{}, to{};
    int64_t numerator = 1, denominator = 1;  // of the unit for a microsecond
  };
  // %NAME(argument):length%
  struct Operator {
    std::string_view whole, name, argument;
    uint32_t length = 0;  // 0: none given
  };

  void add_literal(std::string_view text);
  // Literals and operators. JSON shapes escape the literals.
  Result<void> add_format(std::string_view format, Shape shape);
  // A JSON object whose strings are formats.
  Result<void> add_json(std::string_view json);

  static Result<Operator> read_operator(std::string_view format, std::size_t at);
  Result<Piece> piece_of(const Operator& op);
  bool find_plain(const Operator& op, Piece& piece);
  bool find_never_known(const Operator& op, Piece& piece);
  Result<bool> find_text(const Operator& op, Piece& piece);
  Result<void> add_path(const Operator& op, Piece& piece);
  Result<void> add_query_parameter(const Operator& op, Piece& piece);
  Result<void> add_variable(const Operator& op, Piece& piece);
  Result<void> add_span(const Operator& op, Piece& piece);
  void add_fixed(std::string_view value, Piece& piece);
  bool find_address(std::string_view name, Piece& piece) const;
  Result<bool> find_tls(const Operator& op, Piece& piece);
  Result<bool> find_header(const Operator& op, Piece& piece);
  Result<bool> find_grpc(const Operator& op, Piece& piece);
  Result<void> add_time(const Operator& op, Piece& piece);
  Op header_field(Op of, std::string_view name, std::string& lower);

  std::vector<Piece> pieces;
  std::string text;  // all literals
  std::vector<std::string> times;
  std::vector<Header> headers;  // of QUERY_PARAM: the parameter's name
  std::vector<Span> spans;
  std::vector<std::string> never_known;  // operators as they stand in the format, each once
  LogNeeds needs;
  bool omit_empty = false;
};

// What TLS operators name, for either side, behind "UPSTREAM_" or "DOWNSTREAM_".
struct TlsText {
  std::string_view name;
  std::string TlsFacts::*text;
};
inline constexpr TlsText tls_texts[] = {
    {"TLS_VERSION", &TlsFacts::version},
    {"TLS_CIPHER", &TlsFacts::cipher},
    {"TLS_SESSION_ID", &TlsFacts::session_id},
    {"PEER_URI_SAN", &TlsFacts::peer_uri_san},
    {"PEER_DNS_SAN", &TlsFacts::peer_dns_san},
    {"PEER_SUBJECT", &TlsFacts::peer_subject},
    {"PEER_ISSUER", &TlsFacts::peer_issuer},
    {"PEER_SERIAL", &TlsFacts::peer_serial},
    {"PEER_FINGERPRINT_256", &TlsFacts::peer_fingerprint_256},
    {"PEER_FINGERPRINT_1", &TlsFacts::peer_fingerprint_1},
    {"PEER_CERT", &TlsFacts::peer_certificate},
    {"LOCAL_URI_SAN", &TlsFacts::local_uri_san},
    {"LOCAL_DNS_SAN", &TlsFacts::local_dns_san},
    {"LOCAL_SUBJECT", &TlsFacts::local_subject},
};

// Copies `text` to `to`, which has room for it. Returns the end.
inline char* put(char* to, std::string_view text) {
  std::memcpy(to, text.data(), text.size());
  return to + text.size();
}
// Whether a lone operator is a number in JSON.
bool is_number(const LogPlan::Piece& piece);
// What a path says of QUERY_PARAM's `name`; nothing: it has no such parameter.
std::optional<std::string_view> query_value(std::string_view path, std::string_view name);
// Writes an operator's value. Returns the end; null: it has none. `to` has room for what
// LogFormat::bound counts.
char* write_value(char* to, const LogPlan& plan, const LogPlan::Piece& piece,
                  const AccessRecord& record, LogScratch& scratch);

// grpc-status, or what gRPC makes of the status; -1: it is no number. Nothing: there is no answer.
std::optional<int> grpc_status_of(const AccessRecord& record);

Error bad_log_format(std::string_view op, std::string_view why);

// `text` as the inside of a JSON string, at most six times as long. What is not UTF-8 becomes
// U+FFFD, so that a line always parses.
char* write_json_text(char* to, std::string_view text);
// Takes the members whose value is null out of the line of JSON from `begin` to `end`, which has no
// blanks between its signs. Returns the new end.
char* remove_null_members(char* begin, const char* end);
std::string json_text(std::string_view text);

}  // namespace sallyport::observe
