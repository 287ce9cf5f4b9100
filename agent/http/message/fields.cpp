#include "agent/http/message/fields.h"

#include <algorithm>

#include "agent/http/message/refusal.h"
#include "agent/http/message/scan.h"

namespace sallyport::http {
namespace {

using refusal::refuse;
using scan::is_name;

constexpr int nominated_max = 10;  // fields that Connection may name; Envoy's number

void remember(int16_t& index, const Head& head) {
  if (index < 0) index = static_cast<int16_t>(head.count - 1);
}

bool read_length(Head& head, std::string_view value) {
  // 19 digits fit in 64 bits. A second field is refused even when it says the same (as Envoy).
  if (head.has_length || value.empty() || value.size() > 19 ||
      !std::all_of(value.begin(), value.end(), scan::is_digit))
    return refuse(head, refusal::codec_error);
  head.length = 0;
  for (char c : value) head.length = head.length * 10 + static_cast<uint64_t>(c - '0');
  head.has_length = true;
  return true;
}

bool read_transfer_encoding(Head& head, std::string_view value) {
  if (head.chunked || !same_name(value, "chunked"))
    return refuse(head, refusal::invalid_transfer_encoding, 501);
  head.chunked = true;
  return true;
}

void read_connection(Head& head, Field& field) {
  field.hop = true;
  scan::each_item(head.value(field), [&](std::string_view item) {
    if (same_name(item, "close"))
      head.close = true;
    else if (same_name(item, "keep-alive"))
      head.keep_alive = true;
    else if (same_name(item, "upgrade"))
      head.connection_upgrade = true;
    else
      head.connection_names = true;
    return true;
  });
}

void read_te(Head& head, Field& field) {
  const auto value = head.value(field);
  scan::each_item(value, [&](std::string_view item) {
    if (same_name(item, "trailers")) head.te_trailers = true;
    return true;
  });
  field.hop = true;  // write_request() adds "te: trailers" again
}

// x-envoy-…: Envoy's own instructions, which end here (some are followed,
// mesh/request_overrides.h), and those that it sets itself. What is not listed is passed on, as
// Envoy does.
bool is_internal(std::string_view rest, Kind kind) {
  static constexpr std::string_view requests[] = {"attempt-count",
                                                  "decorator-operation",
                                                  "expected-rq-timeout-ms",
                                                  "force-trace",
                                                  "hedge-on-per-try-timeout",
                                                  "internal",
                                                  "ip-tags",
                                                  "upstream-stream-duration-ms",
                                                  "max-retries",
                                                  "original-url",
                                                  "peer-metadata",
                                                  "peer-metadata-id",
                                                  "retriable-header-names",
                                                  "retriable-status-codes",
                                                  "retry-grpc-on",
                                                  "retry-on",
                                                  "upstream-alt-stat-name",
                                                  "upstream-rq-per-try-timeout-ms",
                                                  "upstream-rq-timeout-alt-response",
                                                  "upstream-rq-timeout-ms"};
  static constexpr std::string_view responses[] = {"peer-metadata", "peer-metadata-id",
                                                   "upstream-service-time"};
  const auto is = [&](std::string_view name) { return same_name(rest, name); };
  return kind == Kind::request ? std::any_of(std::begin(requests), std::end(requests), is)
                               : std::any_of(std::begin(responses), std::end(responses), is);
}

// x-envoy-…: what Envoy takes from no client outside of the mesh, and passes on within (its
// cleanInternalHeaders for edge requests, x-envoy-external-address, sanitize_original_path).
bool is_edge_only(std::string_view rest) {
  static constexpr std::string_view names[] = {
      "downstream-service-cluster", "downstream-service-node", "external-address", "original-path"};
  return std::any_of(std::begin(names), std::end(names),
                     [&](std::string_view name) { return same_name(rest, name); });
}

void understand_envoys(Head& head, Field& field, Kind kind) {
  const auto rest = head.name(field).substr(8);  // behind x-envoy-
  if (is_internal(rest, kind)) {
    field.hop = true;
    head.asks_envoy = kind == Kind::request;
  } else if (kind == Kind::request) {
    field.edge = is_edge_only(rest);
  }
}

// One that a gateway writes anew.
void remember_edge(int16_t& index, const Head& head, Field& field) {
  field.edge = true;
  remember(index, head);
}

// Fields that mean something in requests only.
bool understand_request(Head& head, Field& field, const char* name) {
  switch (field.name_size) {
    case 2:
      if (is_name(name, "te")) read_te(head, field);
      break;
    case 4:
      if (!is_name(name, "host")) break;
      if (head.host >= 0) return refuse(head, refusal::repeated_host);
      remember(head.host, head);
      break;
    case 6:
      if (!is_name(name, "expect")) break;
      // An HTTP/1.0 client can't wait for an interim answer (RFC 9110 section 10.1.1).
      if (head.minor == 0)
        field.hop = true;
      else if (same_name(head.value(field), "100-continue"))
        head.expects_continue = true;
      break;
    case 10:
      if (is_name(name, "user-agent")) remember(head.user_agent, head);
      break;
    case 12:
      if (is_name(name, "x-request-id")) remember_edge(head.request_id, head, field);
      break;
    case 14:
      if (is_name(name, "http2-settings")) field.hop = true;
      break;
    case 15:
      if (is_name(name, "x-forwarded-for")) remember_edge(head.forwarded_for, head, field);
      break;
    case 17:
      if (is_name(name, "x-forwarded-proto")) remember_edge(head.forwarded_proto, head, field);
      break;
    case 23:
      if (!is_name(name, "x-forwarded-client-cert")) break;
      field.hop = true;  // written again where it may be believed (rewrite.h)
      remember(head.forwarded_cert, head);
      break;
  }
  return true;
}

void understand_response(Head& head, Field& field, const char* name) {
  if (field.name_size == 4 && is_name(name, "date")) remember(head.date, head);
  if (field.name_size == 6 && is_name(name, "server")) {
    remember(head.server, head);
    field.hop = true;
  }
}

// Nobody may have these taken out by naming them: the next hop would read another message, or be
// told another origin.
bool is_protected(std::string_view name) {
  static constexpr std::string_view names[] = {"host",
                                               "content-length",
                                               "transfer-encoding",
                                               "x-forwarded-for",
                                               "x-forwarded-host",
                                               "x-forwarded-proto"};
  return std::any_of(std::begin(names), std::end(names),
                     [&](std::string_view n) { return same_name(name, n); });
}

bool same_token(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return x == y || ((x | 0x20) == (y | 0x20) && (x | 0x20) >= 'a' && (x | 0x20) <= 'z');
         });
}

void drop_named(Head& head, std::string_view item) {
  for (std::size_t i = 0; i < head.count; i++)
    if (same_token(head.name(head.fields[i]), item)) head.fields[i].hop = true;
}

// Fields that Connection names belong to this hop as well. Rare, hence a second look.
bool drop_all_named(Head& head, Kind kind) {
  int nominated = 0;
  for (std::size_t i = 0; i < head.count; i++) {
    const Field& field = head.fields[i];
    if (field.name_size != 10 || !is_name(head.base + field.begin, "connection")) continue;
    const bool good = scan::each_item(head.value(field), [&](std::string_view item) {
      for (std::string_view known : {"close", "keep-alive", "upgrade", "te"})
        if (same_name(item, known)) return true;
      if (++nominated > nominated_max) return false;
      if (is_protected(item)) return kind == Kind::response;
      drop_named(head, item);
      return true;
    });
    if (!good) return refuse(head, refusal::connection_header);
  }
  return true;
}

}  // namespace

bool understand(Head& head, Field& field, Kind kind) {
  const char* const name = head.base + field.begin;
  switch (field.name_size) {
    case 7:
      if (is_name(name, "upgrade")) {
        field.hop = true;  // written again when it is forwarded on purpose
        remember(head.upgrade, head);
      }
      return true;
    case 10:
      if (is_name(name, "connection")) {
        read_connection(head, field);
        return true;
      }
      field.hop = is_name(name, "keep-alive");
      break;
    case 14:
      if (is_name(name, "content-length")) return read_length(head, head.value(field));
      break;
    case 16:
      field.hop = is_name(name, "proxy-connection");
      break;
    case 17:
      if (is_name(name, "transfer-encoding"))
        return read_transfer_encoding(head, head.value(field));
      break;
  }
  if (field.name_size > 8 && is_name(name, "x-envoy-")) understand_envoys(head, field, kind);
  if (kind == Kind::request) return understand_request(head, field, name);
  understand_response(head, field, name);
  return true;
}

bool conclude(Head& head, Kind kind) {
  if (head.chunked && head.has_length) return refuse(head, refusal::both_lengths);
  if (head.chunked && head.minor == 0) return refuse(head, refusal::transfer_encoding_not_allowed);
  // h2c is never spoken: the request is served as if it had not asked (as Envoy).
  head.wants_upgrade = head.connection_upgrade && head.upgrade >= 0 && head.minor == 1 &&
                       !same_name(head.value_at(head.upgrade), "h2c");
  if (head.connection_names && !drop_all_named(head, kind)) return false;
  return kind == Kind::response || check_host(head);
}

}  // namespace sallyport::http
