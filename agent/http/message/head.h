// HTTP/1.x heads parsed where they lie: offsets into the caller's bytes, nothing is copied. Pure.
// What two readers could take differently is refused (RFC 9112): both Content-Length and
// Transfer-Encoding, repeated lengths, folded lines, a blank before a colon, bare CR or LF, NUL,
// ...
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "agent/core/address.h"
#include "agent/core/limits.h"

namespace sallyport::http {

enum class Parse : uint8_t { more, done, bad };

// Offsets from Head::base; the line runs from `begin` to `end` with its CRLF.
struct Field {
  uint32_t begin = 0, name_size = 0;
  uint32_t value = 0, value_size = 0, end = 0;
  bool hop = false;  // belongs to this hop only, or is ours to set: not forwarded as it is
  // The mesh's own word, which a gateway takes from nobody outside: dropped there, or written anew
  // (agent/http/edge.h). What is both has only `hop`.
  bool edge = false;
};

struct HeadFacts {
  const char* base = nullptr;  // the caller's bytes; a body begins at base + size
  uint32_t size = 0;           // of the whole head with its empty line
  uint32_t begin = 0;          // of the first line; more than 0 after tolerated empty lines
  uint32_t start_line = 0;     // end of the first line with its CRLF
  uint32_t method_size = 0, target = 0, target_size = 0;
  uint32_t authority_begin = 0, authority_size = 0;  // absolute-form: what lies between // and /
  uint32_t path_begin = 0, path_size = 0;            // origin-form's target; 0: "/" is meant
  uint16_t status = 0;                               // responses
  uint8_t minor = 1;                                 // HTTP/1.minor
  uint16_t count = 0;
  bool chunked = false, has_length = false;
  bool close = false, keep_alive = false;  // Connection: close, keep-alive
  bool expects_continue = false;           // Expect: 100-continue, in HTTP/1.1
  bool wants_upgrade = false;  // Connection: upgrade and an Upgrade field (HTTP/1.1, not to h2c)
  bool te_trailers = false;    // TE: trailers
  bool connection_upgrade = false;  // Connection: upgrade, whatever the Upgrade field says
  bool connection_names = false;    // Connection names further fields
  bool asks_envoy = false;          // x-envoy-...: how its sender wants it delivered
  uint64_t length = 0;
  // Index of that field; -1: absent.
  int16_t host = -1, request_id = -1, user_agent = -1, forwarded_for = -1, forwarded_proto = -1,
          upgrade = -1, date = -1, server = -1, forwarded_cert = -1;
  uint16_t refuse_status = 400;    // with Parse::bad: 400, 404 (CONNECT, as Envoy), 431, 501 or 505
  const char* refuse_reason = "";  // with Parse::bad: Envoy's detail where there is one, else ours
};

struct Head : HeadFacts {
  std::array<Field, limits::http_composed_headers> fields;  // only the first `count` are written
  Head() {}                                                 // leaves `fields` alone on purpose
  std::string_view method() const { return {base + begin, method_size}; }
  // The request-target as it came.
  std::string_view path() const { return {base + target, target_size}; }
  std::string_view name(const Field& f) const { return {base + f.begin, f.name_size}; }
  std::string_view value(const Field& f) const { return {base + f.value, f.value_size}; }
  std::string_view value_at(int index) const {
    return index < 0 ? std::string_view() : value(fields[static_cast<std::size_t>(index)]);
  }
  // First value; empty when absent.
  std::string_view find(std::string_view lower_name) const;
  // What X-Forwarded-For names last but `skip`, over all fields of that name; unset when that is no
  // IP address or there is none. Linear in the fields' bytes, whatever `skip` is. With 0 it is whom
  // Envoy takes for the client where it trusts no proxy (use_remote_address: false).
  IpAddress last_forwarded_for(uint32_t skip = 0) const;
  bool has(std::string_view lower_name) const;
  // Absolute-form's authority, else Host. Valid as host[:port]; empty only in HTTP/1.0.
  std::string_view authority() const {
    return authority_size ? std::string_view(base + authority_begin, authority_size)
                          : value_at(host);
  }
  // Path and query; "/" for absolute-form without a path; "*" for OPTIONS *.
  std::string_view origin_path() const {
    return path_size ? std::string_view(base + path_begin, path_size) : std::string_view("/");
  }
  bool persistent() const { return !close && (minor == 1 || keep_alive); }
};

// A head nearly always comes whole; one in pieces is parsed again from its start. `bytes` may go on
// behind the head. More than limits::http_head_bytes or http_headers: bad with 431.
// A request may be preceded by up to two empty lines (RFC 9112 section 2.2).
Parse parse_request(std::string_view bytes, Head& head);
// REQUIRES of the caller: a bad response is answered 502; `refuse_status` means nothing here.
Parse parse_response(std::string_view bytes, Head& head);

// The same of a head that this proxy composed: http_composed_head_bytes and http_composed_headers.
Parse parse_composed_request(std::string_view bytes, Head& head);
Parse parse_composed_response(std::string_view bytes, Head& head);

// ASCII case-insensitive; `lower` is lower case.
bool same_name(std::string_view a, std::string_view lower);

}  // namespace sallyport::http
