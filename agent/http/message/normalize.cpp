#include "agent/http/message/normalize.h"

#include <algorithm>

#include "agent/http/message/refusal.h"
#include "agent/http/message/scan.h"

namespace sallyport::http {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The byte that `%XX` at `p` stands for; -1 where there is no such escape.
int escaped_byte(const char* p, const char* end) {
  if (end - p < 3 || *p != '%') return -1;
  const int high = hex_value(p[1]), low = hex_value(p[2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// Nearly no path does: one pass over a few bytes.
bool needs_work(std::string_view path, const PathRules& rules) {
  char before = '\0';
  for (const char c : path) {
    if (c == '%' || c == '\\') return true;
    if (before == '/' && (c == '.' || (c == '/' && rules.merge_slashes))) return true;
    before = c;
  }
  return false;
}

// Each function below writes what it makes of [begin, end) from `begin` on, and answers its end.

char* decode_slashes(char* begin, const char* end) {
  char* out = begin;
  for (const char* p = begin; p != end;) {
    const int byte = escaped_byte(p, end);
    const bool slash = byte == '/' || byte == '\\';
    *out++ = slash ? static_cast<char>(byte) : *p;
    p += slash ? 3 : 1;
  }
  return out;
}

// What is decoded must not end an escape that was none: `%2%65` stays, it is not `%2e`.
bool ends_in_half_escape(const char* begin, const char* out) {
  if (out - begin >= 1 && out[-1] == '%') return true;
  return out - begin >= 2 && out[-2] == '%' && hex_value(out[-1]) >= 0;
}

// Unreserved characters (RFC 3986 section 2.3) are the same escaped and not. nullptr: a NUL.
char* decode_unreserved(char* begin, const char* end) {
  char* out = begin;
  for (const char* p = begin; p != end;) {
    const int byte = escaped_byte(p, end);
    if (byte == 0) return nullptr;
    const bool decodes = byte > 0 && byte < 0x80 && scan::is_host(static_cast<char>(byte)) &&
                         !ends_in_half_escape(begin, out);
    if (decodes) {
      *out++ = static_cast<char>(byte);
      p += 3;
      continue;
    }
    *out++ = *p == '\\' ? '/' : *p;
    p++;
  }
  return out;
}

// RFC 3986 section 5.2.4. REQUIRES: begins with '/'.
char* remove_dot_segments(char* begin, const char* end) {
  char* out = begin;
  for (const char* p = begin; p != end;) {
    const char* next = std::find(p + 1, end, '/');  // the segment is p[1..next)
    const std::string_view segment(p + 1, static_cast<std::size_t>(next - p - 1));
    const bool dot = segment == ".", dots = segment == "..";
    if (dots) {
      while (out != begin && *--out != '/') {
      }
    }
    if (!dot && !dots) {
      out = std::copy(p, next, out);
    } else if (next == end) {
      *out++ = '/';
    }
    p = next;
  }
  return out;
}

char* merge_slashes(char* begin, const char* end) {
  char* out = begin;
  for (const char* p = begin; p != end; p++)
    if (*p != '/' || out == begin || out[-1] != '/') *out++ = *p;
  return out;
}

}  // namespace

bool normalize_path(Head& head, char* bytes, const PathRules& rules) {
  const auto whole = head.origin_path();
  const auto path = whole.substr(0, whole.find('?'));
  if (!head.path_size || !path.starts_with('/') || !needs_work(path, rules)) return true;
  char* const begin = bytes + head.path_begin;
  char* end = begin + path.size();
  if (rules.decode_slashes) end = decode_slashes(begin, end);
  if (rules.resolve) {
    end = decode_unreserved(begin, end);
    if (!end) return refusal::refuse(head, refusal::bad_path);
    end = remove_dot_segments(begin, end);
  }
  if (rules.merge_slashes) end = merge_slashes(begin, end);
  const char* const query = begin + path.size();
  end = std::copy(query, query + (whole.size() - path.size()), end);
  head.path_size = static_cast<uint32_t>(end - begin);
  return true;
}

}  // namespace sallyport::http
