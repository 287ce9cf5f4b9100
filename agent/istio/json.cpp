#include "agent/istio/json.h"

#include <charconv>
#include <cstring>
#include <optional>

#include "agent/core/ascii.h"
#include "agent/core/limits.h"

namespace sallyport::istio {
namespace {

void add_utf8(std::string& to, uint32_t point) {
  const auto byte = [&](uint32_t bits) { to += static_cast<char>(bits); };
  const auto more = [&](int shift) { byte(0x80 | ((point >> shift) & 0x3f)); };
  if (point < 0x80) return byte(point);
  if (point < 0x800) return byte(0xc0 | (point >> 6)), more(0);
  if (point < 0x10000) return byte(0xe0 | (point >> 12)), more(6), more(0);
  byte(0xf0 | (point >> 18)), more(12), more(6), more(0);
}

class JsonReader {
public:
  JsonReader(std::string_view text, int line, Trees& trees)
      : text_(text), line_(line), trees_(trees) {}

  void read() {
    const Node* root = value(0);
    if (root && (skip_blanks(), at_ < text_.size())) fail("text behind the value");
    if (trees_.errors.empty()) trees_.roots.push_back(root);
  }

private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    skip_blanks();
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void skip_blanks() {
    for (; at_ < text_.size() && std::strchr(" \t\r\n", text_[at_]) && text_[at_]; ++at_)
      if (text_[at_] == '\n') ++line_;
  }
  const Node* fail(std::string reason) {
    if (trees_.errors.empty()) trees_.errors.push_back({line_, std::move(reason)});
    return nullptr;
  }
  Node& make(Node::Kind kind) {
    Node& node = trees_.nodes.emplace_back();
    node.kind = kind;
    node.line = line_;
    node.complete = true;
    return node;
  }

  const Node* value(int depth);
  const Node* object(int depth);
  const Node* list(int depth);
  const Node* number();
  std::optional<std::string> text();
  bool escape(std::string& to);
  std::optional<uint32_t> four_digits();

  std::string_view text_;
  std::size_t at_ = 0;
  int line_;
  Trees& trees_;
};

const Node* JsonReader::value(int depth) {
  if (depth > limits::yaml_depth) return fail("nested too deeply");
  skip_blanks();
  const char c = peek();
  if (c == '{') return object(depth);
  if (c == '[') return list(depth);
  if (c == '"') {
    auto read = text();
    if (!read) return nullptr;
    Node& node = make(Node::Kind::text);
    node.text = std::move(*read);
    return &node;
  }
  if (c == '-' || ascii::is_digit(c)) return number();
  for (const std::string_view word : {"true", "false", "null"}) {
    if (!text_.substr(at_).starts_with(word)) continue;
    at_ += word.size();
    Node& node = make(word == "null" ? Node::Kind::null : Node::Kind::boolean);
    node.text = word;
    return &node;
  }
  return fail(at_ == text_.size() ? "the text ends too early" : "expected a value");
}

const Node* JsonReader::object(int depth) {
  Node& node = make(Node::Kind::mapping);
  ++at_;
  if (take('}')) return &node;
  do {
    skip_blanks();
    const int line = line_;
    if (peek() != '"') return fail("expected a key in double quotes");
    auto key = text();
    if (!key) return nullptr;
    if (node.find(*key)) return fail("the key \"" + *key + "\" is there twice");
    if (!take(':')) return fail("expected ':' behind a key");
    const Node* child = value(depth + 1);
    if (!child) return nullptr;
    node.entries.push_back({std::move(*key), line, child});
  } while (take(','));
  return take('}') ? &node : fail("expected ',' or '}'");
}

const Node* JsonReader::list(int depth) {
  Node& node = make(Node::Kind::sequence);
  ++at_;
  if (take(']')) return &node;
  do {
    const Node* child = value(depth + 1);
    if (!child) return nullptr;
    node.entries.push_back({"", child->line, child});
  } while (take(','));
  return take(']') ? &node : fail("expected ',' or ']'");
}

const Node* JsonReader::number() {
  const std::size_t begin = at_;
  const auto digits = [this] {
    const std::size_t from = at_;
    while (ascii::is_digit(peek())) ++at_;
    return at_ > from;
  };
  bool real = false;
  if (peek() == '-') ++at_;
  if (peek() == '0' && at_ + 1 < text_.size() && ascii::is_digit(text_[at_ + 1]))
    return fail("a number with a leading zero");
  if (!digits()) return fail("expected a number");
  if (peek() == '.' && (++at_, real = true, !digits())) return fail("expected a number");
  if (peek() == 'e' || peek() == 'E') {
    ++at_;
    real = true;
    if (peek() == '+' || peek() == '-') ++at_;
    if (!digits()) return fail("expected a number");
  }
  Node& node = make(real ? Node::Kind::real : Node::Kind::integer);
  node.text = text_.substr(begin, at_ - begin);
  return &node;
}

std::optional<std::string> JsonReader::text() {
  std::string out;
  for (++at_; at_ < text_.size();) {
    const char c = text_[at_++];
    if (c == '"') return out;
    if (static_cast<unsigned char>(c) < 0x20) {
      fail("a line end or another control character within a string");
      return std::nullopt;
    }
    if (c != '\\') {
      out += c;
    } else if (!escape(out)) {
      fail("a bad escape within a string");
      return std::nullopt;
    }
  }
  fail("a string without its closing quote");
  return std::nullopt;
}

bool JsonReader::escape(std::string& to) {
  static constexpr std::string_view names = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
  const char c = peek();
  ++at_;
  if (const auto known = names.find(c); known != names.npos) return to += meant[known], true;
  if (c != 'u') return false;
  const auto first = four_digits();
  if (!first) return false;
  if (*first < 0xd800 || *first > 0xdfff) return add_utf8(to, *first), true;
  if (*first > 0xdbff || !text_.substr(std::min(at_, text_.size())).starts_with("\\u"))
    return false;
  at_ += 2;
  const auto second = four_digits();
  if (!second || *second < 0xdc00 || *second > 0xdfff) return false;
  add_utf8(to, 0x10000 + ((*first - 0xd800) << 10) + (*second - 0xdc00));
  return true;
}

std::optional<uint32_t> JsonReader::four_digits() {
  if (at_ + 4 > text_.size()) return std::nullopt;
  uint32_t code = 0;
  const char* const begin = text_.data() + at_;
  if (std::from_chars(begin, begin + 4, code, 16).ptr != begin + 4) return std::nullopt;
  at_ += 4;
  return code;
}

}  // namespace

Trees parse_json(std::string_view text, int first_line) {
  Trees trees;
  JsonReader(text, first_line, trees).read();
  return trees;
}

}  // namespace sallyport::istio
