#include "agent/istio/flow_scalars.h"

namespace sallyport::istio {
namespace {

constexpr std::string_view blanks = " \t\r\n";
constexpr std::string_view flow_marks = ",[]{}";

bool is_blank(char c) { return blanks.find(c) != blanks.npos; }

class Quoting {
public:
  explicit Quoting(std::string_view text) : text_(text) {}
  std::string run();

private:
  bool starts_node() const;
  void skip_quoted(char quote);
  void skip_comment() { take(std::min(text_.find('\n', at_), text_.size()) - at_); }
  void skip_block_scalar();
  void plain_in_flow();
  void step();
  void take(std::size_t count) {
    out_ += text_.substr(at_, count);
    at_ += count;
  }

  std::string_view text_;
  std::string out_;
  std::size_t at_ = 0, line_start_ = 0;
  int depth_ = 0;     // of flow collections
  char last_ = '\n';  // what stands before, blanks aside; in a line of block style
};

// Here begins a node of block style: behind nothing, or behind an indicator and a blank.
bool Quoting::starts_node() const {
  if (last_ == '\n') return true;
  return (last_ == '-' || last_ == ':' || last_ == '?') && is_blank(text_[at_ - 1]);
}

void Quoting::skip_quoted(char quote) {
  std::size_t end = at_ + 1;
  while (end < text_.size() && text_[end] != quote) {
    end += text_[end] == '\\' && quote == '"' ? 2 : 1;  // '' ends one and begins the next
  }
  take(std::min(end + 1, text_.size()) - at_);
}

// `key: |`: the lines below that are indented more than this one, whatever is in them.
void Quoting::skip_block_scalar() {
  const auto indent = [&](std::size_t from) {
    return std::min(text_.find_first_not_of(' ', from), text_.size()) - from;
  };
  const auto own = indent(line_start_);
  skip_comment();
  while (at_ < text_.size()) {
    const auto next = at_ + 1;
    const bool empty = next + indent(next) >= text_.size() || is_blank(text_[next + indent(next)]);
    if (!empty && indent(next) <= own) return;
    take(1);
    skip_comment();
  }
}

void Quoting::plain_in_flow() {
  const bool fresh = flow_marks.find(last_) != flow_marks.npos || last_ == ':' || last_ == '?';
  std::size_t end = at_;
  for (; end < text_.size(); end++) {
    const char c = text_[end];
    const bool before_blank = end + 1 == text_.size() || is_blank(text_[end + 1]);
    if (c == '\n' || flow_marks.find(c) != flow_marks.npos || (c == ':' && before_blank)) break;
    if (c == '#' && is_blank(text_[end - 1])) break;
  }
  const auto scalar = text_.substr(at_, end - at_);
  const bool cut = end < text_.size() && text_[end] != '[' && text_[end] != '{' &&
                   flow_marks.find(text_[end]) != flow_marks.npos;
  const bool odd = scalar.empty() ||
                   std::string_view("&*!|>%@`-?:").find(scalar.front()) != std::string_view::npos;
  if (fresh && cut && !odd && scalar.ends_with(':')) {
    out_ += '\'';
    for (const char c : scalar) out_ += c == '\'' ? "''" : std::string(1, c);
    out_ += '\'';
    at_ = end;
    last_ = 'a';
    return;
  }
  take(std::max<std::size_t>(end - at_, 1));
  last_ = scalar.empty() ? ':' : 'a';
}

void Quoting::step() {
  const char c = text_[at_];
  if (c == '\n') {
    take(1);
    line_start_ = at_;
    if (depth_ == 0) last_ = '\n';
    return;
  }
  if (is_blank(c)) return take(1);
  if (c == '#' && (at_ == line_start_ || is_blank(text_[at_ - 1]))) return skip_comment();
  const bool node = depth_ > 0 ? last_ != 'a' : starts_node();
  if (node && (c == '"' || c == '\'')) {
    skip_quoted(c);
    last_ = 'a';
    return;
  }
  if ((depth_ > 0 && flow_marks.find(c) != flow_marks.npos) || (node && (c == '[' || c == '{'))) {
    depth_ += c == '[' || c == '{' ? 1 : c == ',' ? 0 : -1;
    last_ = c == ',' || depth_ > 0 ? c : 'a';
    if (c == ']' || c == '}') last_ = 'a';
    return take(1);
  }
  if (depth_ > 0) return plain_in_flow();
  if (node && (c == '|' || c == '>')) return skip_block_scalar();
  last_ = c;
  take(1);
}

std::string Quoting::run() {
  out_.reserve(text_.size() + 16);
  while (at_ < text_.size()) step();
  return std::move(out_);
}

}  // namespace

std::string quote_flow_scalars(std::string_view text) {
  for (const std::string_view mark : {":,", ":]", ":}"}) {
    if (text.find(mark) != text.npos) return Quoting(text).run();
  }
  return std::string(text);
}

}  // namespace sallyport::istio
