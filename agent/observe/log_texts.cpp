// Operators with an argument of their own, and those that Envoy knows and nobody can answer here.
#include <algorithm>
#include <array>
#include <cstdlib>

#include "agent/observe/log_plan.h"

namespace sallyport::observe {
namespace {

using Op = LogPlan::Op;
using Moment = LogPlan::Moment;

// Envoy's whose value never exists here (there is no tracing, no metadata of filters, no HTTP/3) or
// is not kept (bytes on the wire, the upstream connection's number).
constexpr std::string_view never_known_names[] = {
    "BYTES_RETRANSMITTED",
    "CEL",
    "CLUSTER_METADATA",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_LOCAL_PORT",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DYNAMIC_METADATA",
    "EMIT_TIME_LOCAL",
    "FILTER_STATE",
    "LOCAL_REPLY_BODY",
    "METADATA",
    "PACKETS_RETRANSMITTED",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "ROUNDTRIP_DURATION",
    "SPAN_ID",
    "START_TIME_LOCAL",
    "STREAM_INFO_REQ",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "TRACE_ID",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_FILTER_STATE",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_HOST_NAME_WITHOUT_PORT",
    "UPSTREAM_LOCAL_CLOSE_REASON",
    "UPSTREAM_METADATA",
    "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "VIRTUAL_CLUSTER_NAME",
    "VIRTUAL_HOST_NAME",
};

struct NamedMoment {
  std::string_view name;
  Moment moment;
};
// Of Envoy's; a record has no others.
constexpr NamedMoment moments[] = {{"DS_RX_BEG", Moment::started},
                                   {"DS_RX_END", Moment::request_read},
                                   {"US_RX_BEG", Moment::answer_began},
                                   {"DS_TX_END", Moment::finished}};

const Moment* find_moment(std::string_view name) {
  for (const auto& one : moments)
    if (one.name == name) return &one.moment;
  return nullptr;
}

// "a:b" is {"a", "b"}; what is not there is empty.
std::array<std::string_view, 2> halves(std::string_view text) {
  const auto colon = std::min(text.find(':'), text.size());
  return {text.substr(0, colon), text.substr(std::min(colon + 1, text.size()))};
}

}  // namespace

void LogPlan::add_fixed(std::string_view value, Piece& piece) {
  piece.op = Op::hostname;
  piece.at = static_cast<uint32_t>(text.size());
  piece.size = static_cast<uint32_t>(value.size());
  text += value;
}

bool LogPlan::find_never_known(const Operator& op, Piece& piece) {
  const auto* const end = std::end(never_known_names);
  if (std::find(std::begin(never_known_names), end, op.name) == end) return false;
  piece.op = Op::nothing;
  if (std::find(never_known.begin(), never_known.end(), op.whole) == never_known.end())
    never_known.emplace_back(op.whole);
  return true;
}

Result<bool> LogPlan::find_text(const Operator& op, Piece& piece) {
  Result<void> added;
  if (op.name == "PATH") {
    added = add_path(op, piece);
  } else if (op.name == "QUERY_PARAM") {
    added = add_query_parameter(op, piece);
  } else if (op.name == "ENVIRONMENT") {
    added = add_variable(op, piece);
  } else {
    return false;
  }
  if (!added) return added.error();
  return true;
}

// PATH(WQ or NQ:ORIG, PATH or ORIG_OR_PATH)
Result<void> LogPlan::add_path(const Operator& op, Piece& piece) {
  const auto [query, source] = halves(op.argument);
  if (!query.empty() && query != "WQ" && query != "NQ")
    return bad_log_format(op.whole, "takes WQ or NQ");
  piece.without_query = query == "NQ";
  piece.size = op.length;
  if (source.empty() || source == "ORIG_OR_PATH") {
    piece.op = Op::requested_path;
  } else if (source == "ORIG" || source == "PATH") {
    piece.op = source == "ORIG" ? Op::original_path : Op::path;
  } else {
    return bad_log_format(op.whole, "takes ORIG, PATH or ORIG_OR_PATH after the colon");
  }
  return {};
}

Result<void> LogPlan::add_query_parameter(const Operator& op, Piece& piece) {
  if (op.argument.empty()) return bad_log_format(op.whole, "names no parameter");
  piece.op = Op::query_parameter;
  piece.size = op.length;
  piece.at = static_cast<uint32_t>(headers.size());
  headers.push_back({.first_name = std::string(op.argument)});
  return {};
}

Result<void> LogPlan::add_variable(const Operator& op, Piece& piece) {
  if (op.argument.empty()) return bad_log_format(op.whole, "names no variable");
  const char* const value = std::getenv(std::string(op.argument).c_str());
  piece.op = Op::nothing;
  if (!value) return {};
  std::string known(value);
  if (op.length) known.resize(std::min<std::size_t>(known.size(), op.length));
  for (char& c : known) c = static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '_' : c;
  add_fixed(known, piece);
  return {};
}

// COMMON_DURATION(from:to:ms, us or ns). As in Envoy a moment of any other name is one that never
// came.
Result<void> LogPlan::add_span(const Operator& op, Piece& piece) {
  const auto [from, rest] = halves(op.argument);
  const auto [to, unit] = halves(rest);
  const bool known_unit = unit == "ms" || unit == "us" || unit == "ns";
  if (from.empty() || to.empty() || !known_unit)
    return bad_log_format(op.whole, "takes FROM:TO and ms, us or ns");
  const auto *first = find_moment(from), *last = find_moment(to);
  piece.op = Op::nothing;
  if (!first || !last) {
    if (std::find(never_known.begin(), never_known.end(), op.whole) == never_known.end())
      never_known.emplace_back(op.whole);
    return {};
  }
  piece.op = Op::between;
  piece.at = static_cast<uint32_t>(spans.size());
  spans.push_back({*first, *last, unit == "ns" ? 1000 : 1, unit == "ms" ? 1000 : 1});
  return {};
}

}  // namespace sallyport::observe
