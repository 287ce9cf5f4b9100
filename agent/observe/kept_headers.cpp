#include "agent/observe/kept_headers.h"

#include <algorithm>

namespace sallyport::observe {
namespace {

bool same_name(std::string_view name, std::string_view lower) {
  return std::equal(name.begin(), name.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a | 0x20) : a) == b;
  });
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Takes the line off the front of `text`, without its CRLF.
std::string_view take_line(std::string_view& text) {
  const auto end = std::min(text.find("\r\n"), text.size());
  const auto line = text.substr(0, end);
  text.remove_prefix(std::min(end + 2, text.size()));
  return line;
}

}  // namespace

void KeptHeaders::keep(std::string_view name, std::string_view value) {
  if (find(name)) return;
  lines_.append(name).append(1, ':').append(value).append(1, '\n');
}

void KeptHeaders::keep_of(std::string_view head, const std::vector<std::string>& wanted) {
  take_line(head);
  while (!head.empty()) {
    const auto line = take_line(head);
    if (line.empty()) return;
    const auto colon = line.find(':');
    if (colon == line.npos) continue;
    for (const std::string& name : wanted)
      if (same_name(line.substr(0, colon), name)) keep(name, trim(line.substr(colon + 1)));
  }
}

std::optional<std::string_view> KeptHeaders::find(std::string_view name) const {
  for (std::string_view rest = lines_; !rest.empty();) {
    const auto line = rest.substr(0, rest.find('\n'));
    if (line.size() > name.size() && line[name.size()] == ':' && line.starts_with(name))
      return line.substr(name.size() + 1);
    rest.remove_prefix(line.size() + 1);
  }
  return std::nullopt;
}

void join_head(std::span<const iovec> pieces, std::string& into) {
  into.clear();
  for (const iovec& piece : pieces) {
    if (into.ends_with("\r\n\r\n")) return;
    into.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
}

}  // namespace sallyport::observe
