// Operators by name: which exist, what they may be given, what they need from the record.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>

#include "agent/core/ascii.h"
#include "agent/observe/log_plan.h"

namespace sallyport::observe {
namespace {

using Op = LogPlan::Op;
using Part = LogPlan::Part;

struct Named {
  std::string_view name;
  Op op;
};

constexpr Named plain_operators[] = {
    {"PROTOCOL", Op::protocol},
    {"RESPONSE_CODE", Op::code},
    {"RESPONSE_FLAGS", Op::flags},
    {"RESPONSE_FLAGS_LONG", Op::long_flags},
    {"RESPONSE_CODE_DETAILS", Op::details},
    {"CONNECTION_TERMINATION_DETAILS", Op::termination},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON", Op::failure},
    {"DOWNSTREAM_TRANSPORT_FAILURE_REASON", Op::downstream_failure},
    {"BYTES_RECEIVED", Op::received},
    {"BYTES_SENT", Op::sent},
    {"DURATION", Op::duration},
    {"REQUEST_DURATION", Op::request_duration},
    {"RESPONSE_DURATION", Op::response_duration},
    {"RESPONSE_TX_DURATION", Op::response_sending},
    {"UPSTREAM_CLUSTER", Op::cluster},
    {"UPSTREAM_CLUSTER_RAW", Op::cluster},
    {"UPSTREAM_PROTOCOL", Op::upstream_protocol},
    {"UPSTREAM_REQUEST_ATTEMPT_COUNT", Op::attempts},
    {"REQUESTED_SERVER_NAME", Op::sni},
    {"ROUTE_NAME", Op::route},
    {"FILTER_CHAIN_NAME", Op::filter_chain},
    {"CONNECTION_ID", Op::connection_id},
    {"STREAM_ID", Op::request_id},  // Envoy derives it from the request's id, too
    {"UNIQUE_ID", Op::unique_id},
    {"ACCESS_LOG_TYPE", Op::log_type},
};

// Behind each: nothing or _ADDRESS, then _WITHOUT_PORT or _PORT. Envoy writes the last without
// _ADDRESS.
constexpr Named addresses[] = {
    {"UPSTREAM_REMOTE", Op::upstream_host},
    {"UPSTREAM_LOCAL", Op::upstream_local},
    {"DOWNSTREAM_LOCAL", Op::downstream_local},
    {"DOWNSTREAM_REMOTE", Op::downstream_remote},
    {"DOWNSTREAM_DIRECT_REMOTE", Op::downstream_direct_remote},
};

// Fields of an AccessRecord, kept for each request anyway. "host" is Envoy's alias of :authority.
constexpr Named request_fields[] = {
    {":method", Op::method},
    {":path", Op::path},
    {":scheme", Op::scheme},
    {":authority", Op::authority},
    {"host", Op::authority},
    {"x-envoy-original-path", Op::original_path},
    {"x-forwarded-for", Op::forwarded_for},
    {"user-agent", Op::user_agent},
    {"x-request-id", Op::request_id},
};
constexpr Named response_fields[] = {
    {":status", Op::status},
    {"x-envoy-upstream-service-time", Op::service_time},
};

template <class Table>
const Named* find(const Table& table, std::string_view name) {
  for (const Named& named : table)
    if (named.name == name) return &named;
  return nullptr;
}

bool take_suffix(std::string_view& name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return false;
  name.remove_suffix(suffix.size());
  return true;
}

void want(std::vector<std::string>& names, std::string_view name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.emplace_back(name);
}

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, sizeof name - 1) == 0 && name[0] ? name : "-";
}

}  // namespace

bool LogPlan::find_address(std::string_view name, Piece& piece) const {
  if (take_suffix(name, "_WITHOUT_PORT")) {
    piece.part = Part::ip;
  } else if (take_suffix(name, "_PORT")) {
    piece.part = Part::port;
  }
  piece.op = Op::upstream_host;
  if (name == "UPSTREAM_HOST") return true;
  if (!take_suffix(name, "_ADDRESS") && piece.part != Part::port) return false;
  const Named* const found = find(addresses, name);
  if (found) piece.op = found->op;
  return found;
}

bool LogPlan::find_plain(const Operator& op, Piece& piece) {
  if (op.name == "HOSTNAME") {
    add_fixed(host_name(), piece);
    return true;
  }
  if (const Named* const found = find(plain_operators, op.name)) {
    piece.op = found->op;
    return true;
  }
  return find_address(op.name, piece);
}

Result<void> LogPlan::add_time(const Operator& op, Piece& piece) {
  if (!LogTime::acceptable(op.argument)) return bad_log_format(op.whole, "is too long");
  piece.at = static_cast<uint32_t>(times.size());
  times.emplace_back(op.argument);
  return {};
}

Result<bool> LogPlan::find_tls(const Operator& op, Piece& piece) {
  auto name = op.name;
  piece.upstream = name.starts_with("UPSTREAM_");
  if (!piece.upstream && !name.starts_with("DOWNSTREAM_")) return false;
  name.remove_prefix(name.find('_') + 1);
  bool& needed = piece.upstream ? needs.upstream_tls : needs.downstream_tls;
  if (name == "PEER_CERT_V_START" || name == "PEER_CERT_V_END") {
    piece.op = name == "PEER_CERT_V_START" ? Op::valid_from : Op::valid_to;
    needed = true;
    if (auto added = add_time(op, piece); !added) return added.error();
    return true;
  }
  for (std::size_t i = 0; i < std::size(tls_texts); i++) {
    if (tls_texts[i].name != name) continue;
    if (!op.argument.empty()) return bad_log_format(op.whole, "takes no argument");
    piece.op = Op::tls_text;
    piece.at = static_cast<uint32_t>(i);
    return needed = true;
  }
  return false;
}

// A field of the record, or `of` when the header has to be kept by its name.
LogPlan::Op LogPlan::header_field(Op of, std::string_view name, std::string& lower) {
  lower = ascii::lower_case(name);
  const Named* known = nullptr;
  if (of == Op::request_header) known = find(request_fields, lower);
  if (of == Op::response_header) known = find(response_fields, lower);
  if (known) return known->op;
  auto& names = of == Op::request_header    ? needs.request_headers
                : of == Op::response_header ? needs.response_headers
                                            : needs.trailers;
  want(names, lower);
  return of;
}

Result<bool> LogPlan::find_header(const Operator& op, Piece& piece) {
  static constexpr Named kinds[] = {{"REQ", Op::request_header},
                                    {"REQ_WITHOUT_QUERY", Op::request_header},
                                    {"RESP", Op::response_header},
                                    {"TRAILER", Op::trailer}};
  const Named* const kind = find(kinds, op.name);
  if (!kind) return false;
  const auto question = op.argument.find('?');
  const auto first = op.argument.substr(0, question);
  const auto second = question == op.argument.npos ? "" : op.argument.substr(question + 1);
  if (first.empty()) return bad_log_format(op.whole, "names no header");
  if (second.find('?') != second.npos)
    return bad_log_format(op.whole, "names more than one alternative header");
  piece.size = op.length;
  piece.without_query = op.name == "REQ_WITHOUT_QUERY";
  Header header;
  header.first = header_field(kind->op, first, header.first_name);
  if (!second.empty()) header.second = header_field(kind->op, second, header.second_name);
  piece.op = header.first;
  if (header.first == Op::original_path && header.second == Op::path) {
    piece.op = Op::requested_path;
  } else if (header.first == kind->op || header.second != Op::literal) {
    piece.op = kind->op;
    piece.at = static_cast<uint32_t>(headers.size());
    headers.push_back(std::move(header));
  }
  return true;
}

Result<bool> LogPlan::find_grpc(const Operator& op, Piece& piece) {
  GrpcName name = GrpcName::camel;
  if (op.name == "GRPC_STATUS_NUMBER" || op.argument == "NUMBER")
    name = GrpcName::number;
  else if (op.argument == "SNAKE_STRING")
    name = GrpcName::snake;
  else if (!op.argument.empty() && op.argument != "CAMEL_STRING")
    return bad_log_format(op.whole, "takes CAMEL_STRING, SNAKE_STRING or NUMBER");
  if (op.name != "GRPC_STATUS" && (op.name != "GRPC_STATUS_NUMBER" || !op.argument.empty()))
    return false;
  piece.op = Op::grpc_status;
  piece.at = static_cast<uint32_t>(name);
  want(needs.request_headers, "content-type");
  want(needs.response_headers, "grpc-status");
  want(needs.trailers, "grpc-status");
  return true;
}

Result<LogPlan::Piece> LogPlan::piece_of(const Operator& op) {
  Piece piece;
  const auto header = find_header(op, piece);
  if (!header) return header.error();
  if (*header) return piece;
  const auto texts = find_text(op, piece);
  if (!texts) return texts.error();
  if (*texts || find_never_known(op, piece)) return piece;
  if (op.length) return bad_log_format(op.whole, "takes no length");
  if (op.name == "START_TIME" || op.name == "EMIT_TIME") {
    piece.op = op.name == "START_TIME" ? Op::start_time : Op::emit_time;
    if (auto added = add_time(op, piece); !added) return added.error();
    return piece;
  }
  if (op.name.starts_with("GRPC_STATUS")) {
    const auto grpc = find_grpc(op, piece);
    if (!grpc) return grpc.error();
    if (*grpc) return piece;
  }
  if (op.name == "COMMON_DURATION") {
    if (auto added = add_span(op, piece); !added) return added.error();
    return piece;
  }
  const auto tls = find_tls(op, piece);
  if (!tls) return tls.error();
  if (*tls) return piece;
  if (!find_plain(op, piece)) return bad_log_format(op.whole, "is not a known operator");
  if (!op.argument.empty()) return bad_log_format(op.whole, "takes no argument");
  return piece;
}

}  // namespace sallyport::observe
