#include "agent/http/message/head.h"

#include <algorithm>

#include "agent/http/message/fields.h"
#include "agent/http/message/refusal.h"
#include "agent/http/message/scan.h"

namespace sallyport::http {
namespace {

using refusal::refuse;

constexpr int empty_lines_max = 2;  // before a request; RFC 9112 asks for "at least one"

uint32_t offset(const Head& head, const char* p) { return static_cast<uint32_t>(p - head.base); }

Parse bad(Head& head, const char* reason, uint16_t status = 400) {
  refuse(head, reason, status);
  return Parse::bad;
}

// REQUIRES: *p is a control character (find_control stopped there).
Parse line_end(Head& head, const char* p, const char* end) {
  if (*p != '\r') return bad(head, *p == '\n' ? refusal::codec_error : refusal::invalid_characters);
  if (p + 1 == end) return Parse::more;
  return p[1] == '\n' ? Parse::done : bad(head, refusal::codec_error);
}

Parse parse_fields(Head& head, const char* p, const char* end, Kind kind, std::size_t most) {
  for (;;) {
    if (p == end) return Parse::more;
    if (*p == '\r') {
      const Parse last = line_end(head, p, end);
      if (last != Parse::done) return last;
      head.size = offset(head, p + 2);
      return conclude(head, kind) ? Parse::done : Parse::bad;
    }
    const char* const name = p;
    p = scan::token_end(p, end);
    if (p == end) return Parse::more;
    // An empty name is a folded line, or a bare LF; anything but a colon a blank before it.
    if (p == name || *p != ':')
      return bad(head, *p == 0 ? refusal::invalid_characters : refusal::codec_error);
    if (head.count == most) return bad(head, refusal::too_many_headers, 431);
    const auto name_size = static_cast<uint32_t>(p - name);
    ++p;
    while (p != end && scan::is_blank(*p)) ++p;
    const char* const value = p;
    p = scan::find_control(p, end);
    if (p == end) return Parse::more;
    const Parse line = line_end(head, p, end);
    if (line != Parse::done) return line;
    const char* value_end = p;
    while (value_end != value && scan::is_blank(value_end[-1])) --value_end;
    p += 2;
    Field& field = head.fields[head.count++];
    field = {offset(head, name),  name_size,
             offset(head, value), static_cast<uint32_t>(value_end - value),
             offset(head, p),     false};
    if (!understand(head, field, kind)) return Parse::bad;
  }
}

// "HTTP/1.0" or "HTTP/1.1" at p; another version of HTTP is 505. REQUIRES: 8 bytes are there.
Parse read_version(Head& head, const char* p) {
  if (std::memcmp(p, "HTTP/1.", 7) == 0 && (p[7] == '0' || p[7] == '1')) {
    head.minor = static_cast<uint8_t>(p[7] - '0');
    return Parse::done;
  }
  if (std::memcmp(p, "HTTP/", 5) == 0 && scan::is_digit(p[5]) && p[6] == '.' &&
      scan::is_digit(p[7]))
    return bad(head, refusal::version, 505);
  return bad(head, refusal::codec_error);
}

// Method, target and version; `p` is moved behind the line.
Parse read_request_line(Head& head, const char*& p, const char* end) {
  const char* const method = p;
  p = scan::token_end(p, end);
  if (p == end) return Parse::more;
  if (*p != ' ' || p == method) return bad(head, refusal::codec_error);
  head.method_size = static_cast<uint32_t>(p - method);
  const char* const target = ++p;
  p = scan::target_end(p, end);
  if (p == end) return Parse::more;
  head.target = offset(head, target);
  head.target_size = static_cast<uint32_t>(p - target);
  if (*p == '#') return bad(head, refusal::bad_path);
  if (*p == '\r' && p != target) return bad(head, refusal::version, 505);  // HTTP/0.9
  if (*p != ' ' || p == target)
    return bad(head, scan::is_control(*p) && *p != '\r' && *p != '\n' ? refusal::invalid_characters
                                                                      : refusal::codec_error);
  ++p;
  if (end - p < 9) return Parse::more;
  const Parse version = read_version(head, p);
  if (version != Parse::done) return version;
  p += 8;
  if (*p != '\r') return bad(head, refusal::codec_error);
  const Parse line = line_end(head, p, end);
  p += 2;
  return line;
}

Parse read_status_line(Head& head, const char*& p, const char* end) {
  // "HTTP/1.1 200": the blank behind it is left out by some when there is no reason phrase.
  if (end - p < 13) return Parse::more;
  const Parse version = read_version(head, p);
  if (version != Parse::done) return version;
  p += 8;
  if (*p != ' ' || p[1] < '1' || !scan::is_digit(p[1]) || !scan::is_digit(p[2]) ||
      !scan::is_digit(p[3]) || (p[4] != ' ' && p[4] != '\r'))
    return bad(head, refusal::codec_error);
  head.status = static_cast<uint16_t>((p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0'));
  p = scan::find_control(p + 4, end);
  if (p == end) return Parse::more;
  const Parse line = line_end(head, p, end);
  p += 2;
  return line;
}

Parse parse_request_within(Head& head, const char* end, std::size_t most) {
  const char* p = head.base;
  for (int lines = 0; p != end && *p == '\r'; lines++) {
    if (lines == empty_lines_max) return bad(head, refusal::codec_error);
    const Parse line = line_end(head, p, end);
    if (line != Parse::done) return line;
    p += 2;
  }
  head.begin = offset(head, p);
  const Parse line = read_request_line(head, p, end);
  if (line != Parse::done) return line;
  head.start_line = offset(head, p);
  if (!read_target(head)) return Parse::bad;
  return parse_fields(head, p, end, Kind::request, most);
}

Parse parse_response_within(Head& head, const char* end, std::size_t most) {
  const char* p = head.base;
  const Parse line = read_status_line(head, p, end);
  if (line != Parse::done) return line;
  head.start_line = offset(head, p);
  return parse_fields(head, p, end, Kind::response, most);
}

struct Most {
  std::size_t bytes, fields;
};
constexpr Most of_peers{limits::http_head_bytes, limits::http_headers};
constexpr Most of_ours{limits::http_composed_head_bytes, limits::http_composed_headers};

template <auto Within, Most most>
Parse parse(std::string_view bytes, Head& head) {
  static_cast<HeadFacts&>(head) = HeadFacts();
  head.base = bytes.data();
  const char* const end = head.base + std::min(bytes.size(), most.bytes);
  const Parse result = Within(head, end, most.fields);
  if (result == Parse::more && bytes.size() >= most.bytes)
    return bad(head, refusal::headers_too_large, 431);
  return result;
}

}  // namespace

Parse parse_request(std::string_view bytes, Head& head) {
  return parse<parse_request_within, of_peers>(bytes, head);
}

Parse parse_composed_request(std::string_view bytes, Head& head) {
  return parse<parse_request_within, of_ours>(bytes, head);
}

Parse parse_response(std::string_view bytes, Head& head) {
  return parse<parse_response_within, of_peers>(bytes, head);
}

Parse parse_composed_response(std::string_view bytes, Head& head) {
  return parse<parse_response_within, of_ours>(bytes, head);
}

bool same_name(std::string_view a, std::string_view lower) {
  return a.size() == lower.size() &&
         std::equal(a.begin(), a.end(), lower.begin(), [](char x, char y) {
           return (x >= 'A' && x <= 'Z' ? static_cast<char>(x | 0x20) : x) == y;
         });
}

std::string_view Head::find(std::string_view lower_name) const {
  for (std::size_t i = 0; i < count; i++)
    if (same_name(name(fields[i]), lower_name)) return value(fields[i]);
  return {};
}

IpAddress Head::last_forwarded_for(uint32_t skip) const {
  for (int i = forwarded_for < 0 ? -1 : count - 1; i >= 0; i--) {
    if (!same_name(name(fields[static_cast<std::size_t>(i)]), "x-forwarded-for")) continue;
    auto list = value_at(i);
    // Joined with commas, as Envoy does it: an empty field adds nothing, an empty item is one.
    for (bool more = !list.empty(); more; skip--) {
      const auto comma = list.rfind(',');
      if (skip == 0)
        return IpAddress::parse(scan::trim(list.substr(comma + 1))).value_or(IpAddress());
      more = comma != list.npos;
      list = list.substr(0, comma);
    }
  }
  return {};
}

bool Head::has(std::string_view lower_name) const {
  return std::any_of(fields.begin(), fields.begin() + count,
                     [&](const Field& field) { return same_name(name(field), lower_name); });
}

}  // namespace sallyport::http
