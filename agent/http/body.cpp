#include "agent/http/body.h"

#include <algorithm>
#include <array>

#include "agent/http/message/scan.h"

namespace sallyport::http {

// Of chunked framing (RFC 9112 section 7.1); `at_size` is the start.
enum class Body::State : uint8_t {
  at_size,       // hex digits
  at_extension,  // behind the digits: blanks, then ';' and all until CR
  in_extension,
  at_size_lf,
  in_data,
  at_data_cr,
  at_data_lf,
  at_trailer,  // start of a line: a name, or the last CR
  in_name,
  in_value,
  at_value_lf,
  at_last_lf,
  is_over,
  is_bad,
};

namespace {

constexpr uint32_t fnv_start = 2166136261u;
constexpr uint32_t fnv_step(uint32_t hash, unsigned char c) {
  return (hash ^ (c >= 'A' && c <= 'Z' ? c | 0x20u : c)) * 16777619u;
}
constexpr uint32_t fnv(std::string_view name) {
  uint32_t hash = fnv_start;
  for (char c : name) hash = fnv_step(hash, static_cast<unsigned char>(c));
  return hash;
}

// A trailer must not change framing, routing or the connection (RFC 9110 section 6.5.1): a reader
// that merges trailers into the head would take them. Known by hash, so that a name may come in
// pieces; a chance match is refused with them.
constexpr std::array<uint32_t, 8> forbidden_trailers = {
    fnv("content-length"), fnv("transfer-encoding"), fnv("host"),
    fnv("connection"),     fnv("upgrade"),           fnv("te"),
    fnv("trailer"),        fnv("keep-alive")};

int hex_digit(unsigned char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

constexpr int size_digits_max = 15;  // 2^60 bytes; more could overflow, and nobody sends it

}  // namespace

Body Body::of(uint64_t length) {
  Body body;
  body.left_ = length;
  return body;
}

Body Body::of_chunks() {
  Body body;
  body.kind_ = Kind::chunks;
  return body;
}

Body Body::to_the_end() {
  Body body;
  body.kind_ = Kind::until_end;
  return body;
}

Body Body::of_request(const Head& head) {
  return head.chunked ? of_chunks() : of(head.has_length ? head.length : 0);
}

Body Body::of_response(const Head& head, std::string_view method) {
  if (head.status < 200 || head.status == 204 || head.status == 304 || method == "HEAD")
    return none();
  if (head.chunked) return of_chunks();
  return head.has_length ? of(head.length) : to_the_end();
}

bool Body::over() const {
  if (kind_ == Kind::length) return left_ == 0;
  return kind_ == Kind::chunks && state_ == State::is_over;
}
bool Body::bad() const { return state_ == State::is_bad; }
bool Body::until_end() const { return kind_ == Kind::until_end; }
bool Body::is_chunked() const { return kind_ == Kind::chunks; }
uint64_t Body::content_bytes() const { return content_; }

// One byte of a chunk's size line. False: it is bad.
bool Body::size_byte(unsigned char byte) {
  const char c = static_cast<char>(byte);
  if (state_ == State::at_size) {
    if (const int digit = hex_digit(byte); digit >= 0) {
      left_ = left_ * 16 + static_cast<unsigned>(digit);
      return ++digits_ <= size_digits_max;
    }
    if (digits_ == 0) return false;
    if (c == '\r') return state_ = State::at_size_lf, true;
    state_ = State::at_extension;
  }
  if (++extension_bytes_ > limits::http_chunk_extension_bytes) return false;
  if (state_ == State::at_extension) {
    // Blanks before CR are in no grammar, and readers differ on them.
    if (c == ';') return state_ = State::in_extension, true;
    return scan::is_blank(c);
  }
  if (c == '\r') return state_ = State::at_size_lf, true;
  return !scan::is_control(c);
}

bool Body::trailer_byte(unsigned char byte) {
  const char c = static_cast<char>(byte);
  if (++trailer_bytes_ > limits::http_trailer_bytes) return false;
  switch (state_) {
    case State::at_trailer:
      if (c == '\r') return state_ = State::at_last_lf, true;
      name_hash_ = fnv_step(fnv_start, byte);
      state_ = State::in_name;
      return scan::is_token(c);
    case State::in_name:
      if (c == ':') {
        state_ = State::in_value;
        return std::find(forbidden_trailers.begin(), forbidden_trailers.end(), name_hash_) ==
               forbidden_trailers.end();
      }
      name_hash_ = fnv_step(name_hash_, byte);
      return scan::is_token(c);
    case State::in_value:
      if (c == '\r') return state_ = State::at_value_lf, true;
      return !scan::is_control(c);
    case State::at_value_lf:
      state_ = State::at_trailer;
      return c == '\n';
    default:
      state_ = State::is_over;
      return c == '\n';
  }
}

// One byte of framing. False: it is bad.
bool Body::step(unsigned char byte) {
  switch (state_) {
    case State::at_size:
    case State::at_extension:
    case State::in_extension:
      return size_byte(byte);
    case State::at_size_lf:
      state_ = left_ ? State::in_data : State::at_trailer;
      digits_ = 0;
      return byte == '\n';
    case State::at_data_cr:
      state_ = State::at_data_lf;
      return byte == '\r';
    case State::at_data_lf:
      state_ = State::at_size;
      return byte == '\n';
    default:
      return trailer_byte(byte);
  }
}

Body::Part Body::next(std::string_view bytes) {
  if (kind_ != Kind::chunks) {
    const auto n = kind_ == Kind::until_end
                       ? bytes.size()
                       : static_cast<std::size_t>(std::min<uint64_t>(left_, bytes.size()));
    if (kind_ == Kind::length) left_ -= n;
    content_ += n;
    return {n, bytes.substr(0, n)};
  }
  std::size_t at = 0;
  while (at < bytes.size() && state_ != State::is_over && state_ != State::is_bad) {
    if (state_ == State::in_data) {
      const auto n = static_cast<std::size_t>(std::min<uint64_t>(left_, bytes.size() - at));
      left_ -= n;
      content_ += n;
      if (left_ == 0) state_ = State::at_data_cr;
      return {at + n, bytes.substr(at, n)};
    }
    if (!step(static_cast<unsigned char>(bytes[at]))) {
      state_ = State::is_bad;
      break;
    }
    at++;
  }
  return {at, {}};
}

std::size_t Body::eat(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto taken = next(bytes.substr(at)).taken;
    if (taken == 0) break;
    at += taken;
  }
  return at;
}

}  // namespace sallyport::http
