// How much of the bytes at hand belongs to a message's body. Chunk framing is checked strictly and passed through as it
// is. Pure.
#pragma once
#include <cstdint>
#include <string_view>

#include "agent/http/message/head.h"

namespace sallyport::http {

class Body {
public:
  static Body none() { return of(0); }
  static Body of(uint64_t length);
  static Body of_chunks();
  static Body to_the_end();
  static Body of_request(const Head& head);                             // RFC 9112 section 6.3
  static Body of_response(const Head& head, std::string_view method);   // HEAD, 1xx, 204, 304: none
  std::size_t eat(std::string_view bytes);                              // how many of them are this body's
  bool over() const;
  bool bad() const;
  bool until_end() const;
  uint64_t content_bytes() const;                                       // payload so far, without framing

private:
  enum class Kind : uint8_t { length, chunks, until_end };
  Kind kind_ = Kind::length;
  uint8_t state_ = 0, digits_ = 0;
  uint16_t extension_bytes_ = 0, trailer_bytes_ = 0;
  uint64_t left_ = 0, content_ = 0;
};

}  // namespace sallyport::http
